"""Tenants of a test's own."""

from __future__ import annotations

from typing import Any

from godel_tasks.domain.task import OnUncertain
from godel_tasks.domain.tenant import TenantConfig, TenantStatus
from godel_tasks.errors import UnknownTenant
from godel_tasks.policy.tenants import tenant_fields
from godel_tasks.runtime import Runtime


def put_tenant(runtime: Runtime, tenant_id: str, **fields: Any) -> None:
    """Create or change a tenant: `weight`, `max_queue`, `pool`, `on_uncertain`.

    Raises:
        InvalidTenant: a field is out of range.
    """
    tenant_fields(tenant_id, **fields)
    if fields.get("on_uncertain"):
        fields["on_uncertain"] = OnUncertain(fields["on_uncertain"])
    runtime.store.run(runtime.cell_of(tenant_id).tenants.put(TenantConfig(tenant_id, **fields)))


def tenant_status(runtime: Runtime, tenant_id: str) -> TenantStatus:
    """Its settings and counters.

    Raises:
        UnknownTenant: there is none of that name.
    """
    status = runtime.store.run(runtime.cell_of(tenant_id).tenants.status(tenant_id))
    if status is None:
        raise UnknownTenant(f"there is no tenant {tenant_id!r}", hint="add it with .tenant(name)")
    return status
