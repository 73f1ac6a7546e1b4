"""What a gateway says of itself: `health`, `status`, `system.info`, `diagnostics.lanes`."""

from __future__ import annotations

import os
import socket
from typing import Any

from godel_tasks.testing.fake_gateway.boot import Boot
from godel_tasks.testing.fake_gateway.handshake import VERSION
from godel_tasks.testing.fake_gateway.methods.method import Method
from godel_tasks.testing.fake_gateway.params import names
from godel_tasks.testing.fake_gateway.peer import READ, Peer
from godel_tasks.testing.fake_gateway.wire import Request, now_ms

_GIB = 1024**3
_MEMORY = {
    "rssBytes": 875_278_336,
    "heapUsedBytes": 241_459_192,
    "heapTotalBytes": 271_060_992,
    "externalBytes": 6_725_136,
    "arrayBuffersBytes": 2_380_444,
}
#: Lanes beside `main`, and how much each takes at once.
_OTHER_LANES = {"background": 3, "cron": 8, "nested": 1, "subagent": 8}


def event_loop(boot: Boot) -> dict[str, Any]:
    """As busy as its lane is full; never late."""
    busy = min(1.0, boot.work.active / max(1, boot.kept.habits.lanes))
    return {
        "degraded": False,
        "degradedSinceMs": None,
        "reasons": [],
        "intervalMs": 1000.0,
        "delayP99Ms": 22.2,
        "delayMaxMs": 22.2,
        "utilization": busy,
        "cpuCoreRatio": busy,
        "cpuBreakdown": {"mainThreadCoreRatio": busy, "hostUtilization": 0.1, "hostCpuCount": 2},
    }


def health(boot: Boot, _peer: Peer, _request: Request) -> object:
    sessions = {"path": "/fake/openclaw-agent.sqlite", "count": len(boot.kept.sessions.by_key)}
    agents = boot.kept.habits.agents
    return {
        "ok": True,
        "ts": now_ms(),
        "durationMs": 1,
        "channels": {},
        "channelOrder": [],
        "defaultAgentId": agents[0],
        "agents": [{"agentId": name, "isDefault": name == agents[0]} for name in agents],
        "sessions": sessions | {"recent": []},
        "modelRuntime": {"degraded": False, "pendingAgents": []},
        "eventLoop": event_loop(boot),
    }


def status(boot: Boot, _peer: Peer, _request: Request) -> object:
    tasks = boot.kept.tasks
    return {
        "runtimeVersion": VERSION,
        "tasks": {
            "total": len(tasks.live) + len(tasks.ended),
            "active": len(tasks.live),
            "terminal": len(tasks.ended),
        },
        "sessions": {"count": len(boot.kept.sessions.by_key), "recent": []},
        "modelRuntime": {"degraded": False, "pendingAgents": []},
        "eventLoop": event_loop(boot),
        "processMemory": _MEMORY,
        "pid": os.getpid(),
        "shutdownBudget": {"timeoutMs": 325_000, "activeWork": {"rootRequests": boot.work.active}},
    }


def system_info(boot: Boot, _peer: Peer, _request: Request) -> object:
    return {
        "machineName": "fake",
        "hostname": socket.gethostname(),
        "platform": "linux",
        "nodeVersion": "v24.21.0",
        "pid": os.getpid(),
        "processInstanceId": boot.boot_id,
        "uptimeMs": boot.up_ms,
        "cpuCount": os.cpu_count() or 1,
        "loadAverage": list(os.getloadavg()),
        "memoryTotalBytes": 24 * _GIB,
        "memoryFreeBytes": 20 * _GIB,
        "eventLoop": event_loop(boot),
        "processMemory": _MEMORY,
        "disks": [{"path": "/", "totalBytes": 250 * _GIB, "availableBytes": 80 * _GIB}],
    }


def lanes(boot: Boot, _peer: Peer, _request: Request) -> object:
    work = boot.work
    told = [_lane("main", work.active, len(work.queue), boot.kept.habits.lanes)]
    told += [_lane(name, 0, 0, limit) for name, limit in _OTHER_LANES.items()]
    return {"ts": now_ms(), "lanes": told, "dynamic": None}


def _lane(name: str, active: int, queued: int, limit: int) -> dict[str, Any]:
    return {
        "lane": name,
        "queuedCount": queued,
        "activeCount": active,
        "maxConcurrent": limit,
        "draining": False,
        "generation": 0,
        "blockedBy": None,
    }


METHODS = {
    "health": Method(health, ""),
    "status": Method(status, READ, names("includeChannelSummary")),
    "system.info": Method(system_info, READ, names("")),
    "diagnostics.lanes": Method(lanes, READ, names("")),
}
