"""Plays one turn: what the model says, when, and how it fails. A timer only where it must wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from godel_tasks.testing.fake_gateway.answers import REJECTED, failure_text, is_asked_again
from godel_tasks.testing.fake_gateway.runs import How, Run
from godel_tasks.testing.standin.script import Turn, parse

if TYPE_CHECKING:
    from godel_tasks.testing.fake_gateway.work import Work


class Playing:
    """One run at work."""

    __slots__ = ("_at", "_failing", "_loop", "_run", "_tries", "_turn", "_words", "_work")

    def __init__(self, work: Work, run: Run) -> None:
        self._work = work
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._tries = 0
        self._turn = Turn()
        self._words: tuple[str, ...] = ()
        self._at = 0
        self._failing = False

    def begin(self) -> None:
        run, work, habits = self._run, self._work, self._work.habits
        try:
            if habits.script is not None:
                self._turn = habits.script(run.message, run.session.key)
            else:
                self._turn = parse(run.message, habits.defaults)
        except ValueError as error:
            work.end(run, How.FAILED, f"{REJECTED} ({error})")
            return
        self._words = self._turn.words
        self._call()
        turn = self._turn
        longest = turn.latency_s + turn.delay_s * len(self._words)
        if run.how is None and run.timeout_s and (turn.hang or longest > run.timeout_s):
            run.up = self._loop.call_later(run.timeout_s, self._time_is_up)

    def _call(self) -> None:
        """Ask the model, again maybe."""
        turn = self._turn
        self._failing = turn.fails(self._work.count_call(self._run.message))
        self._at = 0
        if not turn.hang:
            self._after(turn.latency_s, self._answer)

    def _answer(self) -> None:
        turn = self._turn
        if self._failing and turn.fail != "cut":
            self._fail()
        elif turn.delay_s:
            self._word()
        else:
            upto = max(1, len(self._words) // 2) if self._failing else len(self._words)
            if upto:
                self._work.say(self._run, "".join(self._words[:upto]), upto)
            if self._failing:
                self._fail()
            else:
                self._work.end(self._run, How.OK)

    def _word(self) -> None:
        words = self._words
        if self._at < len(words):
            self._work.say(self._run, words[self._at], 1)
            self._at += 1
        if self._failing and self._at >= max(1, len(words) // 2):
            self._fail()
        elif self._at >= len(words):
            self._work.end(self._run, How.OK)
        else:
            self._after(self._turn.delay_s, self._word)

    def _fail(self) -> None:
        run, habits, fail = self._run, self._work.habits, self._turn.fail
        if not is_asked_again(fail) or self._tries >= habits.retries:
            self._work.end(run, How.FAILED, failure_text(fail))
            return
        self._tries += 1
        run.said, run.words = "", 0
        reason = {"429": "rate_limit", "refused": "network", "cut": "network"}
        self._work.emit(
            run,
            "run_status",
            {
                "phase": "retrying",
                "retryAttempt": self._tries,
                "maxRetries": habits.retries,
                "delayMs": round(habits.retry_delay_s * 1000),
                "reason": reason.get(fail, "server_error"),
            },
        )
        self._after(habits.retry_delay_s, self._call)

    def _time_is_up(self) -> None:
        self._work.end(self._run, How.TIMEOUT)

    def _after(self, delay_s: float, step: Callable[[], None]) -> None:
        if delay_s:
            self._run.timer = self._loop.call_later(delay_s, step)
        else:
            step()
