"""Tenants of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from godel_tasks.domain.attempt import NANOS
from godel_tasks.domain.task import OnUncertain
from godel_tasks.domain.tenant import TenantConfig, TenantStatus
from godel_tasks.store.cell import CellCommands
from godel_tasks.store.command import Command, plain, text


def _fields(reply: Mapping[Any, Any]) -> dict[str, str]:
    return {text(field): text(value) for field, value in reply.items()}


def status_of(tenant_id: str, fields: Mapping[str, str]) -> TenantStatus:
    on_uncertain = fields.get("on_uncertain", "")
    config = TenantConfig(
        tenant_id,
        float(fields.get("weight", "1")),
        int(fields.get("max_queue", "0")),
        fields.get("pool", ""),
        OnUncertain(on_uncertain) if on_uncertain else None,
        fields.get("strategy", ""),
    )

    def count(name: str) -> int:
        return int(fields.get(name, "0"))

    return TenantStatus(
        config,
        depth=count("depth"),
        in_flight=count("inflight"),
        succeeded=count("succeeded"),
        failed=count("failed"),
        expired=count("expired"),
        cancelled=count("cancelled"),
        slot_ms=float(fields.get("slot_ms", "0")),
        average_ms=float(fields.get("avg", "0")),
        virtual_time=float(fields.get("vt", "0")),
        tokens_in=count("tokens_in"),
        tokens_out=count("tokens_out"),
        tokens_cached=count("tokens_cached"),
        cost_usd=count("cost_nanos") / NANOS,
    )


class TenantCommands(CellCommands):
    """Create, change, look at tenants."""

    def put(self, config: TenantConfig, *, create: str = "any") -> Command[str]:
        """`create` is "new" (must not exist), "change" (must exist) or "any". Answers "created",
        "changed", "exists" or "unknown"."""
        return self._put(
            config.tenant_id,
            {
                "weight": f"{config.weight:g}",
                "max_queue": str(config.max_queue),
                "pool": config.pool,
                "on_uncertain": config.on_uncertain or "",
                "strategy": config.strategy,
            },
            create,
        )

    def change(self, tenant_id: str, fields: Mapping[str, str]) -> Command[str]:
        """Set some fields of a tenant that exists; they act on its backlog at once."""
        return self._put(tenant_id, fields, "change")

    def _put(self, tenant_id: str, fields: Mapping[str, str], create: str) -> Command[str]:
        flat = [part for pair in fields.items() for part in pair]
        return self._call(
            "put_tenant",
            tenant_id,
            create,
            named={"tenant": self.keys.tenant(tenant_id)},
            rest=flat,
            decode=text,
        )

    def names(self) -> Command[tuple[str, ...]]:
        return plain(
            "SMEMBERS",
            self.keys.fixed("tenants"),
            decode=lambda reply: tuple(sorted(map(text, reply))),
        )

    def status(self, tenant_id: str) -> Command[TenantStatus | None]:
        return plain(
            "HGETALL",
            self.keys.tenant(tenant_id),
            decode=lambda reply: status_of(tenant_id, _fields(reply)) if reply else None,
        )

    def on_uncertain(self, tenant_id: str) -> Command[str]:
        """The tenant's choice, "" for the deployment's."""
        return plain(
            "HGET",
            self.keys.tenant(tenant_id),
            "on_uncertain",
            decode=lambda reply: text(reply) if reply else "",
        )
