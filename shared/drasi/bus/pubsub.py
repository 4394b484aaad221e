"""The bus on Pub/Sub: ordered topics, push subscriptions, and filters that follow the labels a container wants."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from drasi.bus.endpoint import Endpoint, Endpoints
from drasi.bus.metering import Meter
from drasi.bus.naming import base_of, between_functions, label_filter, lets_through, valid_id
from drasi.bus.port import LARGEST_MESSAGE, MOST_ATTRIBUTES, Deliver, MessageTooLarge
from drasi.bus.provision import EMULATOR_RETENTION, Generation, Policy, Provisioner
from drasi.bus.pubsub_client import PubSubClient
from drasi.bus.pubsub_publisher import PubSubPublisher
from drasi.bus.pubsub_sender import KEY, PubSubSender
from drasi.errors import DrasiError
from drasi.messages import changes as change_messages
from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.messages.envelope import Message

_log = logging.getLogger("drasi.bus")

RETIRES: Final = "drasi-retires"
"""Attribute of a marker: the subscription that ends when it delivers it."""
FOLLOWS: Final = "drasi-follows"
"""Attribute of the same marker: the one that goes on in its place, which was there before the marker."""
_LOOK_S = 1.0


@dataclass(slots=True)
class _Subscribed:
    topic: str
    endpoint: Endpoint
    ordering_key: str
    settled: asyncio.Event


class PubSubBus:
    """See ``Bus``. A topic or subscription that is missing is made; what is there already is adjusted.

    ``subscribe`` makes a push subscription whose endpoint comes from ``endpoints``: of a function's own application
    (``FunctionEndpoints``), or of a server that hands what comes in to ``deliver``. Every ``Deliver`` behind such an endpoint is to
    be wrapped by ``attend``. ``durable`` makes no difference: Pub/Sub keeps everything.

    Args:
        client: Of the project; closed with the bus.
        endpoints: Where pushes go; None for a process that only publishes.
        policy: Deadlines and backoff of subscriptions; None: ours.
        missing: Awaited before a topic to publish on is made; raises if nobody would get it.

    Attributes:
        meter: Counts what is published by this bus, and what is pushed to it.
    """

    def __init__(
        self,
        client: PubSubClient,
        endpoints: Endpoints | None = None,
        policy: Policy | None = None,
        *,
        missing: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        policy = policy or Policy()
        if client.emulator:
            policy = replace(policy, retention=min(policy.retention, EMULATOR_RETENTION))
        self._client = client
        self._endpoints = endpoints
        self._provisioner = Provisioner(client, policy)
        self.meter = Meter()
        self._publisher = PubSubPublisher(
            PubSubSender(client, self._provisioner, carry_keys=True, meter=self.meter, missing=missing)
        )
        self._subscribed: dict[str, _Subscribed] = {}
        self._retiring = asyncio.Lock()

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        attributes = dict(attributes) if attributes else {}
        if len(data) > LARGEST_MESSAGE:
            raise MessageTooLarge(f"a message of {len(data):,} bytes on {topic}: at most {LARGEST_MESSAGE:,}")
        if len(attributes) > MOST_ATTRIBUTES:
            raise MessageTooLarge(f"a message with {len(attributes)} attributes on {topic}: at most {MOST_ATTRIBUTES}")
        return await self._publisher.publish(topic, Message(data, attributes, ordering_key))

    async def subscribe(
        self,
        subscription: str,
        topic: str,
        deliver: Deliver,
        *,
        durable: bool = True,
        labels: Collection[str] | None = None,
        ordering_key: str = "",
        narrow: bool = True,
    ) -> None:
        """See ``Bus``.

        Args:
            labels: Only messages that carry one of these labels are wanted (a change topic); None: all. When they differ from those
                of the subscription that is there, a second one collects what they ask for until the old one has delivered
                everything before it (wire.md section 1.2); ``settled`` says when.
            ordering_key: Of the topic's messages (the source's id), with ``labels``: a marker must come behind them.
            narrow: Whether a subscription that lets through more than these labels is replaced, too.

        Raises:
            ValueError: There is a subscription of this name to another topic; ``labels`` without ``ordering_key``.
            BusUnavailable: It cannot be made now.
        """
        if self._endpoints is None:
            raise ValueError("this bus only publishes: it was made without endpoints")
        if labels is not None and not ordering_key:
            raise ValueError(f"subscription {subscription} has labels: give the ordering key of topic {topic}")
        endpoint = await self._endpoints.open(subscription, self.attend(deliver))
        known = self._subscribed.get(subscription)
        settled = known.settled if known is not None and known.topic == topic else asyncio.Event()
        wanted = "" if labels is None else label_filter(labels)
        await self._provisioner.make_topic(topic)
        there = await self._provisioner.generations(subscription, topic)
        fits = bool(there) and (there[-1].filter == wanted or (not narrow and lets_through(there[-1].filter, labels)))
        if not fits:
            number = there[-1].number + 1 if there else 1
            await self._provisioner.make(subscription, topic, number, wanted, None if there else endpoint)
            there = await self._provisioner.generations(subscription, topic)
        known = self._subscribed[subscription] = _Subscribed(topic, endpoint, ordering_key, settled)
        await self._arrange(subscription, known, there)

    async def hears(self, subscription: str, topic: str, labels: Collection[str] | None) -> bool:
        """Whether a subscription delivers messages of each of these labels, and will also when its filter is replaced.

        Until it does, changes of labels that are new may be dropped by the watermark: a snapshot of them is to be read after it.
        """
        there = await self._provisioner.generations(subscription, topic)
        return bool(there) and all(lets_through(generation.filter, labels) for generation in there)

    async def settled(self, subscription: str) -> None:
        """Returns when one subscription delivers all that the labels of the last ``subscribe`` ask for.

        Changes of labels that are new are not seen before: a snapshot of them is to be read after this.
        """
        known = self._subscribed.get(subscription)
        while known is not None and not known.settled.is_set():
            if len(await self._provisioner.generations(subscription, known.topic)) == 1:
                known.settled.set()
                return
            # The marker may have come to another instance.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await known.settled.wait()

    def attend(self, deliver: Deliver) -> Deliver:
        """``deliver``, with what is the bus's own kept from it: markers that end a subscription."""

        async def attended(message: Message) -> int:
            key = message.attributes.get(KEY)
            if key is not None and self._client.emulator:
                attributes = {name: value for name, value in message.attributes.items() if name != KEY}
                message = replace(message, attributes=attributes, ordering_key=key)
            self.meter.push(message)
            if RETIRES not in message.attributes:
                return await deliver(message)
            try:
                await self._retire(message)
            except DrasiError as error:
                _log.warning("subscription %s cannot be ended yet: %s", message.attributes[RETIRES], error.message)
                return 503
            return 204

        return attended

    async def detach(self, subscription: str) -> None:
        known = self._subscribed.pop(subscription, None)
        if known is None or self._endpoints is None:
            return
        await self._endpoints.shut(subscription)
        for generation in await self._provisioner.generations(subscription, known.topic):
            await self._provisioner.adjust(generation, None)

    async def unsubscribe(self, subscription: str) -> None:
        known = self._subscribed.pop(subscription, None)
        if self._endpoints is not None:
            await self._endpoints.shut(subscription)
        if known is not None:
            paths = [generation.path for generation in await self._provisioner.generations(subscription, known.topic)]
        else:
            paths = await self._provisioner.all_paths(subscription)
        for path in paths:
            await self._provisioner.delete(path)

    def forget(self) -> None:
        """Pub/Sub came back empty: topics and subscriptions are to be made anew."""
        self._provisioner.forget()

    async def sweep(self) -> list[str]:
        """Removes every subscription of the project from function to function, and says which.

        Raises:
            BusUnavailable
        """
        paths = [path for path in await self._provisioner.paths() if between_functions(path.rpartition("/")[2])]
        for path in paths:
            await self._provisioner.delete(path)
        return paths

    async def close(self, drain_s: float = 10.0) -> None:
        """Waits for deliveries and publications under way. Subscriptions stay as they are and collect."""
        if self._endpoints is not None:
            await self._endpoints.close()
        await self._publisher.close(drain_s)
        await self._client.close()

    async def _arrange(self, subscription: str, known: _Subscribed, there: Sequence[Generation]) -> None:
        """The oldest generation delivers; those behind it collect until a marker says that it has delivered what they lack."""
        while there:
            oldest, *others = there
            await self._provisioner.adjust(oldest, known.endpoint)
            for other in others:
                # One that has an endpoint got it from a marker that came through the oldest one: whoever followed it is not done.
                # One without may be getting it this very moment.
                if other.endpoint is not None:
                    await self._provisioner.adjust(other, known.endpoint)
            if not others:
                known.settled.set()
                return
            known.settled.clear()
            await self._mark(known.topic, known.ordering_key, there)
            there = await self._provisioner.generations(subscription, known.topic)
            if there and there[0].number == oldest.number:
                # It was there after the marker was, so it delivers it.
                return

    async def _mark(self, topic: str, ordering_key: str, there: Sequence[Generation]) -> None:
        """Publishes a marker: when the oldest generation delivers it, the newest has everything that comes behind it."""
        # Every filter lets it through, and no container takes it for the marker of a snapshot.
        change = SourceChange("u", Payload(Origin("Drasi", "node", 0), after=Element("", [])))
        attributes = {"drasi-type": "marker", "label.*": "1", RETIRES: there[0].id, FOLLOWS: there[-1].id}
        data = b"[" + change_messages.encode(change) + b"]"
        await self.publish(topic, data, attributes=attributes, ordering_key=ordering_key)

    async def _retire(self, message: Message) -> None:
        """A marker has come: the generation it names goes on in place of the one that delivers it.

        Before the marker is acknowledged, so that the old one delivers nothing behind it; and the new one gets the endpoint first,
        so that at every instant one has it. The marker comes to every subscription of the topic, and again: then there is nothing
        to do. All that is needed is read from Pub/Sub, because whoever gets the marker need not have subscribed.
        """
        identity = message.attributes[RETIRES]
        if message.subscription.rpartition("/")[2] != identity:
            return
        async with self._retiring:
            topic = await self._provisioner.topic_of(identity)
            if topic is None:
                return
            there = await self._provisioner.generations(base_of(identity), topic)
            ids = [generation.id for generation in there]
            if ids[:1] != [identity] or message.attributes.get(FOLLOWS) not in ids[1:]:
                return
            behind = ids.index(message.attributes[FOLLOWS])
            await self._provisioner.adjust(there[behind], there[0].endpoint)
            # The one that delivers the marker is the last: until it is gone, the marker comes again.
            for generation in reversed(there[:behind]):
                await self._provisioner.delete(generation.path)
            there = await self._provisioner.generations(base_of(identity), topic)
            if len(there) > 1:
                await self._mark(topic, message.ordering_key, there)
            for name, known in self._subscribed.items():
                if len(there) == 1 and valid_id(name) == base_of(identity):
                    known.settled.set()
