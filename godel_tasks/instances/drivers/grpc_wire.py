"""Names, options and typed calls of the instance protocol's gRPC service, for both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
import grpc.aio

from godel_tasks.errors import InstanceUnavailable, UnknownInstance
from godel_tasks.instances.drivers._generated import instance_pb2 as pb

#: Longest wait for the answer to a call that is not an attempt.
CALL_TIMEOUT_S = 5.0

SERVICE = "godel.federation.v1.InstanceService"

#: A batch is cut where it grows larger than this, so that one message cannot hold up the stream.
BATCH_BYTES = 4 * 1024 * 1024

#: Payloads and results have limits of their own at the doors; the wire sets none.
_UNLIMITED = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]

#: A peer that is gone without a word (a pulled cable) is noticed within these two, in milliseconds.
_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 2000),
    # What really ends a connection whose ping is not answered: a minute unless it is set.
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.keepalive_permit_without_calls", 1),
]

CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    *_UNLIMITED,
    *_KEEPALIVE,
    ("grpc.http2.max_pings_without_data", 0),
    # Reconnecting is ours: no connection, and no backoff, is shared with another channel.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    # Of channels that live long (those of single calls): milliseconds.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
]

SERVER_OPTIONS: list[tuple[str, Any]] = [
    *_UNLIMITED,
    *_KEEPALIVE,
    # The clients' keepalive above would be taken for abuse otherwise.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
    # Two processes on one port would share the deliveries without knowing.
    ("grpc.so_reuseport", 0),
]


class Method(NamedTuple):
    """A method with one request and one response."""

    name: str
    request: Any
    response: Any

    def on(self, channel: grpc.aio.Channel) -> Callable[..., Any]:
        """The client's call."""
        call: Callable[..., Any] = channel.unary_unary(
            f"/{SERVICE}/{self.name}",
            request_serializer=self.request.SerializeToString,
            response_deserializer=self.response.FromString,
        )
        return call


HEALTH = Method("Health", pb.HealthRequest, pb.HealthResponse)
METRICS = Method("Metrics", pb.MetricsRequest, pb.MetricsResponse)
INVENTORY = Method("Inventory", pb.InventoryRequest, pb.InventoryResponse)
CREATE_SESSION = Method("CreateSession", pb.CreateSessionRequest, pb.Session)
GET_SESSION = Method("GetSession", pb.GetSessionRequest, pb.GetSessionResponse)
TERMINATE_SESSION = Method(
    "TerminateSession", pb.TerminateSessionRequest, pb.TerminateSessionResponse
)


async def call(channel: grpc.aio.Channel, method: Method, request: Any) -> Any:
    """One request, one response.

    Raises:
        InstanceUnavailable: it did not answer.
        UnknownInstance: the endpoint does not serve the instance.
    """
    try:
        return await method.on(channel)(request, timeout=CALL_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            raise UnknownInstance(error.details() or "the instance is not served there") from error
        raise InstanceUnavailable(
            f"{method.name} failed: {error.code().name.lower()}: {error.details()}"
        ) from error


def attach(channel: grpc.aio.Channel) -> Any:
    """Open the stream of batches (a `StreamStreamCall`)."""
    return channel.stream_stream(
        f"/{SERVICE}/Attach",
        request_serializer=pb.AttachRequest.SerializeToString,
        response_deserializer=pb.AttachResponse.FromString,
    )()


def handlers(
    attach_handler: Callable[..., Any], unary: dict[Method, Callable[..., Any]]
) -> grpc.GenericRpcHandler:
    """The server's side of the same names."""
    methods: dict[str, Any] = {
        "Attach": grpc.stream_stream_rpc_method_handler(
            attach_handler,
            request_deserializer=pb.AttachRequest.FromString,
            response_serializer=pb.AttachResponse.SerializeToString,
        )
    }
    for method, handler in unary.items():
        methods[method.name] = grpc.unary_unary_rpc_method_handler(
            handler,
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )
    return grpc.method_handlers_generic_handler(SERVICE, methods)
