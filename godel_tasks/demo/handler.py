"""What the demo's instances run: an extractive summary and key phrases, in plain Python.

    godel instance --handler godel_tasks.demo.handler:summarise --capacity 4

Words are ranked by walking the graph of words that stand near each other (TextRank: Mihalcea and
Tarau, 2004), sentences by the words in them, and phrases, the runs of words between stop words, by
theirs (RAKE: Rose et al., 2010). Phrases that differ by a letter or two are one phrase.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import defaultdict
from itertools import groupby
from typing import Any

#: Words this far apart are neighbours.
WINDOW = 4
#: PageRank's damping, and how often ranks are passed on; a paragraph has settled long before.
DAMPING = 0.85
ROUNDS = 60
#: Phrases whose edit distance is at most this share of the longer one's length are the same.
SAME_PHRASE = 0.25

Ranks = dict[str, float]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z])")
_TOKEN = re.compile(r"[A-Za-z][A-Za-z'-]*|[.,;:!?()]")
_STOP_WORDS = frozenset(
    """
    a about above after again all also am an and any are as at be because been before being
    below between both but by can could did do does doing down during each either else even
    every few for from further had has have having he her here hers him his how however i if in
    into is it its itself just like make many may me might more most much must my neither no nor
    not now of off on once one only or other our out over own per same see she should since so
    some such than that the their them then there these they this those through to too two under
    until up upon use used uses using very via was we well were what when where whether which
    while who whom why will with within without would yet you your
    """.split()  # noqa: SIM905 - a page of words reads better than a list of them
)


def summarise(payload: dict[str, Any]) -> dict[str, Any]:
    """Summarise `payload["text"]`; first wait `payload["pause_s"]` seconds, as for a model.

    Returns `{"summary": str, "phrases": [str, ...], "words": int, "sentences": int}`. Raises
    `ValueError` when there is no text.
    """
    time.sleep(payload.get("pause_s", 0))
    return _summary(payload)


async def summarise_async(payload: dict[str, Any]) -> dict[str, Any]:
    """The same for an event loop: many wait at once, and the work is done in a thread."""
    await asyncio.sleep(payload.get("pause_s", 0))
    return await asyncio.to_thread(_summary, payload)


def _summary(payload: dict[str, Any]) -> dict[str, Any]:
    text = payload.get("text")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("payload['text'] has to be a text that is not empty")
    sentences = _SENTENCE_END.split(" ".join(text.split()))
    tokens = [token.lower() for token in _TOKEN.findall(text)]
    ranks = rank_words([token for token in tokens if _is_word(token)])
    return {
        "summary": best_sentence(sentences, ranks),
        "phrases": key_phrases(tokens, ranks),
        "words": sum(1 for token in tokens if token[0].isalpha()),
        "sentences": len(sentences),
    }


def rank_words(words: list[str]) -> Ranks:
    """PageRank over the graph of words that stand within `WINDOW` of each other; the sum is 1."""
    weights: dict[str, Ranks] = defaultdict(lambda: defaultdict(float))
    for index, word in enumerate(words):
        for other in words[index + 1 : index + WINDOW]:
            if other != word:
                weights[word][other] += 1.0
                weights[other][word] += 1.0
    if not weights:
        return dict.fromkeys(words, 1.0)
    totals = {word: sum(edges.values()) for word, edges in weights.items()}
    ranks = dict.fromkeys(weights, 1.0 / len(weights))
    for _ in range(ROUNDS):
        ranks = {
            word: (1 - DAMPING) / len(weights)
            + DAMPING * sum(ranks[near] * weight / totals[near] for near, weight in edges.items())
            for word, edges in weights.items()
        }
    return ranks


def best_sentence(sentences: list[str], ranks: Ranks) -> str:
    """The sentence whose words rank highest on average; an earlier one wins a tie."""

    def score(sentence: str) -> float:
        words = [word for word in map(str.lower, _TOKEN.findall(sentence)) if _is_word(word)]
        # The root keeps a heading of one good word from beating every sentence.
        return sum(ranks.get(word, 0.0) for word in words) / math.sqrt(max(1, len(words)))

    return max(sentences, key=score)


def key_phrases(tokens: list[str], ranks: Ranks, *, count: int = 5) -> list[str]:
    """The `count` best phrases of up to 4 words, best first, without near-twins."""
    scores: Ranks = defaultdict(float)
    for wordy, run in groupby(tokens, key=_is_word):
        phrase = list(run)
        if wordy and len(phrase) <= 4:
            scores[" ".join(phrase)] += sum(ranks.get(word, 0.0) for word in phrase)
    chosen: list[str] = []
    for phrase_text in sorted(scores, key=lambda text: (-scores[text], text)):
        if len(chosen) == count:
            break
        if not any(_same(phrase_text, other) for other in chosen):
            chosen.append(phrase_text)
    return chosen


def edit_distance(one: str, two: str) -> int:
    """Letters to insert, delete or change (Levenshtein)."""
    row = list(range(len(two) + 1))
    for index, letter in enumerate(one, 1):
        previous, row[0] = row[0], index
        for column, other in enumerate(two, 1):
            change = previous + (letter != other)
            previous = row[column]
            row[column] = min(change, row[column] + 1, row[column - 1] + 1)
    return row[-1]


def _same(one: str, two: str) -> bool:
    return edit_distance(one, two) <= SAME_PHRASE * max(len(one), len(two))


def _is_word(token: str) -> bool:
    return token[0].isalpha() and len(token) > 1 and token not in _STOP_WORDS
