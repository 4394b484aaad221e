"""One publish request to Pub/Sub."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from google.api_core.exceptions import InvalidArgument, NotFound
from google.pubsub_v1 import types

from drasi.bus.metering import Meter
from drasi.bus.port import BusUnavailable, MessageTooLarge
from drasi.bus.provision import Provisioner
from drasi.bus.pubsub_client import ERRORS, PubSubClient, unavailable
from drasi.messages.envelope import Message

KEY: Final = "drasi-ordering-key"
"""Attribute with the ordering key, between our own functions: the emulator's pushes leave the key out."""


class PubSubSender:
    """Sends messages of one key on a topic: a ``Send`` of ``PubSubPublisher``.

    Args:
        create_topics: Whether a topic that is not there is made.
        carry_keys: Whether the emulator is given the ordering key as an attribute, too.
        meter: Counts what is published.
        missing: Awaited before a topic that is not there is made; raises if nobody would get what is published on it.
    """

    def __init__(
        self,
        client: PubSubClient,
        provisioner: Provisioner,
        *,
        create_topics: bool = True,
        carry_keys: bool = False,
        meter: Meter | None = None,
        missing: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._client = client
        self._provisioner = provisioner
        self._create_topics = create_topics
        self._missing = missing
        self._carry_keys = carry_keys and bool(client.emulator)
        self._meter = meter or Meter()

    async def __call__(self, topic: str, messages: Sequence[Message]) -> Sequence[str]:
        request = types.PublishRequest.pb()(topic=self._provisioner.topic_path(topic))
        for message in messages:
            attributes = message.attributes
            if self._carry_keys and message.ordering_key:
                attributes = {**attributes, KEY: message.ordering_key}
            request.messages.add(data=message.data, attributes=attributes, ordering_key=message.ordering_key)
        for attempt in (1, 2):
            try:
                answer = await self._client.publisher.publish(request=types.PublishRequest.wrap(request), **self._client.call())
                self._meter.publish(messages)
                return [*answer.message_ids]
            except NotFound as error:
                if attempt == 2 or not self._create_topics:
                    raise unavailable(f"cannot publish on {topic}", error) from error
                if self._missing is not None:
                    await self._missing()
                self._provisioner.forget_topic(topic)
                await self._provisioner.make_topic(topic)
            except InvalidArgument as error:
                if len(messages) > 1:
                    raise unavailable(f"cannot publish on {topic}", error) from error
                raise MessageTooLarge(f"Pub/Sub does not take a message on {topic}: {error.message}") from error
            except ERRORS as error:
                raise unavailable(f"cannot publish on {topic}", error) from error
        raise BusUnavailable(f"cannot publish on {topic}")
