"""Drivers by name. A driver's module is imported when it is first asked for."""

from __future__ import annotations

import difflib
import importlib

from godel_tasks.errors import UnknownDriver
from godel_tasks.instances.instance import Driver

#: Name of a driver and where its class is.
_DRIVERS = {
    "grpc": ("godel_tasks.instances.drivers.grpc", "GrpcDriver"),
    "openclaw": ("godel_tasks.instances.drivers.openclaw.driver", "OpenclawDriver"),
    "simulated": ("godel_tasks.instances.drivers.simulated", "SimulatedDriver"),
}


def driver_names() -> tuple[str, ...]:
    return tuple(_DRIVERS)


def driver_named(name: str) -> Driver:
    """A driver as the registry's `driver` field names it.

    Raises:
        UnknownDriver: there is no such driver; the hint has the nearest name.
    """
    if name not in _DRIVERS:
        near = difflib.get_close_matches(name, _DRIVERS, n=1)
        raise UnknownDriver(
            f"no driver is called {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_DRIVERS)}",
        )
    module, cls = _DRIVERS[name]
    driver: Driver = getattr(importlib.import_module(module), cls)()
    return driver
