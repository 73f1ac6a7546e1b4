"""A stand-in for whole OpenClaw gateways: their protocol, in this process, at hundreds of turns/s.

    async with FakeGateway(token="t") as gateway:
        ...  # an instance at gateway.url
        await gateway.crash()

What a turn does is written in its message, as for the stand-in model: `[[latency=2]]`,
`[[fail=500]]`.
"""

from godel_tasks.testing.fake_gateway.habits import Habits
from godel_tasks.testing.fake_gateway.server import FakeGateway

__all__ = ["FakeGateway", "Habits"]
