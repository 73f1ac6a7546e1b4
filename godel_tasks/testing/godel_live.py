"""A small live Godel: an embedded server, a dispatcher, and instances that run a test's handlers.

Dispatcher and instances are the very code of their processes, each on an event loop in a thread of
its own, so that a handler may be any function: a closure, a mock, one with a breakpoint.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from godel_tasks.canvas.following import Follower
from godel_tasks.celery import app
from godel_tasks.domain.instance import DEFAULT_POOL, InstanceConfig
from godel_tasks.domain.tenant import TenantStatus
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.errors import WorkerError
from godel_tasks.events import EventBus
from godel_tasks.instances.handlers import Handler, load_handler
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.testing.attaching import attached
from godel_tasks.testing.instance_thread import InstanceThread
from godel_tasks.testing.tenants import put_tenant, tenant_status
from godel_tasks.worker.service import DispatchService

#: Tests do not want to wait as long as a fleet does.
_QUICK = {"backoff_base_s": 0.05, "backoff_max_s": 0.5, "drain_timeout_s": 5.0}


@contextmanager
def live(server: EmbeddedServer | None = None, **settings: Any) -> Iterator[LiveGodel]:
    """`godel_tasks.app`, and with it `submit_task`, on a server of the test's own: on `server`,
    which runs and is emptied, or on a new one. Nothing of it runs afterwards.

    Raises:
        SettingsError: a setting is wrong.
        StoreUnavailable: the server does not come up.
    """
    with ExitStack() as stack:
        if server is None:
            folder = stack.enter_context(TemporaryDirectory(prefix="godel-"))
            server = stack.enter_context(EmbeddedServer(Path(folder)))
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        here: dict[str, Any] = {"redis_url": server.url, "state_url": "", "broker_url": "",
                                "result_url": "", "data_dir": server.data_dir}  # fmt: skip
        runtime = Runtime(load_settings(**{**_QUICK, **here, **settings}))
        stack.enter_context(closing(runtime.store))
        stack.enter_context(closing(runtime.results))
        stack.enter_context(attached(app, runtime))
        yield stack.enter_context(closing(LiveGodel(runtime)))


class LiveGodel:
    """What the fixture `godel_worker` is: called with a handler, it adds an instance."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._instances: list[InstanceThread] = []
        self._crashed = False
        self._service: DispatchService | None = DispatchService(
            runtime, "test", EventBus(), self._on_crash, Follower(app)
        )
        self._service.start()

    def __repr__(self) -> str:
        return f"<LiveGodel {', '.join(map(repr, self._instances)) or 'no instance'}>"

    def __call__(
        self,
        handler: Callable[..., Any] | str,
        *,
        tenants: Iterable[str] = (),
        instance_id: str = "",
        capacity: int = 4,
        region: str = "",
        pool: str = DEFAULT_POOL,
        capabilities: Mapping[str, str] | None = None,
    ) -> LiveGodel:
        """Add an instance that runs `handler`, `(payload)` or `(payload, context)`, sync or async
        (or "module:function"), and tenants with default settings. Answers itself, when the
        instance is registered.

        Raises:
            WorkerError: the handler cannot be called with a payload.
        """
        for tenant_id in tenants:
            self.tenant(tenant_id)
        config = InstanceConfig(
            instance_id=instance_id or f"test-{len(self._instances) + 1}",
            endpoint="",
            capacity=capacity,
            region=region,
            pool=pool,
            capabilities=dict(capabilities or {}),
        )
        loaded = load_handler(handler) if isinstance(handler, str) else Handler.of(handler)
        instance = InstanceThread(config, loaded, self.runtime.settings)
        self._instances.append(instance)
        instance.start()
        return self

    def tenant(self, tenant_id: str, **fields: Any) -> str:
        """Create or change a tenant: `weight`, `max_queue`, `pool`, `on_uncertain`; its name.

        Raises:
            InvalidTenant: a field is out of range.
        """
        put_tenant(self.runtime, tenant_id, **fields)
        return tenant_id

    def status(self, tenant_id: str) -> TenantStatus:
        """A tenant's settings and counters: `depth`, `in_flight`, `succeeded`, ...

        Raises:
            UnknownTenant: there is none of that name.
        """
        return tenant_status(self.runtime, tenant_id)

    def close(self) -> None:
        """End everything; what runs is given up.

        Raises:
            WorkerError: the dispatcher had crashed.
        """
        # In this order: an instance waits for a while to tell its dispatcher what it gave up.
        while self._instances:
            self._instances.pop().stop()
        if self._service is not None:
            self._service.stop(patience_s=0.0)
            self._service = None
        # The dispatcher froze what start-up made; gRPC's thread ends with its last object.
        gc.unfreeze()
        gc.collect()
        if self._crashed:
            raise WorkerError("the dispatcher crashed", hint="its traceback is in the output")

    def _on_crash(self) -> None:
        self._crashed = True
