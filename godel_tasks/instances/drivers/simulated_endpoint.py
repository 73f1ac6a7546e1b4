"""Simulated endpoints: processes with instances, and the wires to them, without any I/O.

They use the very `Station`, `InstanceHost` and `AttemptTable` of the gRPC server; only the wire and
the process around them are make-believe. Everything happens by the running loop's timers, so it
works in virtual time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from godel_tasks.clock import Clock
from godel_tasks.domain.attempt import Completion, Delivery, Progress
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.handlers import Handler, TaskContext
from godel_tasks.instances.server.executors import executor_for
from godel_tasks.instances.server.host import InstanceHost
from godel_tasks.instances.server.station import Station


@dataclass(frozen=True, slots=True)
class Act:
    """What a scripted attempt does: says `says`, waits `latency_s`, then the first of the others
    that is set."""

    latency_s: float = 0.0
    hangs: bool = False
    crashes: bool = False
    raises: BaseException | None = None
    returns: Any = None
    #: Break every wire to the endpoint first; the attempt goes on.
    disconnects: bool = False
    #: Texts in their order, each all that it has said by then.
    says: tuple[str, ...] = ()


#: Decides what an attempt does, from its payload and its context.
Plan = Callable[[Any, TaskContext], Act]


@dataclass(frozen=True, slots=True)
class Execution:
    """One start of a handler."""

    key: str
    instance_id: str
    generation: int
    boot: int
    #: By the endpoint's clock.
    at: float


@dataclass(slots=True)
class Link:
    """Delays of the wires: each message takes `latency_s` and up to `jitter_s` more."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    random: Random = field(default_factory=Random)

    def delay_s(self) -> float:
        return self.latency_s + (self.random.random() * self.jitter_s if self.jitter_s else 0.0)


