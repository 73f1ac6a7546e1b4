"""What a prompt asks of the stand-in: directives in double brackets, anywhere in its text.

    [[latency=2.5]]      seconds before the first word
    [[tokens=40]]        words of the reply: repeated, or cut, to so many
    [[delay=0.05]]       seconds between two words
    [[reply=some text]]  instead of `echo: <the prompt without its directives>`
    [[fail=500]]         any status of 400 to 599, each time
    [[fail=429x1]]       the first time only; `x2` the first two times, and so on
    [[fail=refused]]     drops the connection before any answer
    [[fail=cut]]         drops it in the middle of the reply
    [[hang]]             never answers

They combine, each once. They are in the prompt so that they work across processes. Nothing here
counts or waits.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

#: A trailing bracket belongs to the value: `[[reply=[1]]]` replies `[1]`.
_DIRECTIVE = re.compile(r"\[\[([A-Za-z][\w-]*)(?:=(.*?))?\]\](?!\])", re.DOTALL)
_FAIL = re.compile(r"(?P<what>[45]\d\d|refused|cut)(?:x(?P<times>[1-9]\d*))?")
_NAMES = ("latency", "tokens", "delay", "reply", "fail", "hang")


@dataclass(frozen=True)
class Turn:
    """How one call of the model goes.

    `reply` is None only before `parse`. `tokens` None: as many words as the reply has. `fail` is
    "" (does not), a status, "refused" or "cut"; `fail_times` None: each time.
    """

    latency_s: float = 0.0
    delay_s: float = 0.0
    reply: str | None = None
    tokens: int | None = None
    fail: str = ""
    fail_times: int | None = None
    hang: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The reply in pieces of a word, with the space that follows; joined, they are `text`."""
        words = re.findall(r"\S+\s*", (self.reply or "").strip())
        if self.tokens is None or self.tokens == len(words):
            return tuple(words)
        if words and self.tokens > len(words):
            words[-1] += " "
        pieces = list(islice(cycle(words), self.tokens))
        if pieces:
            pieces[-1] = pieces[-1].rstrip()
        return tuple(pieces)

    @property
    def text(self) -> str:
        """All that is said when nothing fails."""
        return "".join(self.words)

    @property
    def fail_status(self) -> int | None:
        """The HTTP status of the failure, if it is one."""
        return int(self.fail) if self.fail.isdigit() else None

    def fails(self, call: int) -> bool:
        """Whether the `call`-th call of this prompt fails; the first is 1."""
        return bool(self.fail) and (self.fail_times is None or call <= self.fail_times)


_DEFAULTS = Turn()


def parse(text: str, defaults: Turn = _DEFAULTS) -> Turn:
    """What `text` asks for, and `defaults` for the rest.

    Raises:
        ValueError: a directive is unknown, given twice, or its value is none of its kind.
    """
    said: dict[str, Any] = {}
    for name, value in _DIRECTIVE.findall(text):
        for field, meant in _meant(name, value).items():
            if field in said:
                raise ValueError(f"directive [[{name}]] is given twice")
            said[field] = meant
    if "reply" not in said and defaults.reply is None:
        said["reply"] = f"echo: {without_directives(text)}"
    return replace(defaults, **said)


def without_directives(text: str) -> str:
    """The prompt as a person would have written it."""
    return re.sub(rf"[ \t]*{_DIRECTIVE.pattern}", "", text, flags=re.DOTALL).strip()


def _meant(name: str, value: str) -> dict[str, Any]:
    match name:
        case "latency" | "delay":
            return {f"{name}_s": _seconds(name, value)}
        case "tokens":
            if not re.fullmatch(r"\d{1,6}", value, re.ASCII):
                raise ValueError(f"[[tokens={value}]] is not a number of words")
            return {"tokens": int(value)}
        case "reply":
            return {"reply": value}
        case "hang":
            if value:
                raise ValueError(f"[[hang={value}]] takes no value")
            return {"hang": True}
        case "fail":
            found = _FAIL.fullmatch(value)
            if not found:
                raise ValueError(
                    f"[[fail={value}]] is none of: a status of 400 to 599, refused, cut;"
                    " with x1 behind it, the first time only"
                )
            times = found["times"]
            return {"fail": found["what"], "fail_times": int(times) if times else None}
    near = difflib.get_close_matches(name.lower(), _NAMES, n=1, cutoff=0.0)[0]
    raise ValueError(f"unknown directive [[{name}]]; did you mean [[{near}]]?")


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"[[{name}={value}]] is not a number of seconds")
    return seconds
