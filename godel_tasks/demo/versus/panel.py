"""One plot of the picture: a stem with a dot for each task, and when somebody was killed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from godel_tasks.demo.versus import svg
from godel_tasks.demo.versus.scale import Scale

MARGIN = 28
#: Edges of every plot.
LEFT, RIGHT = 88, 772
#: From the heading's line to the top of the plot, and from its floor to the next heading.
ABOVE, BELOW = 38, 58
#: Of the labels of both axes.
SIZE = 16


@dataclass(frozen=True, slots=True)
class Panel:
    """`side` is what the checker says of it; `plot` is in pixels."""

    key: str
    name: str
    figures: str
    side: Mapping[str, Any]
    scale: Scale
    plot: int

    @property
    def height(self) -> int:
        return ABOVE + self.plot + BELOW

    def draw(self, top: float) -> Iterator[str]:
        """With its heading's line at `top`."""
        floor = top + ABOVE + self.plot
        yield svg.text(MARGIN, top, 24, self.name, f"{self.key} name")
        yield svg.text(RIGHT, top, 22, self.figures, "h", "end")
        yield from self._grid(floor)
        yield from self._kills(floor)
        yield from self._waits(floor)

    def _x(self, sent_s: float) -> float:
        return LEFT + (RIGHT - LEFT) * sent_s / self.scale.sent_s

    def _y(self, wait_s: float, floor: float) -> float:
        return floor - self.plot * wait_s / self.scale.wait_s

    def _grid(self, floor: float) -> Iterator[str]:
        for wait_s in self.scale.lines():
            y = self._y(wait_s, floor)
            yield svg.line(LEFT, y, RIGHT, y, "grid" if wait_s else "axis")
            yield svg.text(LEFT - 8, y + 5.5, SIZE, self._label(wait_s), "m", "end")
        for tick in self.scale.ticks():
            yield svg.text(self._x(tick), floor + 20, SIZE, str(tick), "m", "middle")

    def _label(self, wait_s: float) -> str:
        return f"{wait_s:g} s" if self.scale.step_s >= 1 else f"{wait_s * 1000:.0f} ms"

    def _kills(self, floor: float) -> Iterator[str]:
        for at_s, names in kills(self.side):
            x = self._x(at_s)
            yield svg.line(x, floor - self.plot - 24, x, floor, "kill")
            yield svg.text(x + 8, floor - self.plot - 11, 15, f"kill -9 {names}", "killed")

    def _waits(self, floor: float) -> Iterator[str]:
        for sent_s, wait_s, started in self.side["waits"]:
            x, y = self._x(sent_s), self._y(wait_s, floor)
            yield svg.line(x, floor, x, y, f"{self.key} stem")
            look = self.key
            yield svg.dot(x, y, 3, look) if started else svg.arrow_up(x, y, 5, f"{look} open")


def kills(side: Mapping[str, Any]) -> list[tuple[float, str]]:
    """Moments, and who was killed then."""
    at: dict[float, list[str]] = {}
    for kill in side["kills"]:
        at.setdefault(kill["at_s"], []).append(kill["target"])
    return [(moment, " and ".join(names)) for moment, names in at.items()]


def seconds(value: float | None) -> str:
    """A duration as people say it."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
