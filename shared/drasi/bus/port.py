"""What a bus must do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from drasi.errors import DrasiError
from drasi.messages.envelope import Message

LARGEST_MESSAGE = 10_000_000
MOST_ATTRIBUTES = 100


class BusUnavailable(DrasiError):
    """The bus did not accept a message. Nothing, or a part, may have been stored; publish again."""

    code = "BusUnavailable"
    retryable = True


class MessageTooLarge(DrasiError):
    """A message beyond what Pub/Sub takes; it can never be published."""

    code = "MessageTooLarge"


Deliver = Callable[[Message], Awaitable[int]]
"""Takes one message, answers an HTTP status: 2xx acknowledges, anything else asks for the message again, with backoff, for ever."""


class Bus(Protocol):
    """Topics and subscriptions, at least once, in order per ordering key.

    An implementation guarantees, and ``tests/bus/contract.py`` checks:

    * ``publish`` returns when every subscription of the topic has acknowledged the message or holds it durably. A process that
      dies afterwards still delivers it. The exception is a topic whose subscriptions were made with ``durable=False`` (results:
      their truth is the log): there it may drop, never block.
    * Messages of one ordering key reach a subscription one after the other, in the order of publication. After a failed
      delivery the later ones of that key wait.
    * A delivery that raises or is not answered 2xx is repeated with backoff (1 s … 60 s with jitter), without limit.
    * A slow or failing subscription delays no other, nor other keys of its own.
    * ``message_id`` differs for a message published twice.
    """

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        """Publishes one message and returns its id.

        Raises:
            BusUnavailable: Not accepted (retryable): nothing, or a part, may have been stored; publish again.
            MessageTooLarge: More than 10 MB, or more than 100 attributes.
        """
        ...

    async def subscribe(self, subscription: str, topic: str, deliver: Deliver, *, durable: bool = True) -> None:
        """Makes the subscription if it is not there and starts deliveries. What it already held comes first."""
        ...

    async def detach(self, subscription: str) -> None:
        """Stops deliveries; a durable subscription keeps collecting."""
        ...

    async def unsubscribe(self, subscription: str) -> None:
        """Removes the subscription with what it holds."""
        ...

    async def close(self) -> None:
        """Waits for the deliveries under way and stops."""
        ...
