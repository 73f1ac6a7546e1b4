"""Whose a folder is: two Godels with a Redis each may share a data folder, and must not look after,
let alone remove, what the other one has made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from godel_tasks.settings import Settings

#: The file in the folder.
OWNER = "owner"
#: A data folder has one embedded server, so one Godel that uses it.
EMBEDDED = "embedded"


def owner_of(settings: Settings) -> str:
    """A name of the Redis that it keeps its state in: of host, port and database, no password."""
    url = settings.state_url or settings.redis_url
    if not url:
        return EMBEDDED
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port}{parts.path}?{parts.query}"
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def is_of(folder: Path, owner: str) -> bool:
    """Whether it is this one's. A folder that does not say is only half made, and anybody's."""
    try:
        return (folder / OWNER).read_text().strip() == owner
    except FileNotFoundError:
        return True
