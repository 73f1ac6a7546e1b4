"""The contract of instances, over every driver; over real gateways see tests/openclaw."""

from tests.instances.contract import *  # noqa: F403 - the stories themselves
from tests.instances.contract_view import *  # noqa: F403
