"""Changes become messages: one at a time, in order, and what comes meanwhile is the next one (wire.md section 1)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from drasi.bus.port import LARGEST_MESSAGE, Bus, BusUnavailable
from drasi.messages.changes import SourceChange, encode

MOST_CHANGES = 1_000
MESSAGE_BYTES = 1_000_000
TRANSACTION_BYTES = 8_000_000
_MOST_LABELS = 80
_LONGEST_LABEL = 200


@dataclass(slots=True, eq=False)
class _Call:
    accepted: asyncio.Future[None]
    left: int


@dataclass(slots=True, eq=False)
class _Item:
    change: SourceChange
    data: bytes
    call: _Call
    marker: bool = False


class Publisher:
    """Publishes the changes of one source on ``{source}-change``.

    A message ends at 1,000 changes or 1 MB, and never inside a transaction unless that alone exceeds 8 MB; then its parts become
    transactions of their own. One message is under way at a time: a later one is never accepted before an earlier one.

    Attributes:
        published: Changes acknowledged by the bus since the start.
        last_position: Of the newest of them.
        last_change_ns: Commit time of the newest of them in its origin.
        lag_ns: How old that was when it was acknowledged.
        waiting_bytes: Size of what is not acknowledged yet.
    """

    def __init__(
        self,
        source_id: str,
        bus: Bus,
        *,
        now_ns: Callable[[], int],
        dead_letter: Callable[[str, Mapping[str, Any], str], Awaitable[None]],
        warn: Callable[[str, str], None],
    ) -> None:
        self._source_id = source_id
        self._topic = f"{source_id}-change"
        self._bus = bus
        self._now_ns = now_ns
        self._dead_letter = dead_letter
        self._warn = warn
        self._items: deque[_Item] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._closed = False
        self.published = 0
        self.last_position: str | None = None
        self.last_change_ns = 0
        self.lag_ns = 0
        self.waiting_bytes = 0

    async def publish(self, changes: Sequence[SourceChange], *, marker: bool = False) -> None:
        """Returns when every change is acknowledged. Changes keep the order of the calls, seen from their first step.

        Raises:
            BusUnavailable: Some may have been accepted; publish all again.
        """
        if self._closed:
            raise BusUnavailable(f"source {self._source_id} is closed")
        if not changes:
            return
        now = self._now_ns()
        call = _Call(asyncio.get_running_loop().create_future(), len(changes))
        for change in changes:
            change.reactivatorStart_ns = change.reactivatorStart_ns or now
            change.reactivatorEnd_ns = now
            data = encode(change)
            self.waiting_bytes += len(data)
            self._items.append(_Item(change, data, call, marker))
        if self._pump is None:
            self._pump = asyncio.create_task(self._publish_all())
        await call.accepted

    async def close(self) -> None:
        """Lets the message under way go; whoever waits behind it gets BusUnavailable."""
        self._closed = True
        while self._items:
            self._fail([self._items[0]], BusUnavailable(f"source {self._source_id} is closed"))
        if self._pump is not None:
            await self._pump

    async def _publish_all(self) -> None:
        try:
            while self._items:
                await self._publish_next()
        finally:
            self._pump = None

    async def _publish_next(self) -> None:
        items = self._next_message()
        try:
            if len(items) == 1 and len(items[0].data) > LARGEST_MESSAGE - 2:
                await self._record_too_large(items[0])
            else:
                data = b"[" + b",".join([item.data for item in items]) + b"]"
                await self._bus.publish(self._topic, data, attributes=self._attributes(items), ordering_key=self._source_id)
        except Exception as error:
            self._fail(items, error)
            return
        finally:
            self.waiting_bytes -= sum(len(item.data) for item in items)
        self._note(items)
        for item in items:
            item.call.left -= 1
            if item.call.left == 0 and not item.call.accepted.done():
                item.call.accepted.set_result(None)

    def _next_message(self) -> list[_Item]:
        items: list[_Item] = []
        size = 0
        while self._items:
            group, group_size = self._next_group()
            if items and (group[0].marker or len(items) + len(group) > MOST_CHANGES or size + group_size > MESSAGE_BYTES):
                break
            for _ in group:
                self._items.popleft()
            items += group
            size += group_size
            if group[0].marker:
                break
        return items

    def _next_group(self) -> tuple[list[_Item], int]:
        """The transaction at the head, or the one change there."""
        head = self._items[0]
        tx = head.change.payload.source.tx
        group = [head]
        size = len(head.data)
        if tx is None or head.marker:
            return group, size
        for index, item in enumerate(islice(self._items, 1, None), 1):
            if item.marker or item.change.payload.source.tx != tx:
                break
            if size + len(item.data) + 1 > TRANSACTION_BYTES:
                self._split(index, tx)
                break
            group.append(item)
            size += len(item.data) + 1
        return group, size

    def _split(self, index: int, tx: str) -> None:
        original, _, part = tx.partition("/")
        self._warn(
            "TransactionSplit", f"transaction {original} exceeds {TRANSACTION_BYTES:,} bytes; its parts are evaluated one by one"
        )
        renamed = f"{original}/{int(part or 1) + 1}"
        for item in islice(self._items, index, None):
            if item.change.payload.source.tx != tx:
                break
            item.change.payload.source.tx = renamed
            self.waiting_bytes -= len(item.data)
            item.data = encode(item.change)
            self.waiting_bytes += len(item.data)

    def _attributes(self, items: list[_Item]) -> dict[str, str]:
        attributes = {
            "drasi-type": "marker" if items[0].marker else "changes",
            "source": self._source_id,
            "count": str(len(items)),
        }
        first, last = items[0].change.payload.source.position, items[-1].change.payload.source.position
        if first is not None and last is not None:
            attributes["firstPosition"] = first
            attributes["lastPosition"] = last
        # A marker is for every subscription of the topic, whatever its filter.
        labels = {"*"} if items[0].marker else _labels(items)
        return attributes | {f"label.{label}": "1" for label in labels}

    async def _record_too_large(self, item: _Item) -> None:
        payload = item.change.payload
        element = payload.after or payload.before
        content = {"op": item.change.op, "id": element.id if element else "", "labels": element.labels if element else []}
        await self._dead_letter(
            payload.source.position or "", content, f"the change has {len(item.data):,} bytes: at most {LARGEST_MESSAGE:,}"
        )

    def _note(self, items: list[_Item]) -> None:
        if items[0].marker:
            return
        origin = items[-1].change.payload.source
        self.published += len(items)
        self.last_position = origin.position
        self.last_change_ns = origin.ts_ns
        self.lag_ns = max(0, self._now_ns() - origin.ts_ns)

    def _fail(self, items: list[_Item], error: Exception) -> None:
        """The calls of these items fail, with what they still have waiting."""
        calls = {id(item.call) for item in items}
        for item in items:
            if not item.call.accepted.done():
                item.call.accepted.set_exception(error)
        self.waiting_bytes -= sum(len(item.data) for item in self._items if id(item.call) in calls)
        self._items = deque(item for item in self._items if id(item.call) not in calls)


def _labels(items: list[_Item]) -> set[str]:
    labels: set[str] = set()
    for item in items:
        payload = item.change.payload
        for element in (payload.after, payload.before):
            if element is not None:
                if not element.labels:
                    return {"*"}
                labels.update(element.labels)
    if len(labels) > _MOST_LABELS or any(len(label.encode()) > _LONGEST_LABEL for label in labels):
        return {"*"}
    return labels
