"""One subscription of the embedded bus: lanes by ordering key, deliveries, redeliveries, and what goes through the state file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from drasi.bus import store
from drasi.bus.lane import Item, Lane
from drasi.bus.port import BusUnavailable, Deliver
from drasi.errors import DrasiError
from drasi.messages.envelope import Message
from drasi.statefile import StateFile

_log = logging.getLogger("drasi.bus")

MOST_HELD = 1_000
MOST_HELD_BYTES = 8_000_000
_PAGE = 64
_LAST_DELIVERY_S = 10.0
_PAGE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """What a person wants to know of a subscription.

    Attributes:
        waiting: Messages not acknowledged.
        oldest: When the oldest of them was published (RFC 3339); empty if there is none.
        failures: Failed attempts in a row, of the key that is worst off.
        last_failure: Of the last attempt that failed, since when nothing has succeeded; else empty.
        dropped: Messages a non-durable subscription had no room for.
    """

    topic: str
    waiting: int
    oldest: str
    failures: int
    last_failure: str
    dropped: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a publish waits for an acknowledgement before the message is stored, and how failed deliveries are paced."""

    patience_s: float
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[], float]

    def backoff(self, failures: int) -> float:
        longest = min(60.0, 2.0 ** min(failures - 1, 10))
        return max(1.0, longest * (0.75 + 0.25 * self.jitter()))


