"""How a provider writes down, beside what it made, an instance that does not register by itself."""

from __future__ import annotations

import json
from dataclasses import asdict

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.errors import UnknownDriver


def filled(text: str, values: dict[str, str]) -> str:
    """`text` with the value where it has a name in braces; other braces stay as they are."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def values_of(template: InstanceTemplate, instance_id: str) -> dict[str, str]:
    """The names that options may have in braces."""
    return {
        "instance_id": instance_id,
        "pool": template.pool,
        "region": template.region,
        "capacity": str(template.capacity),
    }


def driver_problems(template: InstanceTemplate, endpoint: str) -> list[str]:
    """What is wrong about the driver of a template, a line each."""
    try:
        registers = _self_registering(template.driver)
    except UnknownDriver as error:
        return [f"driver: {error}"]
    if not registers and not endpoint:
        example = "ws://{instance_id}:18789"
        words = f"instances of driver {template.driver!r} do not register by themselves"
        return [f"endpoint: missing; {words} (for example {example})"]
    return []


def describe(
    template: InstanceTemplate,
    instance_id: str,
    *,
    provider: str,
    endpoint: str,
    credentials: str,
) -> str:
    """Its `InstanceConfig` as JSON; "" for one that registers by itself."""
    if _self_registering(template.driver):
        return ""
    config = InstanceConfig(
        instance_id=instance_id,
        endpoint=endpoint,
        driver=template.driver,
        capacity=template.capacity,
        region=template.region,
        pool=template.pool,
        capabilities=template.capabilities,
        provider=provider,
        credentials=credentials,
    )
    return json.dumps(asdict(config), sort_keys=True)


def described(text: str) -> InstanceConfig | None:
    """What `describe` wrote. None for "", and for what somebody else wrote there."""
    try:
        return InstanceConfig(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None


def _self_registering(driver: str) -> bool:
    # Views of instances, which come with the drivers, look providers up.
    from godel_tasks.instances.drivers import driver_named

    return driver_named(driver).self_registering
