"""A client that has Celery and nothing of Godel: run with `python -I`, told what to do in lines.

Each line of stdin is a JSON object; each gets a line of JSON on stdout. `{"send": {...}}` calls
`send_task` with these arguments and answers the id; `{"chord": [args, ...], "body": name}` sends a
chord of them, whose body goes to the queue of its name; `{"get": id}` waits for the result;
`{"state": id}` looks; `{"revoke": id}` and `{"modules": name}` are what they say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from typing import Any


class _NotInstalled(MetaPathFinder):
    """As if Godel were on another machine."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> None:
        if fullname.partition(".")[0] in ("godel_tasks", "workers", "tests"):
            raise ModuleNotFoundError(f"{fullname} is not installed here", name=fullname)


sys.meta_path.insert(0, _NotInstalled())

from celery import Celery, chord  # noqa: E402 - not before Godel is out of reach

app = Celery(broker=sys.argv[1], backend=sys.argv[1])
app.conf.task_routes = {"godel_tasks.*": {"queue": sys.argv[2]}}


def answer(told: dict[str, Any]) -> Any:
    match told:
        case {"send": options}:
            return app.send_task("godel_tasks.submit_task", **options).id
        case {"chord": header, "body": body}:
            parts = [app.signature("godel_tasks.submit_task", args=args) for args in header]
            return chord(parts, app=app)(app.signature(body, queue=body)).id
        case {"get": task_id}:
            try:
                return {"result": app.AsyncResult(task_id).get(timeout=20)}
            except Exception as error:
                state = app.AsyncResult(task_id).state
                return {"error": type(error).__name__, "text": str(error), "state": state}
        case {"state": task_id}:
            return app.AsyncResult(task_id).state
        case {"revoke": task_id}:
            return app.AsyncResult(task_id).revoke()
        case {"modules": name}:
            return sorted(module for module in sys.modules if module.partition(".")[0] == name)
    raise ValueError(told)


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
