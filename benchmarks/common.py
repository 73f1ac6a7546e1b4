"""What every benchmark needs: a server of its own, worker processes, medians, one JSON object."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.processes import WORKER_FLAGS, answers_ping, celery
from godel_tasks.supervisor.spec import ProcessSpec
from godel_tasks.supervisor.supervisor import Supervisor

#: Every rate is the median of so many rounds.
ROUNDS = 5
#: Prefixes of environment variables that would change what is measured.
FOREIGN = ("GODEL_", "CELERY_")


@contextlib.contextmanager
def own_server() -> Iterator[EmbeddedServer]:
    """An embedded server in a fresh folder, which this process and its children use by default.

    Settings of the caller's environment are left out for as long, so that a run measures Godel's
    defaults. Enter it before anything of Godel is used: the default app keeps what it found.
    """
    kept = {name: value for name, value in os.environ.items() if name.startswith(FOREIGN)}
    with tempfile.TemporaryDirectory(prefix="godel-bench-") as folder:
        for name in kept:
            del os.environ[name]
        os.environ["GODEL_DATA_DIR"] = folder
        # An empty folder has no godel.toml.
        here = Path.cwd()
        os.chdir(folder)
        try:
            with EmbeddedServer(Path(folder) / "server") as server:
                os.environ["GODEL_REDIS_URL"] = server.url
                yield server
        finally:
            os.chdir(here)
            for name in ("GODEL_DATA_DIR", "GODEL_REDIS_URL"):
                os.environ.pop(name, None)
            os.environ.update(kept)


@contextlib.asynccontextmanager
async def processes(
    specs: Sequence[ProcessSpec], *, timeout_s: float = 30.0
) -> AsyncIterator[Supervisor]:
    """These processes, ready; none of them outlives the block.

    Raises `TimeoutError` that names those which did not get ready.
    """
    async with Supervisor(specs, sink=to_stderr) as supervisor:
        if late := await supervisor.wait_ready(timeout_s):
            raise TimeoutError(f"not ready after {timeout_s:.0f} s: {', '.join(late)}")
        yield supervisor


def celery_worker(
    server: EmbeddedServer, app: str, name: str, *flags: str, env: Mapping[str, str] | None = None
) -> ProcessSpec:
    """`celery -A app worker`, ready when it answers a ping; `app` may be one of the benchmarks'."""
    root = Path(__file__).resolve().parents[1]
    return ProcessSpec(
        name=name,
        command=celery("-A", app, "worker", "-n", f"{name}@%h", *WORKER_FLAGS, *flags),
        env={"PYTHONPATH": str(root), **(env or {})},
        stop_timeout_s=35.0,
        ready=answers_ping(server.urls.broker, name),
        restart=False,
    )


def to_stderr(name: str, line: str) -> None:
    """A sink for process output: what a benchmark prints on stdout is its figures."""
    print(f"{name}: {line}", file=sys.stderr)


def rate(count: int, work: Callable[[], object]) -> float:
    """`count` per second of one call of `work`, with the garbage of before out of the way."""
    gc.collect()
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds, to three digits or whole numbers."""
    return {name: tidy(statistics.median(one[name] for one in rounds)) for name in rounds[0]}


def side_by_side(
    contenders: Mapping[str, Callable[[], float]], *, rounds: int = ROUNDS
) -> dict[str, float]:
    """Medians of contenders that take turns, so that what the machine does meanwhile hits all of
    them alike. One more turn of each comes first, to warm up, and does not count."""
    for contender in contenders.values():
        contender()
    return medians(
        [{name: run() for name, run in contenders.items()} for _ in range(max(1, rounds))]
    )


def percentiles(values: Sequence[float], *wanted: int) -> dict[str, float]:
    """`{"p50": ..., "p99": ...}` of the values, by nearest rank."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {f"p{p}": tidy(ordered[min(last, len(ordered) * p // 100)]) for p in wanted}


def tidy(value: float) -> float:
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def emit(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """One JSON object on one line, or a figure a line for people."""
    if as_json:
        print(json.dumps(figures))
        return
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        shown = json.dumps(value) if isinstance(value, dict) else value
        print(f"{name:<{width}}  {shown}")
