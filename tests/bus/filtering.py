"""Pub/Sub in memory that applies filters, which the emulator does not: topics, subscriptions, pushes in order, and its API."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from google.api_core.exceptions import AlreadyExists, NotFound
from google.pubsub_v1 import types

from drasi.bus.pubsub import PubSubBus
from drasi.messages.envelope import Message

Push = Callable[[str, Message], Awaitable[int]]
"""Takes a URL and what is posted to it."""

_WANTED = re.compile(r'attributes:"((?:[^"\\]|\\.)*)"')


@dataclass
class Held:
    """A subscription with what it has not delivered."""

    made: types.Subscription
    backlog: deque[Message] = field(default_factory=deque)

    def takes(self, attributes: dict[str, str]) -> bool:
        wanted = [re.sub(r"\\(.)", r"\1", name) for name in _WANTED.findall(self.made.filter)]
        return not wanted or any(name in attributes for name in wanted)


class FilteringPubSub:
    """Stands for the clients of ``PubSubClient``. Before each call ``before`` is asked, which may raise.

    Attributes:
        subscriptions: By full name.
        calls: How many there were.
    """

    project = "p"
    emulator = None

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.subscriptions: dict[str, Held] = {}
        self.calls = 0
        self.before: Callable[[str], None] = lambda call: None
        self.pause: Callable[[], Awaitable[None]] = _at_once

    # what PubSubClient has

    @property
    def publisher(self) -> FilteringPubSub:
        return self

    @property
    def subscriber(self) -> FilteringPubSub:
        return self

    def call(self) -> dict[str, Any]:
        return {}

    async def close(self) -> None: ...

    # what Google's clients have

    async def _begin(self, call: str) -> None:
        # Others come in between any two calls.
        await self.pause()
        self.calls += 1
        self.before(call)

    async def create_topic(self, name: str) -> None:
        await self._begin("create_topic")
        if name in self.topics:
            raise AlreadyExists(name)  # type: ignore[no-untyped-call]
        self.topics.add(name)

    async def publish(self, request: types.PublishRequest) -> types.PublishResponse:
        await self._begin("publish")
        if request.topic not in self.topics:
            raise NotFound(request.topic)  # type: ignore[no-untyped-call]
        for message in request.messages:
            for path, held in self.subscriptions.items():
                attributes = dict(message.attributes)
                if held.made.topic == request.topic and held.takes(attributes):
                    held.backlog.append(Message(message.data, attributes, message.ordering_key, subscription=path))
        return types.PublishResponse(message_ids=["1"] * len(request.messages))

    async def create_subscription(self, request: types.Subscription) -> None:
        await self._begin("create_subscription")
        if request.name in self.subscriptions:
            raise AlreadyExists(request.name)  # type: ignore[no-untyped-call]
        self.subscriptions[request.name] = Held(request)

    async def get_subscription(self, subscription: str) -> types.Subscription:
        await self._begin("get_subscription")
        return self._held(subscription).made

    async def list_topic_subscriptions(self, topic: str) -> AsyncIterator[str]:
        await self._begin("list_topic_subscriptions")
        return _each([path for path, held in self.subscriptions.items() if held.made.topic == topic])

    async def modify_push_config(self, subscription: str, push_config: types.PushConfig) -> None:
        await self._begin("modify_push_config")
        held = self._held(subscription)
        made = types.Subscription(held.made)
        made.push_config = push_config
        held.made = made

    async def delete_subscription(self, subscription: str) -> None:
        await self._begin("delete_subscription")
        self._held(subscription)
        del self.subscriptions[subscription]

    def _held(self, path: str) -> Held:
        if path not in self.subscriptions:
            raise NotFound(path)  # type: ignore[no-untyped-call]
        return self.subscriptions[path]

    # deliveries

    def deliverable(self) -> list[str]:
        """Subscriptions that have an endpoint, and something for it."""
        return [path for path, held in self.subscriptions.items() if held.backlog and held.made.push_config.push_endpoint]

    async def deliver(self, path: str, push: Push) -> None:
        """The next message of one; it stays at the head until it is answered 2xx."""
        held = self.subscriptions[path]
        message = held.backlog[0]
        if 200 <= await push(held.made.push_config.push_endpoint, message) < 300:
            del held.backlog[0]


async def _at_once() -> None: ...


async def _each(paths: list[str]) -> AsyncIterator[str]:
    for path in paths:
        yield path


def bus_on(pubsub: FilteringPubSub, **settings: Any) -> PubSubBus:
    """A bus of a process."""
    return PubSubBus(pubsub, **settings)  # type: ignore[arg-type]
