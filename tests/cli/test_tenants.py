"""`godel tenants`."""

from __future__ import annotations

import pytest

from tests.cli.played import godel, ok


def test_a_tenant_is_added_changed_and_shown(attached: str) -> None:
    # Given a tenant
    added = ok("tenants", "add", "acme", "--weight", 4, "--on-uncertain", "hold")
    assert (added["weight"], added["pool"], added["on_uncertain"]) == (4.0, "shared", "hold")
    # When its weight and its choice are changed
    ok("tenants", "set", "acme", "--weight", 2.5, "--on-uncertain", "")
    # Then that is so, and the rest as it was
    shown = ok("tenants", "show", "acme")
    assert (shown["weight"], shown["max_queue"], shown["on_uncertain"]) == (2.5, 100_000, None)
    assert [tenant["tenant"] for tenant in ok("tenants", "list")["tenants"]] == ["acme"]
    assert "acme" in godel("tenants", "list").out


def test_counters_follow_the_tasks(attached: str) -> None:
    ok("tenants", "add", "acme", "--max-queue", 5)
    for _ in range(3):
        ok("tasks", "submit", "acme", "1")
    shown = ok("tenants", "show", "acme")
    assert (shown["queued"], shown["submitted"], shown["in_flight"]) == (3, 3, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--weight", "0"], "above 0"),
        (["--weight", "-1"], "above 0"),
        (["--weight", "nan"], "above 0"),
        (["--weight", "inf"], "above 0"),
        (["--max-queue", "-1"], "number of tasks"),
        (["--pool", "a b"], "letters, digits"),
        (["--on-uncertain", "hodl"], "did you mean 'hold'"),
    ],
)
def test_wrong_values_are_refused_with_a_hint(
    attached: str, options: list[str], words: str
) -> None:
    ok("tenants", "add", "acme")
    for command in (["add", "other"], ["set", "acme"]):
        said = godel("tenants", *command, *options, "--json")
        assert said.code == 4
        assert said.error["type"] == "InvalidTenant"
        assert words in said.error["hint"]
    # And nothing was written
    assert [tenant["tenant"] for tenant in ok("tenants", "list")["tenants"]] == ["acme"]
    assert ok("tenants", "show", "acme")["weight"] == 1


def test_a_name_that_keys_cannot_hold_is_refused(attached: str) -> None:
    assert godel("tenants", "add", "a:b", "--json").error["type"] == "InvalidTenant"


def test_a_tenant_is_not_added_twice(attached: str) -> None:
    ok("tenants", "add", "acme", "--weight", 3)
    said = godel("tenants", "add", "acme", "--weight", 9, "--json")
    assert (said.code, said.error["type"]) == (6, "TenantExists")
    assert ok("tenants", "show", "acme")["weight"] == 3


def test_an_unknown_tenant_brings_the_nearest_one(attached: str) -> None:
    ok("tenants", "add", "acme")
    for command in (["show", "acne"], ["set", "acne", "--weight", "2"]):
        said = godel("tenants", *command, "--json")
        assert (said.code, said.error["type"]) == (5, "UnknownTenant")
        assert said.error["hint"] == "did you mean 'acme'?"


def test_a_change_of_nothing_is_refused(attached: str) -> None:
    ok("tenants", "add", "acme")
    assert godel("tenants", "set", "acme").code == 2


def test_no_tenants_yet(attached: str) -> None:
    assert ok("tenants", "list") == {"tenants": []}
    assert "godel tenants add NAME" in godel("tenants", "list").out


def test_with_several_cells_each_tenant_has_its_own(
    attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given four cells and enough tenants to be in several
    monkeypatch.setenv("GODEL_CELLS", "4")
    names = [f"t{n}" for n in range(8)]
    for name in names:
        ok("tenants", "add", name)
        ok("tasks", "submit", name, "1")
    # Then each is found, with its task, wherever it is
    assert sorted(t["tenant"] for t in ok("tenants", "list")["tenants"]) == names
    assert {t["tenant"] for t in ok("tasks", "list")["tasks"]} == set(names)
    assert all(ok("tenants", "show", name)["queued"] == 1 for name in names)
    # And to ask for one that is none gives it no cell
    assert godel("tenants", "show", "nobody").code == 5
    ok("tenants", "set", "t5", "--weight", 2)
    assert ok("tenants", "show", "t5")["weight"] == 2
