"""A query's events for any number of readers: each event is rendered once, however many read it.

A feed holds a bounded ring of the newest events. Pushes fill it while they follow each other; gaps, and what no push brought, come
from the query's tail. A reader first catches up from the tail at its own pace, then joins the ring. One that falls behind the ring
is cut off: nothing is kept for it, and it resumes exactly by the position it has reached. Without readers a feed does nothing.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import msgspec

from drasi.errors import DrasiError
from drasi.messages.reading import Gone, QueryReader
from drasi.messages.results import ResultEvent
from drasi.reactions.notification import RawEvent, decode_raw_events, raw_event
from drasi.reactions.timing import Timing

logger = logging.getLogger(__name__)

EVENTS = 8192
BYTES = 8 * 1024 * 1024
READ = 500
POLL_S = 1.0


class CutOff(DrasiError):
    """A reader that is too slow: what it wants next is no longer held for it."""

    code: ClassVar[str] = "CutOff"
    retryable: ClassVar[bool] = True


class Part(NamedTuple):
    """One row of an event (or a control signal), rendered. ``path``: the stream it is for; empty: the usual one."""

    data: bytes
    path: str = ""


class Step:
    """One event, rendered: its rows in the order of delivery."""

    __slots__ = ("joined", "parts", "sequence", "size")

    def __init__(self, sequence: int, parts: Sequence[Part]) -> None:
        self.sequence = sequence
        self.parts = parts
        self.size = 64 + (len(parts[0].data) if len(parts) == 1 else sum(len(part.data) for part in parts))
        self.joined: bytes | None = None
        """What a reader of this query alone is sent, once made."""


Render = Callable[[RawEvent], Sequence[Part]]


class Cursor:
    """A reader's place in a feed; ``Feed.join`` makes it.

    Attributes:
        sequence: The last event taken.
    """

    __slots__ = ("_feed", "_index", "cut", "gone", "sequence", "wake")

    def __init__(self, feed: Feed, sequence: int, index: int, wake: asyncio.Event, cut: asyncio.Event) -> None:
        self._feed = feed
        self._index = index
        self.sequence = sequence
        self.wake = wake
        self.cut = cut
        self.gone: Gone | None = None

    def take(self, most: int) -> list[Step]:
        """The next events there are, up to about ``most`` bytes.

        Raises:
            Gone: The feed lost its place; the reader needs the result again.
            CutOff: The reader was too slow.
        """
        if self.gone is not None:
            raise self.gone
        if self.cut.is_set():
            raise CutOff("the reader is too slow")
        taken: list[Step] = []
        steps, index = self._feed.steps, self._index - self._feed.base
        while index < len(steps) and most > 0:
            step = steps[index]
            index += 1
            if step.sequence > self.sequence:
                taken.append(step)
                self.sequence = step.sequence
                most -= step.size
        self._index = self._feed.base + index
        return taken

    @property
    def index(self) -> int:
        return self._index

    def close(self) -> None:
        self._feed.leave(self)


class Feed:
    """The ring of one query."""

    def __init__(
        self,
        query_id: str,
        reader: QueryReader,
        render: Render,
        *,
        report: Callable[[str, str | None], None],
        timing: Timing | None = None,
        events: int = EVENTS,
        size: int = BYTES,
    ) -> None:
        self.query_id = query_id
        self.steps: list[Step] = []
        self.base = 0
        """How many events have left the ring."""
        self.latest = 0
        self._reader = reader
        self._render = render
        self._report = report
        self._timing = timing or Timing()
        self._most_events = events
        self._most_bytes = size
        self._bytes = 0
        self._last = 0
        self._cursors: set[Cursor] = set()
        self._kick = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def readers(self) -> int:
        return len(self._cursors)

    def notice(self, events: bytes) -> None:
        """Takes what was pushed (a JSON array of events)."""
        if not self._cursors:
            return
        try:
            complete = all(event.reference is None and self._append(event) for event in decode_raw_events(events))
        except msgspec.MsgspecError:
            complete = False
        if not complete:
            self._kick.set()
        self._wake_readers()

    async def catch_up(self, after: int) -> list[Step]:
        """The next events after ``after`` from the tail, rendered for one reader; fewer than ``READ``: it may join.

        Raises:
            Gone, QueryNotFound, QueryUnavailable: As the reader of queries does.
        """
        return [self.rendered(raw_event(event)) for event in await self._reader.read_events(self.query_id, after, READ)]

    def join(self, sequence: int, wake: asyncio.Event, cut: asyncio.Event) -> Cursor | None:
        """Joins behind event ``sequence``; None: the ring begins later, catch up first.

        Args:
            wake: Set whenever there is something to take.
            cut: Set when the reader has fallen behind the ring.
        """
        if not self._cursors:
            self._start(sequence)
        elif sequence < (self.steps[0].sequence - 1 if self.steps else self._last):
            return None
        index = bisect_right(self.steps, sequence, key=lambda step: step.sequence)
        cursor = Cursor(self, sequence, self.base + index, wake, cut)
        self._cursors.add(cursor)
        wake.set()
        return cursor

    def leave(self, cursor: Cursor) -> None:
        self._cursors.discard(cursor)
        if not self._cursors:
            self._stop()

    async def close(self) -> None:
        task = self._task
        self._cursors.clear()
        self._stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def rendered(self, event: RawEvent) -> Step:
        return Step(event.sequence, self._render(event))

    def _start(self, sequence: int) -> None:
        self._stop()
        self._last = sequence
        self._kick.set()
        self._task = asyncio.create_task(self._follow(), name=f"feed of {self.query_id}")

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.base += len(self.steps)
        self.steps.clear()
        self._bytes = 0

    def _append(self, event: RawEvent) -> bool:
        """Adds an event that follows; False: there is a gap before it."""
        sequence = event.sequence
        if sequence <= self._last:
            return True
        jumps = event.controlSignal is not None and event.controlSignal.kind == "bootstrapStarted"
        if sequence != self._last + 1 and not jumps:
            return False
        step = self.rendered(event)
        self.steps.append(step)
        self._bytes += step.size
        self._last = self.latest = sequence
        if len(self.steps) > self._most_events + self._most_events // 8 or self._bytes > self._most_bytes + self._most_bytes // 8:
            self._trim()
        return True

    def _wake_readers(self) -> None:
        for cursor in self._cursors:
            cursor.wake.set()

    def _trim(self) -> None:
        leaving = max(0, len(self.steps) - self._most_events)
        size = self._bytes - sum(step.size for step in self.steps[:leaving])
        # The newest event stays, whatever its size.
        while size > self._most_bytes and leaving < len(self.steps) - 1:
            size -= self.steps[leaving].size
            leaving += 1
        del self.steps[:leaving]
        self._bytes = size
        self.base += leaving
        for cursor in [cursor for cursor in self._cursors if cursor.index < self.base]:
            logger.info("a reader of query %s is too slow and is cut off behind %d", self.query_id, cursor.sequence)
            cursor.cut.set()
            cursor.wake.set()
            self._cursors.discard(cursor)

    async def _follow(self) -> None:
        """Fetches what pushes did not bring."""
        failures = 0
        while self._cursors:
            self._kick.clear()
            try:
                await self._read()
                if failures:
                    self._report(f"Tail:{self.query_id}", None)
                failures = 0
            except Gone as gone:
                self._lose(gone)
                return
            except DrasiError as error:
                failures += 1
                self._report(f"Tail:{self.query_id}", error.message)
            except Exception as error:
                failures += 1
                logger.exception("the tail of query %s cannot be read; it is tried again", self.query_id)
                self._report(f"Tail:{self.query_id}", type(error).__name__)
            await self._timing.wait(self._kick, self._timing.backoff(failures) if failures else POLL_S)

    async def _read(self) -> None:
        while True:
            events: list[ResultEvent] = await self._reader.read_events(self.query_id, self._last, READ)
            for event in events:
                if not self._append(raw_event(event)):
                    raise Gone(self._last, event.sequence, event.sequence)
            if events:
                self._wake_readers()
            if len(events) < READ:
                return

    def _lose(self, gone: Gone) -> None:
        for cursor in self._cursors:
            cursor.gone = gone
            cursor.wake.set()
        self._cursors.clear()
        self._task = None
        self._stop()
