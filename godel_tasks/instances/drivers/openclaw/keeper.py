"""RunKeeper: the attempts of one connection, from their delivery to their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec

from godel_tasks.clock import Clock
from godel_tasks.domain.attempt import Completion, Delivery, End, Progress
from godel_tasks.errors import InstanceError, InvalidTask, PayloadTooLarge
from godel_tasks.instances.attempts import Refusal, rejected_key
from godel_tasks.instances.background import end_task
from godel_tasks.instances.drivers.openclaw import frames
from godel_tasks.instances.drivers.openclaw.adoption import Found, follow, stop_run
from godel_tasks.instances.drivers.openclaw.completions import (
    completion_of_answer,
    completion_of_found,
    completion_of_judgement,
    failed,
)
from godel_tasks.instances.drivers.openclaw.ends import Judgement, Kind, judge_final, judge_refusal
from godel_tasks.instances.drivers.openclaw.gateway import Gateway
from godel_tasks.instances.drivers.openclaw.runs import Run, RunBook
from godel_tasks.instances.drivers.openclaw.turns import turn_of
from godel_tasks.instances.instance import ConnectionListener

log = logging.getLogger(__name__)

#: Seconds between two tries to stop a run that goes on, at first and at most.
STOP_AGAIN_S = 0.5
STOP_SELDOM_S = 5.0
#: Seconds until a gateway that did not say what became of a run is asked again.
ASK_AGAIN_S = 1.0
#: Words of a run are passed on at most so often.
PROGRESS_EVERY_S = 0.1


class RunKeeper:
    """Lives as long as one socket; the book outlives it."""

    def __init__(
        self,
        instance_id: str,
        gateway: Gateway,
        book: RunBook,
        listener: ConnectionListener,
        clock: Clock,
    ) -> None:
        self._instance_id = instance_id
        self._gateway = gateway
        self._book = book
        self._listener = listener
        self._clock = clock
        self._beside: set[asyncio.Task[None]] = set()
        #: The gateway takes nothing new until it has started anew.
        self.draining = False

    async def close(self) -> None:
        """The socket is gone: whoever delivered what runs delivers it again."""
        self._book.detach()
        for task in list(self._beside):
            await end_task(task)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._on_beside_done)

    def _on_beside_done(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%r: %r", self._gateway, error, exc_info=error)

    # -- attempts ----------------------------------------------------------------------------

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        now = self._clock.monotonic()
        for delivery in deliveries:
            answer = self._book.offer(delivery, now)
            if isinstance(answer, Run):
                self._begin(answer)
            elif answer is not None:
                self._complete_soon(answer)

    def _begin(self, run: Run) -> None:
        delivery = run.delivery
        try:
            turn = turn_of(delivery, self._gateway.hello.agent_id)
        except InvalidTask as error:
            self._complete_soon_and_end(run, failed(delivery, error))
            return
        run.session_key = turn.session_key
        if (size := len(delivery.payload)) > self._gateway.hello.payload_limit:
            # The gateway would cut the connection, and with it every other turn on its way.
            limit = self._gateway.hello.payload_limit
            too_large = PayloadTooLarge(f"{size:,} bytes; the gateway takes {limit:,} at most")
            self._complete_soon_and_end(run, failed(delivery, too_large))
            return
        if delivery.timeout_ms:
            loop = asyncio.get_running_loop()
            run.timer = loop.call_later(
                delivery.timeout_ms / 1000, self._ask_to_stop, run, End.TIMED_OUT
            )
        if delivery.may_have_run:
            self._spawn(self._adopt(run, turn.params))
        elif self.draining:
            judgement = Judgement(Kind.DRAINING, "the gateway is draining")
            self._complete_soon_and_end(run, completion_of_judgement(run, judgement, 0.0))
        else:
            self._request(run, turn.params)

    def _request(self, run: Run, params: dict[str, Any]) -> None:
        self._gateway.send("agent", params, lambda frame: self._on_answer(run, frame))

    def _on_answer(self, run: Run, frame: frames.Frame) -> bool:
        """A response to `agent`; True for the last one."""
        answer = frames.answer_decoder.decode(frame.payload) or frames.AgentAnswer()
        if not frame.ok and not run.accepted:
            judgement = judge_refusal(frame.error or frames.GatewayError())
            if judgement.kind is Kind.DRAINING:
                self.draining = True
            self._end(run, judgement)
            return True
        if frame.ok and answer.status in ("accepted", "started"):
            run.accepted = True
            return False
        if frame.ok and answer.status == "in_flight":
            run.accepted = True
            self._spawn(self._adopt(run, None))
            return True
        judgement = judge_final(
            ok=frame.ok, answer=answer, error=frame.error, stopping=run.stopping
        )
        self._settle(run, completion_of_answer(run, judgement, answer, self._ran_ms(run)))
        return True

    async def _adopt(self, run: Run, params: dict[str, Any] | None) -> None:
        """Find out what became of it, and begin it only if it never was (`params`)."""
        try:
            found = await self._follow(run)
        except InstanceError as error:
            self._end(run, Judgement(Kind.UNKNOWN, str(error)))
            return
        except (AttributeError, LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
            log.exception("what became of %s cannot be read", run.key)
            why = f"the gateway's answer cannot be read: {type(error).__name__}: {error}"
            self._end(run, Judgement(Kind.UNKNOWN, why))
            return
        if found is not None:
            self._settle(run, completion_of_found(run, found, self._ran_ms(run)))
        elif params is None:
            self._end(run, Judgement(Kind.UNKNOWN, "the gateway has lost sight of it"))
        elif run.stopping is not None:
            self._end(run, Judgement(Kind.CANCELLED, "cancelled before it began"))
        else:
            self._request(run, params)

    async def _follow(self, run: Run) -> Found | None:
        """`adoption.follow`, asked again while the gateway is too busy or drains; when the line is
        gone, this ends with it."""
        while True:
            try:
                return await follow(self._gateway, run.key, run.session_key, lambda: run.stopping)
            except InstanceError as error:
                if not error.retryable:
                    raise
                log.debug("asking for %s: %s", run.key, error)
            await self._clock.sleep(ASK_AGAIN_S)

    def _end(self, run: Run, judgement: Judgement) -> None:
        self._settle(run, completion_of_judgement(run, judgement, self._ran_ms(run)))

    def _settle(self, run: Run, completion: Completion) -> None:
        if self._book.end(run, completion):
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
        for key in keys:
            run = self._book.running.get(key)
            ended = self._book.ended(key)
            if instance_id != self._instance_id:
                message = f"this is {self._instance_id!r}, not {instance_id!r}"
                self._complete_soon(
                    rejected_key(key, instance_id, Refusal.UNKNOWN_INSTANCE, message)
                )
            elif run is not None:
                self._ask_to_stop(run, End.CANCELLED)
            elif ended is not None:
                self._complete_soon(ended)
            else:
                self._spawn(self._stop_anothers(key))

    def _ask_to_stop(self, run: Run, why: End) -> None:
        if run.stopping is None:
            run.stopping = why
            self._spawn(self._insist_on_stop(run))

    async def _insist_on_stop(self, run: Run) -> None:
        """Until its end comes: an abort may come before the gateway has begun the run."""
        pause_s = STOP_AGAIN_S
        while self._book.running.get(run.key) is run:
            try:
                await stop_run(self._gateway, run.key, run.session_key)
            except InstanceError as error:
                log.debug("stopping %s: %s", run.key, error)
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, STOP_SELDOM_S)

    async def _stop_anothers(self, key: str) -> None:
        """Stop what another connection began; whoever asked is told."""
        try:
            stopped = await stop_run(self._gateway, key, "")
        except InstanceError:
            return  # asked again by whoever wants it
        refusal = rejected_key(
            key, self._instance_id, Refusal.UNKNOWN_ATTEMPT, "no such attempt is known here"
        )
        if stopped:
            refusal = Completion(
                refusal.task_id, refusal.attempt, refusal.instance_id, End.CANCELLED
            )
        self._listener.on_completions([refusal])

    # -- words -------------------------------------------------------------------------------

    def on_word(self, text: str) -> None:
        """An event with what the assistant of some run has said so far."""
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
