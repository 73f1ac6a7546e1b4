"""A figure of the machine, to put beside every other: `python -m benchmarks.calibrate [--json]`.

Three small fixed works that Godel's speed hangs on: pure Python, hashing in C, and round trips to
the embedded server over its socket. `score` is their geometric mean, relative to the machine on
which the first figures of RESULTS.md were measured, which is 100.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile

import redis

from benchmarks.common import emit, machine, rate, side_by_side
from godel_tasks.embedded import EmbeddedServer

LOOPS = 200_000
BLOCKS, BLOCK = 400, b"x" * 65_536
PINGS = 3_000
#: The medians of the machine whose score is 100.
REFERENCE = {
    "python_loops_per_s": 3_500_000,
    "sha256_mb_per_s": 1_650,
    "redis_pings_per_s": 17_500,
}


def count_words(loops: int = LOOPS) -> int:
    """Dict, string and call overhead: what Python code mostly consists of."""
    seen: dict[str, int] = {}
    for n in range(loops):
        word = f"w{n % 97}"
        seen[word] = seen.get(word, 0) + n % 3
    return sum(seen.values())


def hash_blocks() -> None:
    digest = hashlib.sha256()
    for _ in range(BLOCKS):
        digest.update(BLOCK)


def ping(client: redis.Redis) -> None:
    for _ in range(PINGS):
        client.ping()


def calibrate(url: str = "") -> dict[str, float]:
    """The three figures and the score, on the server at `url`, else on one started for it. Takes
    about three seconds."""
    if not url:
        with tempfile.TemporaryDirectory() as folder, EmbeddedServer(folder) as server:
            return calibrate(server.url)
    with redis.Redis.from_url(url) as client:
        figures = side_by_side(
            {
                "python_loops_per_s": lambda: rate(LOOPS, count_words),
                "sha256_mb_per_s": lambda: rate(BLOCKS * len(BLOCK) // 1_000_000, hash_blocks),
                "redis_pings_per_s": lambda: rate(PINGS, lambda: ping(client)),
            }
        )
    score = statistics.geometric_mean(figures[name] / REFERENCE[name] for name in REFERENCE)
    return {**figures, "score": round(100 * score)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    emit({**calibrate(), "machine": machine()}, as_json=options.json)


if __name__ == "__main__":
    main()