class SimulatedEndpoint:
    """One make-believe process that serves instances.

    `executions` and `peak` are kept over restarts: they are what a test holds against invariants.
    """

    def __init__(
        self,
        endpoint: str,
        configs: Sequence[InstanceConfig],
        handler: Handler | Plan,
        clock: Clock,
        *,
        generations: Mapping[str, int] | None = None,
        link: Link | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.link = link or Link()
        self.reachable = True
        self.executions: list[Execution] = []
        self.boot = 0
        self._configs = [replace(config, endpoint=endpoint) for config in configs]
        self._generations = {config.instance_id: 1 for config in configs} | dict(generations or {})
        self._handler = handler if isinstance(handler, Handler) else self._scripted(handler)
        self._clock = clock
        self._peaks: dict[str, int] = {}
        #: In the order in which they were laid.
        self.wires: dict[Wire, None] = {}
        self.station: Station | None = None
        self.boot_up()

    def __repr__(self) -> str:
        state = "up" if self.up else "down"
        return f"<SimulatedEndpoint {self.endpoint} boot {self.boot} {state}: {self.station!r}>"

    @property
    def up(self) -> bool:
        return self.station is not None and self.reachable

    @property
    def running_station(self) -> Station:
        """Raises: InstanceUnavailable: it has crashed."""
        if self.station is None:
            raise InstanceUnavailable(f"{self.endpoint} is down")
        return self.station

    def peak(self, instance_id: str) -> int:
        """Most attempts that one boot of the instance ever ran at once."""
        now = self.station.hosts[instance_id].table.peak if self.station else 0
        return max(now, self._peaks.get(instance_id, 0))

    def boot_up(self) -> None:
        """Start (again), with nothing remembered. Idempotent."""
        if self.station is not None:
            return
        self.boot += 1
        executor = executor_for(self._handler, self._clock, inline=True)
        log = _ExecutionRecorder(self)
        hosts = [InstanceHost(c, executor, self._clock, log=log) for c in self._configs]
        self.station = Station(hosts, boot_id=f"{self.endpoint}#{self.boot}")
        self.station.register(self._generations)

    def register(self, generations: Mapping[str, int]) -> None:
        """The registry knows the instances under these generations from now on."""
        self._generations |= generations
        if self.station is not None:
            self.station.register(generations)

    def generation(self, instance_id: str) -> int:
        return self._generations[instance_id]

    def disconnect(self) -> None:
        """Break every wire; what is on its way is lost, what runs goes on."""
        for wire in list(self.wires):
            wire.cut("the wire broke")

    def partition(self) -> None:
        """Break every wire and let nobody connect until `heal`."""
        self.reachable = False
        self.disconnect()

    def heal(self) -> None:
        self.reachable = True

    def crash(self) -> None:
        """Die: forget everything, tell nobody. `boot_up` brings it back."""
        station, self.station = self.station, None
        if station is None:
            return
        for instance_id, host in station.hosts.items():
            self._peaks[instance_id] = max(host.table.peak, self._peaks.get(instance_id, 0))
        self.disconnect()
        station.close()  # nobody is attached any more, so nobody is told

    def started(self, delivery: Delivery) -> None:
        """Note a start of a handler."""
        key, instance_id = delivery.key, delivery.instance_id
        at = self._clock.monotonic()
        self.executions.append(Execution(key, instance_id, delivery.generation, self.boot, at))

    def tell(self, progress: Progress) -> None:
        """Tell everybody who is connected what an attempt has said; they know what is theirs."""
        for wire in self.wires:
            wire.tell(progress)

    def _scripted(self, plan: Plan) -> Handler:
        async def act(payload: Any, context: TaskContext) -> Any:
            what = plan(payload, context)
            for text in what.says:
                self.tell(Progress(context.task_id, context.attempt, context.instance_id, text))
            if what.latency_s:
                await asyncio.sleep(what.latency_s)
            if what.disconnects:
                self.disconnect()
            if what.crashes:
                self.crash()
            if what.hangs or what.crashes:
                await asyncio.get_running_loop().create_future()
            if what.raises is not None:
                raise what.raises
            return what.returns

        return Handler.of(act)


class _ExecutionRecorder:
    """An `ExecutionLog` that notes starts."""

    def __init__(self, endpoint: SimulatedEndpoint) -> None:
        self._endpoint = endpoint

    def started(self, delivery: Delivery) -> None:
        self._endpoint.started(delivery)

    def ended(self, completion: Completion) -> None:
        """Ends are not recorded."""


class Wire:
    """One standing connection to an endpoint: two pipes that keep the order of what they carry.

    Ends either by `cut` (the listener is told) or by `close` (it is not).
    """

    def __init__(
        self,
        endpoint: SimulatedEndpoint,
        on_completions: Callable[[list[Completion]], None],
        on_progress: Callable[[Progress], None],
        on_cut: Callable[[str], None],
    ) -> None:
        self.endpoint = endpoint
        self.station = endpoint.running_station
        self.standing = True
        self._on_completions = on_completions
        self._on_progress = on_progress
        self._on_cut = on_cut
        self._there = _Pipe(endpoint.link)
        self._back = _Pipe(endpoint.link)
        self._batch: list[Completion] = []
        endpoint.wires[self] = None

    def call(self, act: Callable[[Station], None]) -> None:
        """Do this at the station, one delay later."""
        self._there.put(lambda: act(self.station) if self.standing else None)

    def send(self, completion: Completion) -> None:
        """As a `Peer`: completions of one turn of the loop travel together."""
        if not self.standing:
            return
        self._batch.append(completion)
        if len(self._batch) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def tell(self, progress: Progress) -> None:
        self._back.put(lambda: self._on_progress(progress) if self.standing else None)

    def cut(self, error: str) -> None:
        if self.standing:
            self.close()
            self._on_cut(error)

    def close(self) -> None:
        if self.standing:
            self.standing = False
            self.endpoint.wires.pop(self, None)
            self.station.detach(self)

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        self._back.put(lambda: self._on_completions(batch) if self.standing else None)


class _Pipe:
    """Carries messages in order, each with a delay of its own."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._messages: deque[Callable[[], None]] = deque()
        self._last_due = 0.0

    def put(self, message: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._messages.append(message)
        self._last_due = max(self._last_due, loop.time() + self._link.delay_s())
        # Timers of one moment may fire in any order: each carries the oldest message.
        loop.call_at(self._last_due, self._arrive)

    def _arrive(self) -> None:
        self._messages.popleft()()
