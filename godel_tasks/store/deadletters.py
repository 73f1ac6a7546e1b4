"""Dead letters: tasks that were given up, until a person replays or drops them."""

from __future__ import annotations

from collections.abc import Sequence

from godel_tasks.store.cell import CellCommands
from godel_tasks.store.command import Command, plain, text


class DeadLetterCommands(CellCommands):
    """Commands about a cell's dead letters; `LookupCommands` lists them."""

    def drop(self, task_ids: Sequence[str]) -> Command[int]:
        """Take them away; how many of them there were."""
        return self._call("drop_dead", rest=task_ids, decode=int)

    def requirement(self, class_id: str) -> Command[str | None]:
        """What tasks of that class asked of an instance ("pool\\nspec"), kept as long as there are
        dead letters; None when it is not known."""
        return plain(
            "HGET",
            self.keys.fixed("dead_classes"),
            class_id,
            decode=lambda reply: text(reply) if reply is not None else None,
        )
