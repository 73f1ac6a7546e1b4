"""OpenclawConnection: one dispatcher's way to one gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

from godel_tasks.clock import Clock, SystemClock
from godel_tasks.domain.attempt import Completion, Delivery, End, Progress
from godel_tasks.domain.instance import Health, HealthStatus, InstanceConfig, InstanceMetrics
from godel_tasks.errors import (
    InstanceError,
    InstanceUnavailable,
    InvalidTask,
    PayloadTooLarge,
    UnknownInstance,
)
from godel_tasks.instances.attempts import Refusal, rejected_key
from godel_tasks.instances.background import end_task
from godel_tasks.instances.drivers.backoff import Backoff
from godel_tasks.instances.drivers.openclaw import frames
from godel_tasks.instances.drivers.openclaw.adoption import follow, running_tasks, stop_run
from godel_tasks.instances.drivers.openclaw.completions import (
    completion_of_answer,
    completion_of_found,
    completion_of_judgement,
    failed,
)
from godel_tasks.instances.drivers.openclaw.credentials import keep_device_token, resolve
from godel_tasks.instances.drivers.openclaw.ends import Judgement, Kind, judge_final, judge_refusal
from godel_tasks.instances.drivers.openclaw.gateway import CallFailed, Gateway, NobodyListens
from godel_tasks.instances.drivers.openclaw.health import health_of, main_lane, metrics_of
from godel_tasks.instances.drivers.openclaw.runs import Run, RunBook
from godel_tasks.instances.drivers.openclaw.strays import abort_strays
from godel_tasks.instances.drivers.openclaw.turns import is_ours, turn_of
from godel_tasks.instances.instance import AttendedConnection, ConnectionListener, Probe

log = logging.getLogger(__name__)

#: A gateway that will not have us is asked again so rarely: somebody has to change something first.
REFUSED_AGAIN_S = 5.0
#: Seconds between two tries to stop a run that goes on.
STOP_AGAIN_S = 0.5
#: Words of a run are passed on at most so often.
PROGRESS_EVERY_S = 0.1
PROBE_TIMEOUT_S = 5.0


class OpenclawConnection(AttendedConnection):
    """Everything goes over one WebSocket; requests are told apart by their ids."""

    def __init__(
        self,
        config: InstanceConfig,
        listener: ConnectionListener,
        scopes: tuple[str, ...],
        random: Random | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        self._listener = listener
        self._scopes = scopes
        self._backoff = Backoff(random or Random())
        self._clock = clock or SystemClock()
        self._task: asyncio.Task[None] | None = None
        self._gateway: Gateway | None = None
        self._boot_id = ""
        self._error = ""
        self._refused = False
        #: It takes nothing new until it has started anew.
        self._draining = False
        self._book = RunBook(config.instance_id)
        self._beside: set[asyncio.Task[None]] = set()
        self.completed = 0
        self.failed = 0

    def __repr__(self) -> str:
        if self._gateway is not None:
            drain = ", draining" if self._draining else ""
            state = f"connected to boot {self._boot_id[:8]}{drain}, {len(self._book.running)} runs"
        elif self._task is None:
            state = "stopped"
        else:
            state = f"connecting, try {self._backoff.tries}" + (
                f" ({self._error})" if self._error else ""
            )
        return f"<OpenclawConnection {self.endpoint} {state}>"

    @property
    def endpoint(self) -> str:
        return self.config.endpoint

    @property
    def connected(self) -> bool:
        return self._gateway is not None

    @property
    def boot_id(self) -> str:
        return self._boot_id

    @property
    def problem(self) -> str:
        return "" if self.connected else self._error

    @property
    def refused(self) -> bool:
        return self._refused

    @property
    def gateway(self) -> Gateway:
        """Raises: InstanceUnavailable: not connected."""
        if self._gateway is None:
            why = f": {self._error}" if self._error else ""
            raise InstanceUnavailable(f"{self.endpoint} is not connected{why}")
        return self._gateway

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await end_task(task)
        self._gateway = None
        await self._end_beside()

    # -- the standing connection -------------------------------------------------------------

    async def _run(self) -> None:
        """Connect, serve until it breaks, wait, again."""
        while True:
            try:
                credentials = resolve(self.config.credentials)
                gateway = await Gateway.connect(self.endpoint, credentials, self._scopes)
            except InstanceError as error:
                self._refused = isinstance(error, NobodyListens)
                self._tell(error)
                await self._clock.sleep(
                    self._backoff.next_s() if error.retryable else REFUSED_AGAIN_S
                )
                continue
            if gateway.hello.device_token:
                self._keep(gateway.hello.device_token)
            self._stands(gateway)
            self._error = await self._serve(gateway)
            self._gateway = None
            self._book.detach()
            await self._end_beside()
            self._listener.on_disconnected(self.endpoint, self._error)
            await self._clock.sleep(self._backoff.next_s())

    async def _serve(self, gateway: Gateway) -> str:
        """Until it breaks; why it broke. What nobody foresaw costs a connection, not the way to the
        gateway."""
        try:
            return await gateway.serve(self._on_event)
        except Exception as error:
            log.exception("the connection to %s broke", self.endpoint)
            return f"{type(error).__name__}: {error}"

    def _stands(self, gateway: Gateway) -> None:
        boot_id = gateway.hello.boot_id
        if boot_id != self._boot_id:
            self._book.clear()
        self._gateway, self._boot_id = gateway, boot_id
        self._refused = self._draining = False
        self._error = ""
        self._backoff.reset()
        self._listener.on_connected(self.endpoint)

    def _keep(self, device_token: str) -> None:
        try:
            keep_device_token(self.config.credentials, device_token)
        except (OSError, InstanceError) as error:
            log.warning("the device token of %s is not kept: %s", self.config.instance_id, error)

    def _tell(self, error: InstanceError) -> None:
        """What a person has to change is logged, once."""
        text = str(error)
        if text != self._error and not error.retryable:
            log.warning("instance %s: %s", self.config.instance_id, text)
        self._error = text

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._on_beside_done)

    def _on_beside_done(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the connection to %s: %r", self.endpoint, error, exc_info=error)

    async def _end_beside(self) -> None:
        for task in list(self._beside):
            await end_task(task)

    # -- attempts ----------------------------------------------------------------------------

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        gateway = self.gateway
        now = self._clock.monotonic()
        for delivery in deliveries:
            answer = self._book.offer(delivery, now)
            if isinstance(answer, Run):
                self._begin(gateway, answer)
            elif answer is not None:
                self._complete_soon(answer)

    def _begin(self, gateway: Gateway, run: Run) -> None:
        delivery = run.delivery
        try:
            turn = turn_of(delivery, gateway.hello.agent_id)
        except InvalidTask as error:
            self._complete_soon_and_end(run, failed(delivery, error))
            return
        run.session_key = turn.session_key
        if (size := len(delivery.payload)) > gateway.hello.payload_limit:
            # The gateway would cut the connection, and with it every other turn on its way.
            limit = gateway.hello.payload_limit
            too_large = PayloadTooLarge(f"{size:,} bytes; the gateway takes {limit:,} at most")
            self._complete_soon_and_end(run, failed(delivery, too_large))
            return
        if delivery.timeout_ms:
            loop = asyncio.get_running_loop()
            run.timer = loop.call_later(
                delivery.timeout_ms / 1000, self._ask_to_stop, run, End.TIMED_OUT
            )
        if delivery.may_have_run:
            self._spawn(self._adopt(gateway, run, turn.params))
        elif self._draining:
            self._end(run, Judgement(Kind.DRAINING, "the gateway is draining"))
        else:
            self._request(gateway, run, turn.params)

    def _request(self, gateway: Gateway, run: Run, params: dict[str, Any]) -> None:
        gateway.send("agent", params, lambda frame: self._on_answer(gateway, run, frame))

    def _on_answer(self, gateway: Gateway, run: Run, frame: frames.Frame) -> bool:
        """A response to `agent`; True for the last one."""
        answer = frames.answer_decoder.decode(frame.payload) or frames.AgentAnswer()
        if not frame.ok and not run.accepted:
            judgement = judge_refusal(frame.error or frames.GatewayError())
            if judgement.kind is Kind.DRAINING:
                self._draining = True
            self._end(run, judgement)
            return True
        if frame.ok and answer.status in ("accepted", "started"):
            run.accepted = True
            return False
        if frame.ok and answer.status == "in_flight":
            run.accepted = True
            self._spawn(self._adopt(gateway, run, None))
            return True
        judgement = judge_final(
            ok=frame.ok, answer=answer, error=frame.error, stopping=run.stopping
        )
        self._settle(run, completion_of_answer(run, judgement, answer, self._ran_ms(run)))
        return True

    async def _adopt(self, gateway: Gateway, run: Run, params: dict[str, Any] | None) -> None:
        """Find out what became of it, and begin it only if it never was (`params`)."""
        try:
            found = await follow(gateway, run.key, run.session_key, lambda: run.stopping)
        except CallFailed as error:
            if error.error.reason == "gateway-restarting":
                # It goes on to its end; nobody is told of it but who asked for it. Asked again when
                # the gateway is back, or its generation is over.
                return
            self._end(run, Judgement(Kind.UNKNOWN, str(error)))
            return
        except InstanceUnavailable:
            return  # the connection broke: it is delivered again
        if found is not None:
            self._settle(run, completion_of_found(run, found, self._ran_ms(run)))
        elif params is None:
            self._end(run, Judgement(Kind.UNKNOWN, "the gateway has lost sight of it"))
        elif run.stopping is not None:
            self._end(run, Judgement(Kind.CANCELLED, "cancelled before it began"))
        else:
            self._request(gateway, run, params)

    def _end(self, run: Run, judgement: Judgement) -> None:
        self._settle(run, completion_of_judgement(run, judgement, self._ran_ms(run)))

    def _settle(self, run: Run, completion: Completion) -> None:
        if not self._book.end(run, completion):
            return
        if completion.end is End.OK:
            self.completed += 1
        elif completion.end is not End.REJECTED:
            self.failed += 1
        self._listener.on_completions([completion])

    def _complete_soon(self, completion: Completion) -> None:
        """Never while the caller still delivers."""
        asyncio.get_running_loop().call_soon(self._listener.on_completions, [completion])

    def _complete_soon_and_end(self, run: Run, completion: Completion) -> None:
        asyncio.get_running_loop().call_soon(self._settle, run, completion)

    def _ran_ms(self, run: Run) -> float:
        return (self._clock.monotonic() - run.began) * 1000

    # -- stopping ----------------------------------------------------------------------------

    def cancel(self, instance_id: str, keys: Sequence[str]) -> None:
        gateway = self._gateway
        if gateway is None:
            return
        for key in keys:
            run = self._book.running.get(key)
            ended = self._book.ended(key)
            if instance_id != self.config.instance_id:
                message = f"this is {self.config.instance_id!r}, not {instance_id!r}"
                self._complete_soon(
                    rejected_key(key, instance_id, Refusal.UNKNOWN_INSTANCE, message)
                )
            elif run is not None:
                self._ask_to_stop(run, End.CANCELLED)
            elif ended is not None:
                self._complete_soon(ended)
            else:
                self._spawn(self._stop_anothers(gateway, key))

    def _ask_to_stop(self, run: Run, why: End) -> None:
        if run.stopping is None and self._gateway is not None:
            run.stopping = why
            self._spawn(self._insist_on_stop(self._gateway, run))

    async def _insist_on_stop(self, gateway: Gateway, run: Run) -> None:
        """Until its end comes: an abort may come before the gateway has begun the run."""
        while self._book.running.get(run.key) is run:
            try:
                await stop_run(gateway, run.key, run.session_key)
            except InstanceError as error:
                log.debug("stopping %s: %s", run.key, error)
            await self._clock.sleep(STOP_AGAIN_S)

    async def _stop_anothers(self, gateway: Gateway, key: str) -> None:
        """Stop what another connection began; whoever asked is told."""
        try:
            stopped = await stop_run(gateway, key, "")
        except InstanceError:
            return  # asked again by whoever wants it
        refusal = rejected_key(
            key, self.config.instance_id, Refusal.UNKNOWN_ATTEMPT, "no such attempt is known here"
        )
        if stopped:
            refusal = Completion(
                refusal.task_id, refusal.attempt, refusal.instance_id, End.CANCELLED
            )
        self._listener.on_completions([refusal])

    def acknowledge(self, instance_id: str, keys: Sequence[str]) -> None:
        if instance_id == self.config.instance_id:
            self._book.acknowledge(keys)

    async def inventory(self, instance_id: str) -> frozenset[str]:
        if instance_id != self.config.instance_id:
            raise UnknownInstance(f"no instance {instance_id!r} is behind {self.endpoint}")
        tasks = await running_tasks(self.gateway)
        return frozenset(
            str(task["runId"])
            for task in tasks
            if task.get("runId") and is_ours(str(task.get("sessionKey", "")))
        )

    # -- what the gateway says by itself -----------------------------------------------------

    def _on_event(self, name: str, text: str) -> None:
        if name == "agent":
            if frames.is_word(text):
                self._on_word(text)
        elif name == "shutdown":
            self._draining = True

    def _on_word(self, text: str) -> None:
        run = self._book.running.get(frames.run_of(text))
        if run is None:
            return
        now = self._clock.monotonic()
        if now >= run.progress_at:
            run.progress_at = now + PROGRESS_EVERY_S
            delivery = run.delivery
            words = frames.word_of(text)
            self._listener.on_progress(
                Progress(delivery.task_id, delivery.attempt, delivery.instance_id, words)
            )

    # -- attendance --------------------------------------------------------------------------

    def silent_s(self) -> float:
        return self._gateway.silent_s() if self._gateway else float("inf")

    async def probe(self, instance_id: str) -> Probe:
        if instance_id != self.config.instance_id:
            raise UnknownInstance(f"no instance {instance_id!r} is behind {self.endpoint}")
        gateway = self.gateway
        began = self._clock.monotonic()
        try:
            health = await gateway.call("health", timeout_s=PROBE_TIMEOUT_S)
            latency_ms = (self._clock.monotonic() - began) * 1000
            system = await gateway.call("system.info", timeout_s=PROBE_TIMEOUT_S)
            lanes = await gateway.call("diagnostics.lanes", timeout_s=PROBE_TIMEOUT_S)
        except CallFailed as error:
            if error.error.reason != "gateway-restarting":
                raise
            self._draining = True
            latency_ms = (self._clock.monotonic() - began) * 1000
            status = HealthStatus(Health.DEGRADED, latency_ms, "the gateway is draining")
            return Probe(status, InstanceMetrics(), accepting=False)
        counts = {"completed": self.completed, "failed": self.failed}
        accepting = not self._draining and not main_lane(lanes).get("draining")
        return Probe(
            health_of(health, latency_ms), metrics_of(health, system, lanes, **counts), accepting
        )

    async def abort_strays(self) -> int:
        return await abort_strays(self.gateway, self._clock)
