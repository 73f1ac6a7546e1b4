"""What a real Flower saw, asked over its API."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import Counter
from typing import Any

from godel_tasks.errors import GodelError

#: Events travel in batches, and Flower takes them one by one: seconds before each look.
LOOK_EVERY_S = 0.7
LOOKS = 4
#: Share of the tasks whose end Flower has seen that is all there will be: a dispatcher that is
#: killed takes its last events with it, and tasks that were taken over have no first ones.
NEARLY_ALL = 0.95
ANSWER_TIMEOUT_S = 20.0

#: The name under which Flower knows the demo's tasks; control jobs have other ones.
TASK_NAME = "godel_tasks.submit_task"

Seen = dict[str, dict[str, Any]]


async def seen_by_flower(url: str, *, expected: int) -> dict[str, Any]:
    """`{tasks_seen, workers, states, names}`: tasks that Flower lists with name, state and worker.

    Raises:
        GodelError: Flower does not answer.
    """
    tasks: Seen = {}
    for _ in range(LOOKS):
        await asyncio.sleep(LOOK_EVERY_S)
        tasks = await asyncio.to_thread(_tasks, url)
        over = sum(task["state"] == "SUCCESS" for task in tasks.values())
        if over >= NEARLY_ALL * expected:
            break
    whole = [task for task in tasks.values() if task["state"] and task["worker"]]
    return {
        "tasks_seen": len(whole),
        "workers": sorted({task["worker"] for task in whole}),
        "states": dict(Counter(task["state"] for task in whole)),
        "names": sorted({task["name"] for task in whole}),
    }


def _tasks(url: str) -> Seen:
    try:
        with urllib.request.urlopen(  # noqa: S310 - our own Flower, over http
            f"{url}/api/tasks?taskname={TASK_NAME}", timeout=ANSWER_TIMEOUT_S
        ) as answer:
            found: Seen = json.load(answer)
            return found
    except (OSError, ValueError) as error:
        raise GodelError(f"Flower at {url} does not answer: {error}") from error
