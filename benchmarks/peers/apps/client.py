"""The commands of every app: `enqueue COUNT FILE` and `verify FILE`, and what it is told.

PEER_QUEUE, PEER_RESULTS  URLs of the server as redis-py spells them: databases 0 and 1
PEER_SETTINGS             the variant that is measured, as JSON
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: The arguments of every no-op: a tenant and a small payload.
TENANT = "acme"
PAYLOAD = {"n": 1}


def queue_url() -> str:
    return os.environ["PEER_QUEUE"]


def results_url() -> str:
    return os.environ["PEER_RESULTS"]


def settings() -> dict[str, Any]:
    chosen: dict[str, Any] = json.loads(os.environ["PEER_SETTINGS"])
    return chosen


def main(enqueue: Callable[[int], list[str]], succeeded: Callable[[list[str]], int]) -> None:
    """`enqueue` a number of no-ops and keep their ids in the file; print how many of the ids in the
    file have `succeeded`, as the library itself reads its results."""
    match sys.argv[1:]:
        case ["enqueue", count, file]:
            Path(file).write_text(json.dumps(enqueue(int(count))))
        case ["verify", file]:
            print(succeeded(json.loads(Path(file).read_text())))
        case _:
            sys.exit("usage: enqueue COUNT FILE | verify FILE")
