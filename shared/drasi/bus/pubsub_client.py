"""Google's clients, made late and with what they fail with said in our words.

The asynchronous clients are used as they come from the API's definition: the handwritten ones keep threads of their own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

import grpc.aio
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    GoogleAPIError,
    InternalServerError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    RetryError,
    ServiceUnavailable,
    Unauthenticated,
    Unknown,
)
from google.api_core.retry import AsyncRetry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1.services.publisher import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from drasi.bus.port import BusUnavailable

ERRORS = (GoogleAPIError, GoogleAuthError, grpc.aio.UsageError)
"""What calls raise."""

REQUEST_S = 30.0
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # An emulator that comes back is found within seconds, not after minutes of backing off.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
]
_TRANSIENT = (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    InternalServerError,
    ResourceExhausted,
    ServiceUnavailable,
    Unknown,
)


class PubSubClient:
    """One project's Pub/Sub, or the emulator's.

    Args:
        project: The project's id.
        emulator: ``host:port`` of the emulator; None: Google's.
        endpoint: A regional endpoint (``europe-west1-pubsub.googleapis.com:443``): order per key holds within a region.
        patience_s: How long a call is repeated that fails for a while.
    """

    def __init__(self, project: str, *, emulator: str | None = None, endpoint: str | None = None, patience_s: float = 60.0) -> None:
        self.project = project
        self.emulator = emulator
        self._endpoint = endpoint
        self.retry = AsyncRetry(
            predicate=if_exception_type(*_TRANSIENT),
            initial=0.1,
            maximum=2.0 if emulator else 10.0,
            multiplier=2.0,
            timeout=patience_s,
        )
        self._channel: grpc.aio.Channel | None = None
        self._publisher: PublisherAsyncClient | None = None
        self._subscriber: SubscriberAsyncClient | None = None

    @classmethod
    def of(cls, project: str, variables: Mapping[str, str] | None = None, *, patience_s: float = 60.0) -> PubSubClient:
        """As the environment says: ``PUBSUB_EMULATOR_HOST`` names the emulator."""
        variables = os.environ if variables is None else variables
        return cls(project, emulator=variables.get("PUBSUB_EMULATOR_HOST") or None, patience_s=patience_s)

    @property
    def publisher(self) -> PublisherAsyncClient:
        if self._publisher is None:
            if self.emulator:
                transport = PublisherGrpcAsyncIOTransport(channel=self._emulator_channel())
                self._publisher = PublisherAsyncClient(transport=transport)
            else:
                self._publisher = PublisherAsyncClient(client_options=self._client_options())
        return self._publisher

    @property
    def subscriber(self) -> SubscriberAsyncClient:
        if self._subscriber is None:
            if self.emulator:
                transport = SubscriberGrpcAsyncIOTransport(channel=self._emulator_channel())
                self._subscriber = SubscriberAsyncClient(transport=transport)
            else:
                self._subscriber = SubscriberAsyncClient(client_options=self._client_options())
        return self._subscriber

    def call(self) -> dict[str, Any]:
        """How a request is made: a deadline for each attempt, and patience."""
        return {"retry": self.retry, "timeout": REQUEST_S}

    async def close(self) -> None:
        clients = [client for client in (self._publisher, self._subscriber) if client is not None]
        self._publisher = self._subscriber = None
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()
        else:
            for client in clients:
                await cast("Any", client.transport).close()

    def _emulator_channel(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(str(self.emulator), options=_OPTIONS)
        return self._channel

    def _client_options(self) -> ClientOptions:
        return ClientOptions(api_endpoint=self._endpoint)


def unavailable(what: str, error: BaseException) -> BusUnavailable:
    """The error that a caller of the bus meets."""
    cause = error.cause if isinstance(error, RetryError) and error.cause is not None else error
    name = type(cause).__name__
    if isinstance(cause, PermissionDenied | Unauthenticated | GoogleAuthError):
        hint = "give the service account roles/pubsub.publisher on the topic and roles/pubsub.subscriber on its subscription"
    elif isinstance(cause, NotFound):
        hint = "create the project, or correct its id"
    elif isinstance(cause, ServiceUnavailable):
        hint = "check that Pub/Sub, or the emulator at PUBSUB_EMULATOR_HOST, can be reached"
    else:
        hint = ""
    message = getattr(cause, "message", "") or str(cause)
    return BusUnavailable(f"{what}: {name}: {str(message).splitlines()[0] if message else ''}".rstrip(": "), hint=hint)
