"""Who holds which turns, as Redis and the model have it."""

from __future__ import annotations

from dataclasses import dataclass

from godel_tasks.demo.house import House
from godel_tasks.demo.openclaw.house import Stage


@dataclass(frozen=True, slots=True)
class Turn:
    """A task that a dispatcher holds. `running`: the model was called for it."""

    task_id: str
    owner: str
    instance_id: str
    attempt: int
    running: bool


async def held_turns(stage: Stage) -> list[Turn]:
    """Those of all dispatchers that were not killed."""
    calls = await stage.model.calls()
    held = []
    for cell in stage.house.runtime.cells:
        for name in await stage.house.store.run(cell.lookup.dispatchers()):
            if process_of(name) in stage.house.killed:
                continue
            for task in await stage.house.store.run(cell.leases.held(dispatcher=name)):
                record = task.record
                prompt = stage.items[record.task_id]["payload"]
                held.append(
                    Turn(
                        record.task_id,
                        name,
                        task.instance_id,
                        record.attempt,
                        calls.get(prompt, 0) >= max(1, record.attempt),
                    )
                )
    return held


async def unsettled(house: House, task_ids: set[str]) -> set[str]:
    """Those of them that have not come to their end."""
    left: set[str] = set()
    for cell in house.runtime.cells if task_ids else ():
        entries = await house.store.pipeline([cell.lookup.entry(each) for each in task_ids])
        left |= {each for each, entry in zip(task_ids, entries, strict=True) if entry is not None}
    return left


def process_of(owner: str) -> str:
    """The process behind a dispatcher's name: `dispatcher1` of `dispatcher1@host...`."""
    return owner.partition("@")[0]
