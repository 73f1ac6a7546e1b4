"""Which cell a tenant's tasks are in, when there are several. Chosen once, kept for good."""

from __future__ import annotations

import zlib

from godel_tasks.store.command import plain
from godel_tasks.store.executor import SyncExecutor
from godel_tasks.store.keys import REGISTRY_CELLS


def cell_number(store: SyncExecutor, tenant_id: str, cells: int) -> int:
    """The tenant's cell; a tenant that has none yet gets one by its name's hash."""
    chosen = zlib.crc32(tenant_id.encode()) % cells
    store.run(plain("HSETNX", REGISTRY_CELLS, tenant_id, chosen, decode=int))
    return int(store.run(plain("HGET", REGISTRY_CELLS, tenant_id, decode=int)))
