"""The picture says what the report says: drawn to scale, nothing left out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.demo.versus import picture
from godel_tasks.demo.versus.panel import seconds
from godel_tasks.demo.versus.png import HINT, draw_png
from godel_tasks.demo.versus.scale import Scale, round_step

SVG = "{http://www.w3.org/2000/svg}"


def side(waits: list[list[Any]], *targets: str, **more: Any) -> dict[str, Any]:
    longest = max(wait for _, wait, _ in waits)
    return {
        "accepted": 20_060, "finished": 20_060, "lost": 0, "held": 0, "reruns": 0,
        "seconds": 98.7, "p50_s": waits[0][1], "p99_s": longest, "max_s": longest, "waits": waits,
        "never_started": sum(not started for *_, started in waits),
        "kills": [{"kind": "worker", "target": name, "at_s": 2.0} for name in targets],
        "settings": ["a_setting=7 & more"],
    } | more  # fmt: skip


def report(**changes: Any) -> dict[str, Any]:
    return {
        "tasks": 20_000, "every_s": 1.0, "task_ms": 25.2, "plan": "Both: the same.",
        "machine": "2 cores",
        "celery": side([[0.0, 10.0, True], [1.0, 40.0, True], [2.0, 20.0, True]], "worker1",
                       lost=3, held=4, reruns=5),
        "godel": side([[0.0, 0.1, True], [1.0, 0.2, True], [2.0, 0.1, True]], "one", "two"),
    } | changes  # fmt: skip


class Drawn:
    """A drawn report, read back."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.root = ET.fromstring(picture.draw(told))

    def of(self, tag: str, look: str) -> list[ET.Element]:
        return [e for e in self.root.iter(SVG + tag) if e.get("class") == look]

    @property
    def words(self) -> list[str]:
        return [e.text or "" for e in self.root.iter(SVG + "text")]

    def heights(self, key: str) -> list[float]:
        """Of the stems of a side's first panel, with the legend's left out."""
        stems = self.of("line", f"{key} stem")[1:4]
        return [float(e.get("y1", 0)) - float(e.get("y2", 0)) for e in stems]


def test_both_sides_are_drawn_to_one_scale() -> None:
    # Given Celery's waits of 10, 40 and 20 s, and Godel's of a fifth of a second at most
    drawn = Drawn(report())
    # Then Celery's stems have the proportions of the waits
    first, second, third = drawn.heights("celery")
    assert second == pytest.approx(4 * first, abs=0.3)
    assert third == pytest.approx(2 * first, abs=0.3)
    # And Godel's stand on the same scale beside them
    assert max(drawn.heights("godel")) == pytest.approx(second * 0.2 / 40, abs=0.11)


def test_what_cannot_be_seen_is_shown_magnified_and_says_by_how_much() -> None:
    # Given Godel's waits that are dots on the axis
    drawn = Drawn(report())
    # Then they are drawn once more, with the factor: 40 s and 200 ms are the ends of the axes
    assert "Godel, magnified 200 times" in drawn.words
    assert "200 ms" in drawn.words
    assert len(drawn.of("circle", "godel")) == 1 + 3 + 3
    # But not where they are plain to see
    told = report(godel=side([[0.0, 30.0, True]], "one"))
    assert not [words for words in Drawn(told).words if "magnified" in words]


def test_kills_counts_and_settings_are_all_there() -> None:
    drawn = Drawn(report())
    # Each panel has one mark per moment, with the names
    assert len(drawn.of("line", "kill")) == 3
    assert "kill -9 worker1" in drawn.words
    assert drawn.words.count("kill -9 one and two") == 2
    # The table has the counts in the order of its columns
    bold = [e.text for e in drawn.of("text", "h")]
    assert bold[-10:-5] == ["20,060", "3", "4", "5", "99 s"]
    assert bold[-5:] == ["20,060", "0", "0", "0", "99 s"]
    # And the small print the settings, escaped as XML wants it
    assert drawn.words.count("a_setting=7 & more") == 2
    assert "Both: the same." in drawn.words
    # And the figures are in words for those who do not see
    (about,) = drawn.root.iter(SVG + "desc")
    assert "40 s at the 99th percentile" in (about.text or "")


def test_a_task_that_never_started_is_marked_as_such() -> None:
    # Given one of Celery's tasks that had not started when all ended
    celery = side([[0.0, 10.0, True], [1.0, 40.0, False]], "worker1")
    drawn = Drawn(report(celery=celery))
    # Then it is a hollow arrow and not a dot, and the legend explains it
    assert len(drawn.of("path", "celery open")) == 1 + 1
    assert len(drawn.of("circle", "celery")) == 1 + 1
    assert any("had not started" in words for words in drawn.words)
    # And without one there is no word of it
    assert not any("had not started" in words for words in Drawn(report()).words)


def test_everything_stands_inside_of_the_picture() -> None:
    drawn = Drawn(report())
    _, _, width, height = map(float, drawn.root.get("viewBox", "").split())
    for element in drawn.root.iter(SVG + "text"):
        assert 0 < float(element.get("x", -1)) < width
        assert 0 < float(element.get("y", -1)) < height - 8


def test_the_same_report_gives_the_same_bytes() -> None:
    assert picture.draw(report()) == picture.draw(report())


def test_steps_are_round_and_not_too_many() -> None:
    table = {0.03: 0.05, 0.05: 0.05, 0.3: 0.5, 1: 1, 1.1: 2, 19.9: 20, 21: 50, 99: 100}
    assert {about: round_step(about) for about in table} == pytest.approx(table)
    scale = Scale.of([[[0.0, 79.7, True], [59.0, 3.0, True]]])
    assert scale.lines() == [0, 20, 40, 60, 80]
    assert (scale.sent_s, list(scale.ticks())) == (60, [0, 10, 20, 30, 40, 50, 60])


def test_durations_are_short_words() -> None:
    told = {None: "-", 0.0094: "9 ms", 0.12: "120 ms", 1.0: "1.0 s", 9.94: "9.9 s", 79.7: "80 s"}
    assert {value: seconds(value) for value in told} == told


def test_without_the_program_that_draws_pngs_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a machine without it
    monkeypatch.setenv("PATH", str(tmp_path))
    svg = tmp_path / "a.svg"
    svg.write_text(picture.draw(report()))
    # Then there is a reason instead of a picture
    assert draw_png(svg) == (None, HINT)
    assert "apt-get install" in HINT
