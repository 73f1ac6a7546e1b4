"""Names of spans and attributes: OpenTelemetry's messaging conventions (1.44), and our own.

Never recorded: payloads, results, headers, messages of errors. They may hold what people wrote.
"""

from __future__ import annotations

from typing import Final

#: Spans are called "<operation> <destination>".
DESTINATION: Final = "godel"

# Operations, in the order of a task's way.
QUEUED: Final = "queued"
PROCESS: Final = "process"
DELIVER: Final = "deliver"
SETTLE: Final = "settle"
PUBLISH: Final = "publish"

# Attributes that OpenTelemetry has a name for.
MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
MESSAGING_CONVERSATION_ID: Final = "messaging.message.conversation_id"
MESSAGING_CLIENT_ID: Final = "messaging.client.id"
ERROR_TYPE: Final = "error.type"

# Our own.
TENANT: Final = "godel.tenant"
INSTANCE: Final = "godel.instance"
ATTEMPT: Final = "godel.attempt"
#: What became of the task: `succeeded`, `failed`, `cancelled`, `retried`, `held`, `handed_back`,
#: `taken_over` (another dispatcher owns it now), `left` (this one ended before the task did).
OUTCOME: Final = "godel.outcome"
#: True when the attempt was begun by another dispatcher.
ADOPTED: Final = "godel.adopted"

#: Operations that the conventions have a type for.
OPERATION_TYPES: Final = {PROCESS: "process", SETTLE: "settle"}
#: Outcomes that count as errors of the attempt.
FAILURES: Final = frozenset({"failed", "retried", "held"})
