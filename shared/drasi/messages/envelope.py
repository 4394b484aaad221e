"""The Pub/Sub message, and the push envelope around it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a topic. ``message_id`` is never an identity: a republished message has another one.

    Attributes:
        subscription: Which one delivers it, by its full name; empty where it was not pushed.
    """

    data: bytes
    attributes: dict[str, str] = field(default_factory=dict)
    ordering_key: str = ""
    message_id: str = ""
    publish_time: str = ""
    subscription: str = field(default="", compare=False)

    @property
    def published_ns(self) -> int:
        """When the bus took it; 0 if that cannot be read."""
        begin, _, fraction = self.publish_time.removesuffix("Z").partition(".")
        try:
            seconds = datetime.fromisoformat(begin).replace(tzinfo=UTC)
            return int(seconds.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
        except ValueError:
            return 0


class _Inner(msgspec.Struct):
    data: str = ""
    attributes: dict[str, str] = {}
    messageId: str = ""
    message_id: str = ""
    publishTime: str = ""
    publish_time: str = ""
    orderingKey: str = ""


class _Envelope(msgspec.Struct):
    message: _Inner
    subscription: str = ""


_decoder = msgspec.json.Decoder(_Envelope)


def decode_push(body: bytes) -> tuple[Message, str]:
    """Reads a push body.

    Returns:
        The message and the name of the subscription that delivered it.

    Raises:
        ValueError: The body is no push envelope, or its data no base64.
    """
    try:
        envelope = _decoder.decode(body)
        data = base64.b64decode(envelope.message.data, validate=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"not a Pub/Sub push envelope: {error}") from error
    inner = envelope.message
    message = Message(
        data=data,
        attributes=inner.attributes,
        ordering_key=inner.orderingKey,
        message_id=inner.messageId or inner.message_id,
        publish_time=inner.publishTime or inner.publish_time,
        subscription=envelope.subscription,
    )
    return message, envelope.subscription


def encode_push(message: Message, subscription: str) -> bytes:
    """The body that a push delivers for ``message``."""
    return msgspec.json.encode(
        {
            "message": {
                "data": base64.b64encode(message.data).decode(),
                "attributes": message.attributes,
                "messageId": message.message_id,
                "publishTime": message.publish_time,
                "orderingKey": message.ordering_key,
            },
            "subscription": subscription,
        }
    )
