"""`python -m tests.chaos`: see the package."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.run import Chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds-per-round", type=float, default=6.0)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--keep", action="store_true", help="keep the logs' folder in any case")
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr if options.json else sys.stdout, flush=True)

    folder = Path(tempfile.mkdtemp(prefix="godel-chaos-"))
    say(f"logs and journals: {folder}")
    began = time.monotonic()
    verdict = Chaos(folder, options.seed, say).run(
        options.seed, options.rounds, options.seconds_per_round
    )
    seconds = round(time.monotonic() - began, 1)
    findings = [f"lost: {line}" for line in verdict.lost]
    findings += [f"two results: {line}" for line in verdict.duplicates]
    findings += [f"over capacity: {line}" for line in verdict.over_capacity]
    findings += verdict.problems
    for line in findings[:50]:
        say(line)
    if options.json:
        figures = {**verdict.figures(), "problems": len(verdict.problems), "seconds": seconds}
        print(json.dumps({**figures, "folder": str(folder)}))
    else:
        print(verdict)
    if verdict.good and not options.keep:
        shutil.rmtree(folder)
    elif not verdict.good:
        say(f"see {folder}")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
