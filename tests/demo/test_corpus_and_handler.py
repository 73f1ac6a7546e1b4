"""The demo's text is real, enough, and the same each time; its work is real too."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from godel_tasks.demo import corpus, handler

TEXT = (
    "A fair queue serves each tenant in proportion to its weight. The fair queue lends idle slots "
    "to other tenants. Birds sing in spring. Every tenant of the fair queue waits in a lane."
)


def test_any_machine_has_three_thousand_paragraphs_in_a_fixed_order() -> None:
    # When the corpus is read twice
    first = list(corpus.paragraphs(3000))
    second = list(corpus.paragraphs(3000))
    # Then there are enough paragraphs, all different, in the same order
    assert first == second
    assert len(set(first)) == 3000
    # And each is of a size worth a summary
    assert all(40 <= len(text.split()) <= corpus.MAX_WORDS for text in first)


def test_a_page_is_cut_at_blank_lines_without_code_and_tables() -> None:
    # Given a page with prose, code, a table, and two paragraphs that are too short alone
    prose = "word " * 70
    short = "short " * 35
    page = f"{prose}\n\n```\n{prose}\n```\n\n| 1 | 2 |\n|---|---|\n\n{short}\n\n{short}\n\nend."
    # Then the prose is one paragraph, and the two short ones are another
    assert [len(text.split()) for text in corpus.cut(page)] == [70, 70]


def test_a_summary_is_a_sentence_of_the_text_and_names_what_it_is_about() -> None:
    # When a text about queues is summarised
    answer = handler.summarise({"text": TEXT})
    # Then the summary is one of its own sentences, not the stray one, and the topic is a phrase
    assert answer["summary"] in TEXT
    assert "Birds" not in answer["summary"]
    assert "fair queue" in " ".join(answer["phrases"])
    assert (answer["words"], answer["sentences"]) == (34, 4)


def test_phrases_come_without_near_twins() -> None:
    phrases = handler.summarise({"text": "Slow queues. The slow queue. A slow queue's end. Lanes."})
    for one, other in pairwise(sorted(phrases["phrases"])):
        assert handler.edit_distance(one, other) > 0.25 * max(len(one), len(other))


@pytest.mark.parametrize(
    ("one", "two", "distance"), [("", "", 0), ("lane", "", 4), ("lane", "line", 1), ("ab", "ba", 2)]
)
def test_edit_distance(one: str, two: str, distance: int) -> None:
    assert handler.edit_distance(one, two) == distance


def test_word_ranks_add_up_to_one() -> None:
    ranks = handler.rank_words(list("abcadbae"))
    assert sum(ranks.values()) == pytest.approx(1.0)
    assert max(ranks, key=lambda word: ranks[word]) == "a"


@pytest.mark.parametrize("payload", [{}, {"text": "  "}, {"text": 7}])
def test_no_text_is_an_error_that_says_so(payload: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"payload\['text'\]"):
        handler.summarise(payload)


@pytest.mark.parametrize("text", ["...", "the of and", "word", "1 2 3"])
def test_text_without_words_worth_ranking_has_a_summary_too(text: str) -> None:
    assert handler.summarise({"text": text})["summary"] == text


async def test_the_async_variant_answers_the_same_and_waits_without_blocking() -> None:
    # Given ten texts that each wait for a fifth of a second
    begun = time.monotonic()
    payload = {"text": TEXT, "pause_s": 0.2}
    # When all are summarised at once
    answers = await asyncio.gather(*(handler.summarise_async(payload) for _ in range(10)))
    # Then they waited together, and say what the plain one says
    assert 0.2 <= time.monotonic() - begun < 1.5
    assert answers == [handler.summarise({"text": TEXT})] * 10
