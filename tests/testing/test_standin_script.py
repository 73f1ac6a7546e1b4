"""What a prompt asks of the stand-in model."""

from __future__ import annotations

import pytest

from godel_tasks.testing.standin.script import Turn, parse, without_directives


@pytest.mark.parametrize(
    ("prompt", "turn"),
    [
        ("hello there", Turn(reply="echo: hello there")),
        ("[[latency=2.5]] hi", Turn(latency_s=2.5, reply="echo: hi")),
        ("hi [[tokens=40]]", Turn(tokens=40, reply="echo: hi")),
        ("say [[delay=0.05]] it", Turn(delay_s=0.05, reply="echo: say it")),
        ("hi [[reply=some text]]", Turn(reply="some text")),
        ("hi [[reply=]]", Turn(reply="")),
        ("[[reply=[1, [2]]]]", Turn(reply="[1, [2]]")),
        ("[[reply=a\nb]]", Turn(reply="a\nb")),
        ("hi [[fail=500]]", Turn(reply="echo: hi", fail="500")),
        ("hi [[fail=429x1]]", Turn(reply="echo: hi", fail="429", fail_times=1)),
        ("hi [[fail=refused]]", Turn(reply="echo: hi", fail="refused")),
        ("hi [[fail=cutx2]]", Turn(reply="echo: hi", fail="cut", fail_times=2)),
        ("hi [[hang]]", Turn(reply="echo: hi", hang=True)),
        (
            "[[latency=1]][[tokens=3]] hi [[fail=cut]]",
            Turn(latency_s=1, tokens=3, reply="echo: hi", fail="cut"),
        ),
        ("a matrix [[1, 2], [3]]", Turn(reply="echo: a matrix [[1, 2], [3]]")),
    ],
)
def test_directives(prompt: str, turn: Turn) -> None:
    assert parse(prompt) == turn


def test_what_a_prompt_does_not_say_is_the_default() -> None:
    # Given defaults
    defaults = Turn(latency_s=3, delay_s=1, reply="as always")
    # Then a prompt changes what it names, and nothing else
    assert parse("hi [[latency=0]]", defaults) == Turn(delay_s=1, reply="as always")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("[[latenci=2]]", r"unknown directive \[\[latenci\]\]; did you mean \[\[latency\]\]"),
        ("[[hung]]", r"did you mean \[\[hang\]\]"),
        ("[[latency=soon]]", "not a number of seconds"),
        ("[[latency=-1]]", "not a number of seconds"),
        ("[[delay=nan]]", "not a number of seconds"),
        ("[[delay]]", "not a number of seconds"),
        ("[[tokens=many]]", "not a number of words"),
        ("[[fail=200]]", "400 to 599, refused, cut"),
        ("[[fail=500x0]]", "400 to 599, refused, cut"),
        ("[[hang=3]]", "takes no value"),
        ("[[fail=500]][[fail=cut]]", "given twice"),
    ],
)
def test_what_is_wrong_is_said(prompt: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(prompt)


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (Turn(reply="one two\nthree"), ("one ", "two\n", "three")),
        (Turn(reply="one two", tokens=5), ("one ", "two ", "one ", "two ", "one")),
        (Turn(reply="one two three", tokens=2), ("one ", "two")),
        (Turn(reply="", tokens=5), ()),
        (Turn(reply="one", tokens=0), ()),
    ],
)
def test_a_reply_has_as_many_words_as_asked_for(turn: Turn, words: tuple[str, ...]) -> None:
    assert turn.words == words
    assert turn.text == "".join(words)


def test_a_failure_may_be_of_the_first_calls_only() -> None:
    assert [parse("[[fail=429x2]]").fails(call) for call in (1, 2, 3)] == [True, True, False]
    assert parse("[[fail=429]]").fails(1000)
    assert not parse("all is well").fails(1)
    assert parse("[[fail=429]]").fail_status == 429
    assert parse("[[fail=cut]]").fail_status is None


def test_a_prompt_without_its_directives_reads_as_written() -> None:
    assert without_directives("[[hang]] do this [[tokens=3]] now\nand that") == (
        "do this now\nand that"
    )
