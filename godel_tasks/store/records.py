"""Records as scripts write them: headers of ASCII words, and the opaque body."""

from __future__ import annotations

import msgspec

from godel_tasks.domain.task import STATE_OF_LETTER, TaskBody, TaskState, decode_body


class Record(msgspec.Struct, frozen=True, gc=False):
    """A task as a lane holds it. Times in ms on Redis's clock; 0 where there is none."""

    task_id: str
    tenant_id: str
    class_id: str
    level: int
    attempt: int
    sequence: int
    entry_ms: int
    start_by_ms: int
    deadline_ms: int
    body: TaskBody


class HeldTask(msgspec.Struct, frozen=True, gc=False):
    """A task that a dispatcher holds, with the slot it is to run in."""

    batch: int
    epoch: int
    instance_id: str
    #: Registration of the instance when the slot was reserved.
    generation: int
    slot: str
    estimate_ms: float
    claimed_ms: int
    record: Record

    @property
    def routed(self) -> tuple[str, int, int, str]:
        """Which claim sent it there: dispatcher, batch (0: it was taken over since), when (ms),
        class."""
        dispatcher = self.slot.rpartition("/")[0]
        return dispatcher, self.batch, self.claimed_ms, self.record.class_id


class IndexEntry(msgspec.Struct, frozen=True, gc=False):
    """Where an unsettled task is."""

    state: TaskState
    epoch: int
    sequence: int
    owner: str
    tenant_id: str
    class_id: str
    level: int
    flags: str

    @property
    def cancel_asked(self) -> bool:
        return self.flags == "c"

    @property
    def behind(self) -> bool:
        """It waits in no lane, but behind the head of its session."""
        return self.flags == "s"

    @property
    def retrying(self) -> bool:
        return self.flags == "r"


def parse_record(data: bytes) -> Record:
    head, _, body = data.partition(b"\n")
    return _record(head, body)


def _record(head: bytes, body: bytes) -> Record:
    (task_id, tenant, class_id, level, attempt, sequence, entry, start_by, deadline) = (
        head.decode().split(" ")
    )
    return Record(
        task_id,
        tenant,
        class_id,
        int(level),
        int(attempt),
        int(sequence),
        int(entry),
        int(start_by),
        int(deadline),
        decode_body(body),
    )


def parse_held(data: bytes) -> HeldTask:
    first, head, body = data.split(b"\n", 2)
    batch, epoch, instance, slot, estimate, claimed = first.decode().split(" ")
    instance_id, _, generation = instance.rpartition("#")
    return HeldTask(
        int(batch),
        int(epoch),
        instance_id,
        int(generation),
        slot,
        float(estimate),
        int(claimed),
        _record(head, body),
    )


def parse_index(data: bytes) -> IndexEntry:
    state, epoch, sequence, owner, tenant, class_id, level, _digest, flags = data.decode().split(
        " "
    )
    return IndexEntry(
        STATE_OF_LETTER[state],
        int(epoch),
        int(sequence),
        owner,
        tenant,
        class_id,
        int(level),
        flags,
    )
