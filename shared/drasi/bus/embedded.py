"""The bus of one process: messages go from memory to their subscriptions, and through the state file when that takes too long."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from drasi.bus import store
from drasi.bus.port import LARGEST_MESSAGE, MOST_ATTRIBUTES, BusUnavailable, Deliver, MessageTooLarge
from drasi.bus.subscription import Pace, Subscription, SubscriptionStatus
from drasi.errors import DrasiError
from drasi.messages.envelope import Message
from drasi.statefile import StateFile

_TIDY_S = 0.05
_TIDY_AGAIN_S = 1.0


class EmbeddedBus:
    """See ``Bus``. Make it with ``open``; the state file stays open when the bus is closed.

    Messages without an ordering key are delivered in the order of publication, one after the other, as if they had one.
    """

    def __init__(self, state: StateFile, pace: Pace) -> None:
        self._state = state
        self._pace = pace
        self._subscriptions: dict[str, Subscription] = {}
        self._topics: dict[str, list[Subscription]] = {}
        self._acknowledged: dict[tuple[str, str], int] = {}
        self._tidying: asyncio.TimerHandle | None = None
        self._tidy_tasks: set[asyncio.Task[None]] = set()
        self._run_id = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._sequence = 0
        self._closed = False

    @classmethod
    async def open(
        cls,
        state: StateFile,
        *,
        patience_s: float = 0.02,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> EmbeddedBus:
        """Reads which durable subscriptions there are; they collect from now on.

        Args:
            state: Where messages are kept; may be shared.
            patience_s: How long a publish waits for acknowledgements before the message is written.
            sleep, jitter: Of the pauses between failed deliveries; tests give others.

        Raises:
            StateUnavailable: The state file cannot be read.
        """
        bus = cls(state, Pace(patience_s, sleep, jitter))
        subscriptions, held = await state.write(store.prepare)
        for name, topic in subscriptions:
            bus._add(name, topic, durable=True)
        for lane in held:
            bus._subscriptions[lane.subscription].restore(lane)
            bus._sequence = max(bus._sequence, lane.last)
        return bus

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        if self._closed:
            raise BusUnavailable("the bus is closed")
        attributes = dict(attributes) if attributes else {}
        if len(data) > LARGEST_MESSAGE:
            raise MessageTooLarge(f"a message of {len(data):,} bytes on {topic}: at most {LARGEST_MESSAGE:,}")
        if len(attributes) > MOST_ATTRIBUTES:
            raise MessageTooLarge(f"a message with {len(attributes)} attributes on {topic}: at most {MOST_ATTRIBUTES}")
        message = Message(
            data,
            attributes,
            ordering_key,
            f"{self._run_id}-{next(self._numbers)}",
            datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        )
        accepted = []
        for subscription in self._topics.get(topic, ()):
            self._sequence += 1
            future = subscription.offer(self._sequence, message)
            if future is not None:
                accepted.append(future)
        if len(accepted) == 1:
            await accepted[0]
        elif accepted:
            for outcome in await asyncio.gather(*accepted, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
        return message.message_id

    async def subscribe(self, subscription: str, topic: str, deliver: Deliver, *, durable: bool = True) -> None:
        """See ``Bus``.

        Raises:
            ValueError: There is a subscription of this name to another topic, or of the other durability.
            StateUnavailable: A durable one cannot be noted now.
        """
        known = self._subscriptions.get(subscription)
        if known is not None and (known.topic, known.durable) != (topic, durable):
            raise ValueError(f"subscription {subscription} exists on topic {known.topic}")
        if known is None:
            if durable:
                await self._state.write(partial(store.add_subscription, name=subscription, topic=topic))
            known = self._add(subscription, topic, durable=durable)
        known.attach(deliver)

    async def detach(self, subscription: str) -> None:
        known = self._subscriptions.get(subscription)
        if known is not None:
            await known.detach()

    async def unsubscribe(self, subscription: str) -> None:
        known = self._subscriptions.pop(subscription, None)
        if known is None:
            return
        self._topics[known.topic].remove(known)
        durable = known.durable
        await known.drop()
        if durable:
            await self._state.write(partial(store.remove_subscription, name=subscription))
        for key in [key for key in self._acknowledged if key[0] == subscription]:
            del self._acknowledged[key]

    def status(self) -> dict[str, SubscriptionStatus]:
        """Every subscription by name."""
        return {name: subscription.status() for name, subscription in self._subscriptions.items()}

    async def close(self, drain_s: float = 10.0) -> None:
        """Waits at most ``drain_s`` for the deliveries under way; what is not acknowledged by then comes again after a restart."""
        await asyncio.gather(*(subscription.detach(drain_s) for subscription in self._subscriptions.values()))
        self._closed = True
        await asyncio.gather(*(subscription.settle() for subscription in self._subscriptions.values()))
        if self._tidying is not None:
            self._tidying.cancel()
        await asyncio.gather(*self._tidy_tasks)
        await self._tidy()
        if self._tidying is not None:
            self._tidying.cancel()

    def _add(self, name: str, topic: str, *, durable: bool) -> Subscription:
        made = Subscription(name, topic, durable=durable, state=self._state, pace=self._pace, forget=self._forget)
        self._subscriptions[name] = made
        self._topics.setdefault(topic, []).append(made)
        return made

    def _forget(self, subscription: str, key: str, sequence: int) -> None:
        """Acknowledged messages are removed a little later, together: until then a crash only repeats them."""
        place = (subscription, key)
        self._acknowledged[place] = max(sequence, self._acknowledged.get(place, 0))
        self._tidy_later(_TIDY_S)

    def _tidy_later(self, seconds: float) -> None:
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(seconds, self._tidy_now)

    def _tidy_now(self) -> None:
        self._tidying = None
        task = asyncio.create_task(self._tidy())
        self._tidy_tasks.add(task)
        task.add_done_callback(self._tidy_tasks.discard)

    async def _tidy(self) -> None:
        acknowledged, self._acknowledged = self._acknowledged, {}
        if not acknowledged:
            return
        try:
            await self._state.write(partial(store.forget, acknowledged=acknowledged))
        except DrasiError:
            for place, sequence in acknowledged.items():
                self._acknowledged[place] = max(sequence, self._acknowledged.get(place, 0))
            if not self._closed:
                self._tidy_later(_TIDY_AGAIN_S)
