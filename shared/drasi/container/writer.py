"""The commit loop: what arrives while a commit is in flight becomes the next entry.

Commit first, then evaluate: while entry n is evaluated, the create of n+1 is under way already. One task does all of it, so the
machine is only ever touched between two awaits of this task.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import zstandard

from drasi.container import entry as entries
from drasi.container.entry import AnyItem, Changes, Entry, Fragment, NewerEntry, Replay, encode_item, size_of
from drasi.container.machine import Machine
from drasi.container.publisher import Publisher
from drasi.container.settings import Settings
from drasi.container.state import Outcome
from drasi.errors import DrasiError
from drasi.log.port import Log, LogEntry, LogFull, LogTrimmed, LogUnavailable

DONE = 204
BUSY = 429
LATER = 503

_READ = 256
_LARGEST_OF_LIMIT = 0.8
_SLICE_OF_LIMIT = 0.7
_DERIVED_BYTES = 1_000_000
_BACKLOG_BYTES = 4_000_000
_HEAD_BYTES = 1_024


@dataclass(slots=True)
class _Waiting:
    """An item that waits for its entry, and who waits for the item."""

    item: AnyItem
    size: int
    answer: asyncio.Future[int] | None


@dataclass(slots=True)
class _Attempt:
    """An entry that is being created, or is committed and not evaluated yet."""

    number: int
    entry: Entry
    data: bytes
    waiting: list[_Waiting] = field(default_factory=list)


class Writer:
    """Advances a machine by its log.

    Args:
        applied: Called after every entry, one's own or another's, with its size.
        settled: Called when this instance is where the log is, as far as it knows.
        restore: Loads the state from the newest snapshot when the log no longer reaches back to where this instance stands.
    """

    def __init__(
        self,
        log: Log,
        machine: Machine,
        publisher: Publisher,
        *,
        instance: str,
        clock: Callable[[], int],
        settings: Settings,
        applied: Callable[[Outcome, int], None],
        settled: Callable[[], None],
        restore: Callable[[], Awaitable[Machine]],
    ) -> None:
        self._log = log
        self.machine = machine
        self._publisher = publisher
        self._instance = instance
        self._clock = clock
        self._settings = settings
        self._applied = applied
        self._settled = settled
        self._restore = restore
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._at_ns = 0
        self._carried = 0
        self._reads: list[asyncio.Future[None]] = []
        self._due: deque[tuple[float, asyncio.Future[int]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._behind = False
        self._stopping = False
        self.problem: DrasiError | None = None
        self.newer: NewerEntry | None = None

    # --- what comes in ---

    @property
    def full(self) -> bool:
        return self._queued > self._settings.queue_bytes

    def submit(self, item: AnyItem) -> asyncio.Future[int]:
        """The future holds the status: 204 when the item's entry is committed and published, 503 when that takes too long."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        if self.newer is not None or self._stopping:
            answer.set_result(LATER)
            return answer
        while self._due and self._due[0][1].done():
            self._due.popleft()
        self._due.append((loop.time() + self._settings.answer_s, answer))
        if self._timer is None:
            self._timer = loop.call_later(self._settings.answer_s, self._too_late)
        size = size_of(item)
        if size > self._largest:
            self._submit_slices(item, answer)
        else:
            self._put(_Waiting(item, size, answer))
        self._wake.set()
        return answer

    def _too_late(self) -> None:
        """One timer for all: futures fall due in the order in which they were made."""
        loop = asyncio.get_running_loop()
        while self._due and (self._due[0][1].done() or self._due[0][0] <= loop.time()):
            answer = self._due.popleft()[1]
            if not answer.done():
                answer.set_result(LATER)
        self._timer = loop.call_at(self._due[0][0], self._too_late) if self._due else None

    async def catch_up(self) -> None:
        """Reads the log to its head.

        Raises:
            DrasiError: It cannot be read.
        """
        if self._stopping:
            raise LogUnavailable("the container has stopped")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reads.append(done)
        self._wake.set()
        await done

    def stop(self) -> None:
        """No more is accepted; what is committed will be evaluated, what waits is answered 503."""
        self._stopping = True
        self._wake.set()

    def abandon(self) -> None:
        """The loop is dead: who waits is answered 503."""
        self._stopping = True
        self._refuse_all()
        for future in self._reads:
            if not future.done():
                future.set_exception(LogUnavailable("the container has stopped"))
        self._reads.clear()

    def close(self) -> None:
        """Nothing more is going to be published: who still waits is answered 503."""
        if self._timer is not None:
            self._timer.cancel()
        for _, answer in self._due:
            if not answer.done():
                answer.set_result(LATER)

    @property
    def _largest(self) -> int:
        return int(self._log.entry_limit * _LARGEST_OF_LIMIT)

    def _put(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        self._queued += waiting.size

    def _submit_slices(self, item: AnyItem, answer: asyncio.Future[int]) -> None:
        packed = zstandard.ZstdCompressor(level=1).compress(encode_item(item))
        step = int(self._log.entry_limit * _SLICE_OF_LIMIT)
        origin = item.source if isinstance(item, Changes) else type(item).__name__
        nonce = os.urandom(8)
        slices = [packed[start : start + step] for start in range(0, len(packed), step)]
        for index, data in enumerate(slices):
            last = index == len(slices) - 1
            fragment = Fragment(origin, nonce, index, len(slices), data)
            self._put(_Waiting(fragment, len(data) + 64, answer if last else None))

    # --- the loop ---

    async def run(self) -> None:
        committed: _Attempt | None = None
        while True:
            attempt: _Attempt | None = None
            creating: asyncio.Task[DrasiError | None] | None = None
            if self._stopping:
                self._refuse(list(self._queue))
                self._queue.clear()
                self._queued = 0
            elif self._queue and not self._behind and not self._reads:
                attempt = self._next(committed)
                if committed is not None:
                    creating = asyncio.create_task(self._create(attempt))
                    await asyncio.sleep(0)
            if committed is not None:
                self._evaluate(committed)
                committed = None
            if attempt is not None:
                error = await (creating or self._create(attempt))
                if error is None or await self._resolve(attempt, error):
                    committed = attempt
                    self.problem = None
                continue
            if self._reads or (self._behind and not self._stopping):
                await self._read()
                continue
            if self._stopping:
                self.abandon()
                return
            self._wake.clear()
            if not self._queue and not self._reads:
                await self._wake.wait()

    def _next(self, committed: _Attempt | None) -> _Attempt:
        """The next entry: as much of what waits as fits."""
        waiting: list[_Waiting] = []
        size = 0
        while self._queue and (not waiting or size + self._queue[0].size <= self._settings.entry_bytes):
            taken = self._queue.popleft()
            self._queued -= taken.size
            size += taken.size
            waiting.append(taken)
        before = committed.number if committed is not None else self.machine.number
        self._at_ns = max(self._clock(), self._at_ns, self.machine.at_ns)
        budget = self._log.entry_limit - size - _HEAD_BYTES * (1 + len(waiting) // 64)
        if self.machine.uncarried_bytes < _BACKLOG_BYTES:
            budget = min(budget, _DERIVED_BYTES)
        skip = len(committed.entry.derived) if committed is not None else 0
        entry = Entry(
            at_ns=self._at_ns,
            instance=self._instance,
            nonce=os.urandom(12),
            published=self._publisher.published,
            items=[each.item for each in waiting],
            derived=self.machine.carry(budget, self._publisher.published, skip),
        )
        return _Attempt(before + 1, entry, entries.encode(entry), waiting)

    async def _create(self, attempt: _Attempt) -> DrasiError | None:
        try:
            await self._log.create(attempt.number, attempt.data)
        except DrasiError as error:
            return error
        except Exception as error:
            return LogUnavailable(f"the log failed: {error}")
        return None

    def _evaluate(self, attempt: _Attempt) -> None:
        outcome = self.machine.apply(attempt.number, attempt.entry)
        self._applied(outcome, len(attempt.data))
        answers = [(waiting.answer, _status(waiting.item, outcome)) for waiting in attempt.waiting if waiting.answer is not None]
        self._publisher.add(attempt.number, outcome.runs, outcome.letters, answers, own=True)
        self._settled()

    async def _resolve(self, attempt: _Attempt, error: DrasiError) -> bool:
        """A create that did not simply succeed: the log says what happened. True: the entry is there, and it is ours."""
        if isinstance(error, LogFull) or not error.retryable:
            self._fail(attempt, error)
            return False
        try:
            found = await self._log.read(self.machine.number, _READ)
        except LogTrimmed:
            self._behind = True
            self._requeue(attempt)
            return False
        except Exception as failure:
            self._behind = True
            self._fail(attempt, failure if isinstance(failure, DrasiError) else error)
            return False
        if found and entries.nonce_of(found[0].data) == attempt.entry.nonce:
            return True
        if not found:
            self._fail(attempt, error)
            return False
        self._requeue(attempt)
        try:
            await self._apply(found)
        except NewerEntry:
            self._refuse_all()
        return False

    def _fail(self, attempt: _Attempt, error: DrasiError) -> None:
        """Not written as far as is known: whoever sent it sends it again; if it was written, the watermark will tell."""
        self.problem = error
        self._refuse(attempt.waiting)

    def _requeue(self, attempt: _Attempt) -> None:
        for waiting in reversed(attempt.waiting):
            self._queue.appendleft(waiting)
            self._queued += waiting.size

    @staticmethod
    def _refuse(waiting: list[_Waiting]) -> None:
        for each in waiting:
            if each.answer is not None and not each.answer.done():
                each.answer.set_result(LATER)

    def _refuse_all(self) -> None:
        self._refuse(list(self._queue))
        self._queue.clear()
        self._queued = 0

    # --- entries of others ---

    async def _read(self) -> None:
        reads, self._reads = self._reads, []
        failure: Exception | None = None
        self._wake.clear()
        try:
            await self.follow()
        except Exception as error:  # told to whoever asked, and shown in the status
            failure = error
            self.problem = error if isinstance(error, DrasiError) else LogUnavailable(f"the log cannot be read: {error}")
        else:
            if self._behind:
                self.problem = None
            self._behind = False
        for future in reads:
            if future.done():
                continue
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure)
        if failure is not None and self._behind:
            # Tried again with the next message or reader.
            self._refuse_all()
            self._behind = self.newer is None
            if not self._stopping:
                await self._wake.wait()

    async def follow(self) -> None:
        """Applies what there is up to the head."""
        while True:
            try:
                found = await self._log.read(self.machine.number, _READ)
            except LogTrimmed:
                self.machine = await self._restore()
                continue
            if not found:
                self._settled()
                return
            await self._apply(found)

    async def _apply(self, found: list[LogEntry]) -> None:
        for log_entry in found:
            try:
                entry = entries.decode(log_entry.number, log_entry.data)
            except NewerEntry as error:
                self.newer = error
                raise
            outcome = self.machine.apply(log_entry.number, entry)
            self._publisher.known(entry.published)
            self._applied(outcome, len(log_entry.data))
            self._publisher.add(log_entry.number, outcome.runs, outcome.letters, [], own=False)
            await asyncio.sleep(0)


def _status(item: AnyItem, outcome: Outcome) -> int:
    if isinstance(item, Fragment) and item.index == item.of - 1:
        return DONE if item.nonce in outcome.completed else LATER
    if isinstance(item, Replay):
        return outcome.replayed.get(item.letter, DONE)
    return DONE
