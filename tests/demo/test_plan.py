"""The demo's work is equal for all tenants, and possible even when an instance is gone."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from godel_tasks.demo.plan import INSTANCES, KILLS, TENANTS, work
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.policy.admission import AdmissionRules, admit, request_of
from godel_tasks.policy.matching import match


def test_all_tenants_submit_the_same_work_in_turns() -> None:
    # Given some work over two texts
    items = list(work(50, ["one", "two"]))
    # Then tenants take turns
    assert [item["tenant_id"] for item in items[:6]] == [*TENANTS, *TENANTS]
    # And theirs differs in nothing
    by_tenant: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        by_tenant[item.pop("tenant_id")].append(item)
    assert by_tenant["gold"] == by_tenant["silver"] == by_tenant["bronze"]
    assert len(by_tenant["gold"]) == 50
    # And it is mixed
    assert len({item["priority"] for item in by_tenant["gold"]}) == 4
    assert len({item["payload"]["pause_s"] for item in by_tenant["gold"]}) > 40


def test_whatever_a_task_asks_for_two_instances_have() -> None:
    # Given every kind of task, admitted as submit does it
    rules = AdmissionRules()
    specs = {
        admitted.spec: admitted.requirement
        for item in work(200, ["text"])
        for admitted in [admit(request_of(item), "id", rules)]
    }
    assert len(specs) == 3
    configs = [
        InstanceConfig(
            plan.instance_id, "", region=plan.region, capabilities=dict(plan.capabilities)
        )
        for plan in INSTANCES
    ]
    # Then each is still possible without any one instance
    for spec, requirement in specs.items():
        wanted = RequirementClass(spec, configs[0].pool, requirement)
        assert sum(match(wanted, config).fits for config in configs) >= 2


def test_both_kills_come_while_the_heaviest_tenant_has_a_backlog() -> None:
    heaviest = max(TENANTS.values())
    backlog_ends = sum(TENANTS.values()) / heaviest / len(TENANTS)
    assert [kill.kind for kill in KILLS] == ["instance", "dispatcher"]
    assert all(kill.latest_share < backlog_ends for kill in KILLS)
