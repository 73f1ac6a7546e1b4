"""python -m tests.simulation --rounds N --seed S"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time

import redis

from godel_tasks.embedded import EmbeddedServer
from godel_tasks.store.executor import SyncExecutor
from tests.simulation.scenario import play_round


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--trace", action="store_true", help="tell of every command")
    parser.add_argument("--stop-at-first", action="store_true", help="of the bad rounds")
    parser.add_argument("--verbose", action="store_true", help="tell of good rounds too")
    options = parser.parse_args()
    began, bad, tasks = time.monotonic(), 0, 0
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer(folder) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        executor = SyncExecutor(client)
        for seed in range(options.seed, options.seed + options.rounds):
            report = play_round(seed, client, executor, print if options.trace else None)
            tasks += report.tasks
            bad += bool(report.problems)
            if report.problems or options.verbose:
                print(report, flush=True)
            if report.problems and options.stop_at_first:
                break
    took = time.monotonic() - began
    print(f"{options.rounds} rounds, {tasks} tasks, {bad} rounds with problems, {took:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets must be the same in every run of a seed.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    raise SystemExit(main())