class Subscription:
    """Delivers the messages of one topic to one receiver, or keeps them while there is none.

    A durable subscription accepts a message when it was acknowledged or stored. First it only waits in memory: a receiver that is
    quick spares the write. If the receiver takes longer than the patience, answers badly, or is behind already, the message is
    stored at once. What does not fit into memory is in the state file alone and is read back page by page.
    """

    def __init__(
        self, name: str, topic: str, *, durable: bool, state: StateFile, pace: Pace, forget: Callable[[str, str, int], None]
    ) -> None:
        self.name = name
        self.topic = topic
        self.durable = durable
        self._state = state
        self._pace = pace
        self._forget = forget
        self._deliver: Deliver | None = None
        self._detached = asyncio.Event()
        self._lanes: dict[str, Lane] = {}
        self._storing: set[asyncio.Task[None]] = set()
        self._held = 0
        self._held_bytes = 0
        self._waiting = 0
        self._dropped = 0
        self._last_failure = ""

    def restore(self, held: store.Held) -> None:
        """Told at start what the state file holds under one key."""
        self._lanes[held.key] = Lane(held.key, spilled=held.last, oldest=held.oldest)
        self._waiting += held.count

    def offer(self, sequence: int, message: Message) -> asyncio.Future[None] | None:
        """Takes a message. The future resolves when it is accepted, and raises BusUnavailable when it is not."""
        lane = self._lanes.get(message.ordering_key)
        if lane is None:
            lane = self._lanes[message.ordering_key] = Lane(message.ordering_key, loaded=sequence - 1)
        if not self.durable:
            if self._deliver is not None:
                self._enqueue(lane, Item(sequence, message))
                self._waiting += 1
                self._make_room(lane)
                self._start(lane)
            return None
        item = Item(sequence, message, asyncio.get_running_loop().create_future())
        self._waiting += 1
        lane.unstored.append(item)
        if self._deliver is None or lane.spilled or self._is_full(message):
            lane.oldest = lane.oldest or message.publish_time
            lane.spilled = sequence
            self._store(lane)
        else:
            was_slow = lane.slow
            self._enqueue(lane, item)
            if was_slow:
                self._store(lane)
            elif lane.timer is None:
                lane.timer = asyncio.get_running_loop().call_later(self._pace.patience_s, self._out_of_patience, lane)
        self._start(lane)
        return item.accepted

    def attach(self, deliver: Deliver) -> None:
        """Starts deliveries; what is held comes first."""
        self._deliver = deliver
        self._detached = asyncio.Event()
        for lane in list(self._lanes.values()):
            self._start(lane)

    async def detach(self, drain_s: float | None = None) -> None:
        """Ends deliveries, those under way first. A durable subscription then holds everything in the state file."""
        self._deliver = None
        self._detached.set()
        runners = [lane.runner for lane in self._lanes.values() if lane.runner is not None]
        if runners:
            _, late = await asyncio.wait(runners, timeout=drain_s)
            for runner in late:
                runner.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for lane in list(self._lanes.values()):
            self._store(lane)
        await self.settle()
        for lane in list(self._lanes.values()):
            self._put_away(lane)

    async def drop(self) -> None:
        """The subscription is removed: whoever waits is let go."""
        self.durable = False
        for lane in self._lanes.values():
            for item in lane.unstored:
                item.accept()
            lane.unstored.clear()
        await self.detach(_LAST_DELIVERY_S)

    async def settle(self) -> None:
        """Waits for the writes under way."""
        while self._storing:
            await asyncio.wait(self._storing)

    def status(self) -> SubscriptionStatus:
        heads = [
            lane.queue[0].message.publish_time if lane.queue else lane.oldest for lane in self._lanes.values() if not lane.empty
        ]
        failures = max((lane.failures for lane in self._lanes.values()), default=0)
        return SubscriptionStatus(self.topic, self._waiting, min(heads, default=""), failures, self._last_failure, self._dropped)

    # Memory

    def _enqueue(self, lane: Lane, item: Item) -> None:
        lane.queue.append(item)
        self._held += 1
        self._held_bytes += len(item.message.data)

    def _dequeue(self, lane: Lane, index: int = 0) -> Item:
        item = lane.queue[index]
        del lane.queue[index]
        self._held -= 1
        self._held_bytes -= len(item.message.data)
        return item

    def _is_full(self, message: Message) -> bool:
        return self._held >= MOST_HELD or (self._held > 0 and self._held_bytes + len(message.data) > MOST_HELD_BYTES)

    def _make_room(self, lane: Lane) -> None:
        oldest = 1 if lane.delivering else 0
        while (self._held > MOST_HELD or self._held_bytes > MOST_HELD_BYTES) and len(lane.queue) > oldest + 1:
            self._dequeue(lane, oldest)
            self._waiting -= 1
            self._dropped += 1

    def _put_away(self, lane: Lane) -> None:
        """After the deliveries have ended: what is stored need not stay in memory."""
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        kept = [item for item in lane.queue if item.stored]
        if kept:
            lane.loaded = kept[0].sequence - 1
            lane.oldest = kept[0].message.publish_time
            lane.spilled = max(lane.spilled, kept[-1].sequence)
        while lane.queue:
            item = self._dequeue(lane)
            if not item.stored and not item.refused:
                self._waiting -= 1
        if lane.empty:
            self._lanes.pop(lane.key, None)

    # The state file

    def _out_of_patience(self, lane: Lane) -> None:
        lane.timer = None
        self._store(lane)

    def _store(self, lane: Lane) -> None:
        if lane.storing is None and any(not item.acknowledged for item in lane.unstored):
            lane.storing = asyncio.create_task(self._store_all(lane))
            self._storing.add(lane.storing)
            lane.storing.add_done_callback(self._storing.discard)

    async def _store_all(self, lane: Lane) -> None:
        try:
            while batch := [item for item in lane.unstored if not item.acknowledged]:
                rows = [(item.sequence, item.message) for item in batch]
                try:
                    await self._state.write(partial(store.store, subscription=self.name, messages=rows))
                except DrasiError as error:
                    self._refuse(lane, error)
                    return
                for item in batch:
                    item.stored = True
                    item.accept()
                    if item.acknowledged:
                        self._forget(self.name, lane.key, item.sequence)
                while lane.unstored and (lane.unstored[0].stored or lane.unstored[0].acknowledged):
                    lane.unstored.popleft()
        finally:
            lane.storing = None

    def _refuse(self, lane: Lane, error: DrasiError) -> None:
        """Everything of the lane that is not safe fails together: a later message must not be accepted before an earlier one."""
        for item in lane.unstored:
            if not item.acknowledged:
                item.refuse(BusUnavailable(f"subscription {self.name} cannot hold the message: {error.message}", hint=error.hint))
                self._waiting -= 1
        lane.unstored.clear()

    async def _load(self, lane: Lane) -> None:
        spilled = lane.spilled
        found, more = await self._state.read(
            partial(store.load, subscription=self.name, key=lane.key, after=lane.loaded, most=_PAGE, most_bytes=_PAGE_BYTES)
        )
        for sequence, message in found:
            lane.loaded = sequence
            self._enqueue(lane, Item(sequence, message, stored=True))
        if not more and lane.spilled == spilled:
            # Reads follow the writes that were asked for before them, so nothing can be behind this page.
            if lane.storing is None:
                lane.spilled = 0
                lane.oldest = ""
            else:
                await asyncio.wait([lane.storing])

    # Deliveries

    def _start(self, lane: Lane) -> None:
        if lane.runner is None and self._deliver is not None and not lane.empty:
            lane.runner = asyncio.create_task(self._run(lane))

    async def _run(self, lane: Lane) -> None:
        try:
            while (deliver := self._deliver) is not None and not lane.empty:
                if not lane.queue:
                    try:
                        await self._load(lane)
                    except DrasiError as error:
                        lane.failures += 1
                        self._last_failure = error.message
                        await self._pause(lane)
                elif lane.queue[0].refused:
                    self._dequeue(lane)
                elif await self._attempt(lane, deliver):
                    self._acknowledge(lane)
                else:
                    self._store(lane)
                    await self._pause(lane)
        finally:
            lane.runner = None
            if lane.empty:
                if lane.timer is not None:
                    lane.timer.cancel()
                    lane.timer = None
                self._lanes.pop(lane.key, None)

    async def _attempt(self, lane: Lane, deliver: Deliver) -> bool:
        lane.delivering = True
        try:
            status = await deliver(lane.queue[0].message)
        except Exception as error:
            self._last_failure = type(error).__name__
            _log.warning("delivery to %s raised %s", self.name, type(error).__name__)
            _log.debug("delivery to %s", self.name, exc_info=True)
        else:
            if 200 <= status < 300:
                lane.failures = 0
                self._last_failure = ""
                return True
            self._last_failure = f"answered {status}"
        finally:
            lane.delivering = False
        lane.failures += 1
        return False

    def _acknowledge(self, lane: Lane) -> None:
        item = self._dequeue(lane)
        item.acknowledged = True
        if not item.refused:
            self._waiting -= 1
        lane.loaded = max(lane.loaded, item.sequence)
        if item.stored:
            self._forget(self.name, lane.key, item.sequence)
        elif lane.storing is None:
            while lane.unstored and lane.unstored[0].acknowledged:
                lane.unstored.popleft()
        item.accept()

    async def _pause(self, lane: Lane) -> None:
        pause = asyncio.ensure_future(self._pace.sleep(self._pace.backoff(lane.failures)))
        detached = asyncio.ensure_future(self._detached.wait())
        try:
            await asyncio.wait([pause, detached], return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            detached.cancel()
            await asyncio.gather(pause, detached, return_exceptions=True)
