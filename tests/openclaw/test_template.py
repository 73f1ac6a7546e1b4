"""What a gateway is told, and where its things are."""

from __future__ import annotations

import itertools
import json
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import GatewayFailed, InstanceError, UnknownInstance
from godel_tasks.openclaw import gateways, template
from godel_tasks.openclaw.folder import folder_of
from godel_tasks.openclaw.template import Model, Spec
from tests.openclaw.site import MODEL, Site

KEYED = Model("https://models.example/v1", "big-1", "env:OUR_KEY", price_in=3.0, price_out=15.0)


def test_the_configuration_is_slim_and_keeps_to_its_folder(site: Site) -> None:
    # Given a gateway whose model wants a key
    spec = replace(site.spec, model=KEYED, capacity=5)
    told = template.config(spec, site.folder, "the-token")
    # Then it listens on the loopback, with its token
    assert told["gateway"]["auth"] == {"mode": "token", "token": "the-token"}
    assert (told["gateway"]["bind"], told["gateway"]["port"]) == ("loopback", spec.port)
    # And calls nobody by itself
    assert told["plugins"] == told["cron"] == {"enabled": False}
    assert told["update"] == {"checkOnStart": False}
    assert told["models"]["catalogRefresh"] == {"enabled": False}
    # And its model has its prices, and its agents their number
    provider = told["models"]["providers"][template.PROVIDER]
    assert provider["models"][0]["cost"] == {
        "input": 3.0, "output": 15.0, "cacheRead": 0, "cacheWrite": 0,
    }  # fmt: skip
    assert told["agents"]["defaults"]["model"] == {"primary": "godel/big-1"}
    assert told["agents"]["defaults"]["maxConcurrent"] == 5
    # And every path is in its folder
    paths = re.findall(r'"(/[^"]+)"', json.dumps(told))
    assert len(paths) == 2
    assert all(Path(path).is_relative_to(site.folder.path) for path in paths)


def test_a_key_goes_by_the_environment_and_stands_in_no_file(site: Site) -> None:
    # Given our environment, with the key and other secrets
    ours = {
        "OUR_KEY": "sk-secret",
        "GODEL_REDIS_URL": "redis://:pw@h",
        "PATH": "/bin",
        "LC_ALL": "C",
    }
    spec = replace(site.spec, model=KEYED)
    # Then the gateway gets the key and what it needs, and no other secret: agents can read it all
    env = template.environment(spec, site.folder, ours)
    assert env["GATEWAY_MODEL_KEY"] == "sk-secret"
    assert env["PATH"] == "/bin"
    assert "GODEL_REDIS_URL" not in env
    assert "OUR_KEY" not in env
    assert Path(env["HOME"]).is_relative_to(site.folder.path)
    # And its configuration only a reference
    told = json.dumps(template.config(spec, site.folder, "t"))
    assert "${GATEWAY_MODEL_KEY}" in told
    assert "sk-secret" not in told


@pytest.mark.parametrize(
    ("reference", "said"), [("env:OUR_KEY", "OUR_KEY"), ("sk-secret", "reference"), ("env:", "ref")]
)
def test_a_key_that_is_not_there_is_told_before_anything_starts(
    site: Site, reference: str, said: str
) -> None:
    spec = replace(site.spec, model=replace(KEYED, key=reference))
    with pytest.raises(InstanceError, match=said) as caught:
        template.environment(spec, site.folder, {})
    assert "sk-secret" not in str(caught.value)


def test_a_gateway_keeps_its_port_and_its_token(site: Site) -> None:
    token = site.folder.read_token()
    # When it is created again with another model
    again = gateways.create(site.data_dir, Spec("gw-1", KEYED, capacity=3))
    # Then only what was asked for is another
    assert again == replace(site.spec, model=KEYED, capacity=3)
    assert gateways.find(site.data_dir, "gw-1") == again
    assert site.folder.read_token() == token
    # But for a port on which somebody else listens by now
    with socket.create_server(("127.0.0.1", again.port)):
        moved = gateways.create(site.data_dir, again)
        assert moved.port != again.port
    again = moved
    # And the registry is told where it is, never the token
    assert gateways.instance_config(site.data_dir, again) == InstanceConfig(
        instance_id="gw-1",
        endpoint=f"ws://127.0.0.1:{again.port}",
        driver="openclaw",
        provider="process",
        capacity=3,
        workspace_dir=str(site.folder.workspace),
        credentials=f"file:{site.folder.token}",
    )


def test_ports_are_far_enough_apart_for_those_that_gateways_derive(tmp_path: Path) -> None:
    specs = [gateways.create(tmp_path, Spec(f"gw-{n}", MODEL)) for n in range(8)]
    ports = sorted(spec.port for spec in specs)
    assert all(b - a >= 120 for a, b in itertools.pairwise(ports))
    assert [spec.instance_id for spec in gateways.all_gateways(tmp_path)] == [
        spec.instance_id for spec in specs
    ]


def test_a_port_that_somebody_listens_on_is_not_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GatewayFailed, match="no port"):
            gateways.free_port([], ports=[port])
    # Nor one that is too near another gateway's
    with pytest.raises(GatewayFailed):
        gateways.free_port([20_000], ports=[20_119], listens=lambda _port: False)
    assert gateways.free_port([20_000], ports=[20_120], listens=lambda _port: False) == 20_120


def test_removed_it_is_gone_with_all_that_it_wrote(site: Site) -> None:
    (site.folder.workspace / "notes.md").write_text("remember")
    gateways.remove(site.data_dir, "gw-1")
    assert not site.folder.path.exists()
    with pytest.raises(UnknownInstance, match="'gw-1'"):
        gateways.find(site.data_dir, "gw-1")
    gateways.remove(site.data_dir, "gw-1")


def test_a_folder_that_is_no_gateways_is_not_listed(tmp_path: Path) -> None:
    folder_of(tmp_path, "half").make()
    folder_of(tmp_path, "half").spec.write_text('{"instance_id": "ha')
    assert gateways.all_gateways(tmp_path) == []
