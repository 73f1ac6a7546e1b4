"""For tests of users' own code: Godel offline, and a small live one.

    def test_offline(godel):                       # fakeredis; no server, no process
        godel.tenant("acme")
        order_report("acme")                       # your code: submit_task.delay(...)
        assert godel.submitted[0].payload == {"report": 17}

    def test_end_to_end(godel_worker):             # embedded server, dispatcher, instance
        godel_worker(make_report, tenants=["acme"])
        assert order_report("acme").get(timeout=10) == "done"

pytest finds the fixtures by itself; other test runners use the context managers `offline()` and
`live()`. Both point `godel_tasks.app` at themselves, and put it back.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from godel_tasks.testing.godel_live import LiveGodel, live
    from godel_tasks.testing.godel_offline import OfflineGodel, offline
    from godel_tasks.testing.submitted import SubmittedTask

#: Imported when they are first used: pytest loads this package in every run.
_HOME_OF = {
    "LiveGodel": "godel_tasks.testing.godel_live",
    "OfflineGodel": "godel_tasks.testing.godel_offline",
    "SubmittedTask": "godel_tasks.testing.submitted",
    "live": "godel_tasks.testing.godel_live",
    "offline": "godel_tasks.testing.godel_offline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


__all__ = ["LiveGodel", "OfflineGodel", "SubmittedTask", "live", "offline"]
