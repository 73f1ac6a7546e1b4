"""`sessions.*` and `chat.history`."""

from __future__ import annotations

from godel_tasks.testing.fake_gateway.methods.method import Method

METHODS: dict[str, Method] = {}
