"""Result events go out: in order, after the commit, before the acknowledgement.

What another instance's entry gave is kept until some entry says that it was published, or until this instance has reason to publish
it: it won an entry after that one, restored, or met a duplicate.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from drasi.bus.port import Bus
from drasi.container.deadletters import Letter
from drasi.container.entry import Derived
from drasi.errors import DrasiError
from drasi.log.port import Log
from drasi.messages.results import decode_event

MOST_EVENTS = 1_000
MOST_BYTES = 1_000_000
BY_REFERENCE = 8_000_000

Answer = tuple["asyncio.Future[int]", int]
"""Who waits, and what it is answered once everything is published."""


@dataclass(slots=True)
class _Batch:
    number: int
    runs: Sequence[Derived]
    letters: Sequence[tuple[Letter, bytes]]
    answers: list[Answer] = field(default_factory=list)


def topic_of(query: str) -> str:
    name = f"{query}-results"
    return name if name[0].isalpha() and not name.startswith("goog") else f"drasi-{name}"


def document_of(query: str, sequence: int) -> str:
    """The log's document that keeps a large event."""
    return f"results/{query}/{sequence:020d}"


def letter_document(letter: str) -> str:
    return f"deadletter/{letter}"


class Publisher:
    """Publishes the results of entries, one entry after the other.

    Attributes:
        published: The highest entry whose results, and those of all before it, are known to be published.
        problem: Why it does not go on at the moment.
    """

    def __init__(self, bus: Bus, log: Log, *, inline_bytes: int, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._bus = bus
        self._log = log
        self._inline = inline_bytes
        self._sleep = sleep
        self.published = 0
        self.problem: DrasiError | None = None
        self._batches: deque[_Batch] = deque()
        self._through = 0
        self._running = False
        self._wake = asyncio.Event()
        self._troubled = asyncio.Event()
        self._reached: list[tuple[int, asyncio.Future[None]]] = []

    def reset(self, published: int) -> None:
        """The state was restored; what follows is published from here."""
        for batch in self._batches:
            self._answer(batch)
        self._batches.clear()
        self.published = published

    def add(
        self, number: int, runs: Sequence[Derived], letters: Sequence[tuple[Letter, bytes]], answers: list[Answer], *, own: bool
    ) -> None:
        """The next entry's results. Those of one's own entry are published, and with them everything before."""
        if not own and number <= self.published:
            return
        self._batches.append(_Batch(number, runs, letters, answers))
        if own:
            self._through = number
            self._wake.set()

    def known(self, number: int) -> None:
        """Some entry says that everything up to ``number`` is published."""
        if number <= self.published:
            return
        while self._batches and self._batches[0].number <= number:
            self._answer(self._batches.popleft())
        self._set(number)

    def push(self) -> int:
        """Publishes everything there is, also of other instances' entries; returns the last entry's number."""
        if not self._batches:
            return self.published
        self._through = max(self._through, self._batches[-1].number)
        self._wake.set()
        return self._through

    async def reached(self, number: int) -> None:
        """Returns when everything up to ``number`` is published."""
        if self.published >= number:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reached.append((number, future))
        await future

    async def drained(self) -> None:
        """Returns when everything that was to be published is, or when that fails for now."""
        if self._running and self._batches and self._batches[0].number <= self._through and self.problem is None:
            waits = [asyncio.ensure_future(self.reached(self._through)), asyncio.ensure_future(self._troubled.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def run(self) -> None:
        self._running = True
        try:
            await self._run()
        finally:
            self._running = False

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._batches and self._batches[0].number <= self._through:
                batch = self._batches[0]
                if batch.runs or batch.letters:
                    await self._publish(batch)
                if self._batches and self._batches[0] is batch:
                    self._batches.popleft()
                    self._answer(batch)
                    self._set(batch.number)

    def _set(self, number: int) -> None:
        self.published = max(self.published, number)
        if self._reached:
            for wanted, future in self._reached:
                if wanted <= self.published and not future.done():
                    future.set_result(None)
            self._reached = [(wanted, future) for wanted, future in self._reached if not future.done()]

    @staticmethod
    def _answer(batch: _Batch) -> None:
        for future, status in batch.answers:
            if not future.done():
                future.set_result(status)

    # --- one entry ---

    async def _publish(self, batch: _Batch) -> None:
        for letter, content in batch.letters:
            await self._until_done(lambda letter=letter, content=content: self._log.put(letter_document(letter.id), content))  # type: ignore[misc]
        by_query: dict[str, list[Derived]] = {}
        for run in batch.runs:
            if run.inline(self._inline) is not run:
                for sequence, event in enumerate(run.events, run.first):
                    if len(event) > self._inline:
                        name = document_of(run.query, sequence)
                        await self._until_done(lambda name=name, event=event: self._log.put(name, event))  # type: ignore[misc]
            by_query.setdefault(run.query, []).append(run)
        if len(by_query) == 1:
            await self._publish_query(*next(iter(by_query.items())))
        else:
            await asyncio.gather(*(self._publish_query(query, runs) for query, runs in by_query.items()))

    async def _publish_query(self, query: str, runs: list[Derived]) -> None:
        topic = topic_of(query)
        for first, last, data in (message for run in runs for message in messages_of(query, run.first, run.events)):
            attributes = {"drasi-type": "result", "query": query, "firstSequence": str(first), "lastSequence": str(last)}

            async def publish(data: bytes = data, attributes: dict[str, str] = attributes) -> None:
                await self._bus.publish(topic, data, attributes=attributes, ordering_key=query)

            await self._until_done(publish)

    async def _until_done(self, call: Callable[[], Awaitable[None]]) -> None:
        """Tries until it succeeds. What can never succeed is passed over: a push is a wake-up, the log is the truth."""
        pause = 0.05
        while True:
            try:
                await call()
            except Exception as error:
                self.problem = error if isinstance(error, DrasiError) else DrasiError(f"results cannot be published: {error}")
                self._troubled.set()
                if isinstance(error, DrasiError) and not error.retryable:
                    return
            else:
                self.problem = None
                self._troubled.clear()
                return
            await self._sleep(pause * (0.5 + random.random()))  # noqa: S311 -- jitter
            pause = min(pause * 2, 5.0)


def messages_of(query: str, first: int, events: Sequence[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Consecutive events as messages: (first sequence, last sequence, JSON array)."""
    count = len(events)
    if count > MOST_EVENTS or (count > 1 and sum(map(len, events)) + count > MOST_BYTES):
        half = MOST_EVENTS if count > MOST_EVENTS else count // 2
        yield from messages_of(query, first, events[:half])
        yield from messages_of(query, first + half, events[half:])
    elif count == 1 and len(events[0]) > BY_REFERENCE:
        yield first, first, b"[" + _reference(query, first, events[0]) + b"]"
    elif events:
        yield first, first + count - 1, b"[" + b",".join(events) + b"]"


def _reference(query: str, sequence: int, event: bytes) -> bytes:
    """An event too large for a message: what it is, how much, and where it can be read."""
    content = decode_event(event)
    counts = {
        "added": len(getattr(content, "addedResults", ())),
        "updated": len(getattr(content, "updatedResults", ())),
        "deleted": len(getattr(content, "deletedResults", ())),
    }
    return msgspec.json.encode(
        {
            "kind": "change",
            "queryId": query,
            "sequence": sequence,
            "sourceTimeMs": content.sourceTimeMs,
            "counts": counts,
            "reference": f"/queries/{query}/events?after={sequence - 1}&limit=1",
        }
    )
