"""The same server, as each library wants to hear of it.

| library | TCP | unix socket |
|---|---|---|
| redis-py, redbeat | `redis://:PASSWORD@HOST:PORT/0` | `unix:///PATH?db=0` |
| Celery's broker and result backend | the same | `redis+socket:///PATH?virtual_host=0` |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from godel_tasks.embedded.info import ServerInfo, read_info
from godel_tasks.errors import StoreUnavailable

if TYPE_CHECKING:
    from godel_tasks.settings import Settings


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """Where the store, Celery's broker, its result backend and redbeat are to be found."""

    state: str
    broker: str
    result: str
    redbeat: str

    @classmethod
    def from_one(cls, url: str) -> ServerUrls:
        """All four on the server at `url`, in either library's spelling."""
        return cls(
            state=for_redis(url),
            broker=for_celery(url),
            result=for_celery(url),
            redbeat=for_redis(url),
        )

    @classmethod
    def from_socket(cls, path: Path) -> ServerUrls:
        """All four on the server that listens on that unix socket."""
        return cls.from_one(f"unix://{quote(str(path))}?db=0")


def for_redis(url: str) -> str:
    """The URL as redis-py and redbeat spell it."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return url
    query = {("db" if k == "virtual_host" else k): v for k, v in parse_qsl(parts.query)}
    return f"unix://{parts.netloc}{parts.path}" + (f"?{urlencode(query)}" if query else "")


def for_celery(url: str) -> str:
    """The URL as Celery's broker and result backend spell it."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    query = {("virtual_host" if k == "db" else k): v for k, v in parse_qsl(parts.query)}
    query.setdefault("virtual_host", "0")
    return f"redis+socket://{parts.netloc}{parts.path}?{urlencode(query)}"


def needs_embedded(settings: Settings) -> bool:
    """Whether any of the URLs is left to the embedded server."""
    return not settings.redis_url and not (
        settings.state_url and settings.broker_url and settings.result_url
    )


def resolve_urls(settings: Settings) -> ServerUrls:
    """The URLs in force: the explicit ones, else those of the running embedded server.

    Looks at a file and a process table, and opens no connection. Raises `StoreUnavailable` when a
    URL is missing and no embedded server runs on `settings.data_dir`.
    """
    base = _attach(settings.data_dir).url if needs_embedded(settings) else settings.redis_url
    broker = settings.broker_url or base
    return ServerUrls(
        state=for_redis(settings.state_url or base),
        broker=for_celery(broker),
        result=for_celery(settings.result_url or base),
        redbeat=for_redis(broker),
    )


def _attach(data_dir: Path) -> ServerInfo:
    info = read_info(data_dir)
    if info is None or not info.alive():
        left = "" if info is None else f" (what is left is of process {info.pid}, which has ended)"
        raise StoreUnavailable(
            f"nothing runs on the data folder {data_dir}{left}",
            hint="start it with `godel up`, or set GODEL_REDIS_URL",
        )
    return info


def masked(url: str) -> str:
    """The URL with its password hidden, for logs and screens."""
    return re.sub(r"//([^/@:]*):[^/@]*@", r"//\1:***@", url)
