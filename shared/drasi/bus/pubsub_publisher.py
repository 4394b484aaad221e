"""Publishing to Pub/Sub: batches that form by themselves, order per key, and no more requests at a time than is good.

One request of a key is under way at a time, so what comes meanwhile is the next batch, and no message is accepted before an
earlier one of its key. When a request has failed for good, everything of the key that waits behind it fails with it; the key is
free again at once, and whoever publishes again keeps its order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from drasi.bus.port import BusUnavailable
from drasi.messages.envelope import Message

MOST_MESSAGES = 1_000
"""In one request; Pub/Sub takes no more."""
REQUEST_BYTES = 1_000_000
"""Data in one request, unless one message alone is larger."""
MOST_REQUESTS = 16
"""Under way at a time, over all topics and keys."""

Send = Callable[[str, Sequence[Message]], Awaitable[Sequence[str]]]
"""Publishes messages of one key on a topic and returns their ids; raises BusUnavailable when none or some may be published."""


@dataclass(slots=True, eq=False)
class _Waiting:
    message: Message
    accepted: asyncio.Future[str]


@dataclass(slots=True, eq=False)
class _Lane:
    topic: str
    waiting: deque[_Waiting] = field(default_factory=deque)


class PubSubPublisher:
    """See the module.

    Args:
        send: Makes one request.
        most_requests: Requests under way at a time; a lane whose turn has not come collects a larger batch.
    """

    def __init__(self, send: Send, *, most_requests: int = MOST_REQUESTS) -> None:
        self._send = send
        self._requests = asyncio.Semaphore(most_requests)
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._pumps: set[asyncio.Task[None]] = set()
        self._closed = False

    async def publish(self, topic: str, message: Message) -> str:
        """Returns the message's id when Pub/Sub holds it.

        Raises:
            BusUnavailable: It may not be published; publish it again, and all of its key that failed with it.
        """
        if self._closed:
            raise BusUnavailable("the bus is closed")
        place = (topic, message.ordering_key)
        lane = self._lanes.get(place)
        waiting = _Waiting(message, asyncio.get_running_loop().create_future())
        if lane is None:
            lane = self._lanes[place] = _Lane(topic)
            pump = asyncio.create_task(self._pump(place, lane), name=f"publish {topic}")
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)
        lane.waiting.append(waiting)
        return await waiting.accepted

    async def close(self, drain_s: float = 10.0) -> None:
        """Lets go what was given before, for at most ``drain_s``; what is not accepted by then fails."""
        self._closed = True
        if self._pumps:
            _, late = await asyncio.wait(self._pumps, timeout=drain_s)
            for pump in late:
                pump.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _pump(self, place: tuple[str, str], lane: _Lane) -> None:
        try:
            while lane.waiting:
                async with self._requests:
                    batch = _next_batch(lane.waiting)
                    try:
                        ids = await self._send(lane.topic, [one.message for one in batch])
                    except Exception as error:
                        lane.waiting.extendleft(reversed(batch))
                        _fail(lane, error)
                        continue
                    except asyncio.CancelledError:
                        lane.waiting.extendleft(reversed(batch))
                        raise
                for one, identity in zip(batch, ids, strict=True):
                    if not one.accepted.done():
                        one.accepted.set_result(identity)
        finally:
            _fail(lane, BusUnavailable("the bus is closed"))
            del self._lanes[place]


def _fail(lane: _Lane, error: Exception) -> None:
    for one in lane.waiting:
        if not one.accepted.done():
            one.accepted.set_exception(error)
    lane.waiting.clear()


def _next_batch(waiting: deque[_Waiting]) -> list[_Waiting]:
    batch: list[_Waiting] = []
    size = 0
    while waiting and len(batch) < MOST_MESSAGES:
        size += len(waiting[0].message.data)
        if batch and size > REQUEST_BYTES:
            break
        batch.append(waiting.popleft())
    return batch
