"""The contract of instances, over a real gateway."""

from tests.instances.contract import *  # noqa: F403 - the stories themselves
from tests.instances.contract_view import *  # noqa: F403
