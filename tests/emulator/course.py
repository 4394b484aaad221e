"""A harbour under load, and what must be so after it, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from tests.embedded.waiting import eventually
from tests.emulator.harbour import BERTHS, QUERIES, SHIPS, Harbour


class Course:
    """Writes to the database, follows both queries, and remembers.

    Attributes:
        seen: By query, the events that a reader of server-sent events has got.
    """

    def __init__(self, running: Harbour, chance: random.Random, pause_s: float) -> None:
        self.running = running
        self.seen: dict[str, dict[int, Any]] = {query: {} for query in QUERIES}
        self._chance = chance
        self._pause_s = pause_s
        self._tasks: list[asyncio.Task[None]] = []
        self._writing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        running = self.running
        await eventually(running.agrees, "the answers are those of the database", 60)
        await until(lambda: all(delivered(running, query) for query in QUERIES), "the reaction has begun with the rows there are")
        self._tasks = [asyncio.create_task(running.follow(query, seen)) for query, seen in self.seen.items()]
        self._writing = asyncio.create_task(self._load())

    async def rest(self) -> None:
        """No more is written from now on."""
        assert self._writing is not None
        assert not self._writing.done()
        self._writing.cancel()
        await asyncio.wait([self._writing])

    async def close(self) -> None:
        tasks = [*self._tasks, *([self._writing] if self._writing is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _load(self) -> None:
        chance = self._chance
        for number in itertools.count():
            ship = f"ship-{chance.randrange(SHIPS)}"
            berth = chance.randrange(BERTHS)
            statements = [f"UPDATE Ship SET draught = {chance.randrange(100)}, berth = {berth} WHERE id = '{ship}'"]
            if chance.random() < 0.1:
                statements = [f"DELETE FROM Ship WHERE id = '{ship}'", f"INSERT INTO Ship VALUES ('{ship}', 1, 60)"]
            if chance.random() < 0.3:
                # Never touched again: no later change of it makes up for one that was lost.
                statements.append(f"INSERT INTO Ship VALUES ('wake-{number}', {berth}, 7)")
            await asyncio.to_thread(self.running.database.write, statements)
            await asyncio.sleep(self._pause_s)  # the load

    async def settled(self, deadline_s: float = 90.0) -> None:
        """Returns when the answers are the database's, everywhere."""
        await eventually(self.running.agrees, "the answers are those of the database", deadline_s)
        await eventually(lambda: kept(self.running), "the collection is the answer", deadline_s)

    async def check(
        self, *, least: int, repeats: bool = True, trimmed: bool = False, called: Collection[str] = tuple(QUERIES)
    ) -> None:
        """The tail is without gap, every difference came once under its key, and a reader saw every event once.

        Args:
            least: So many events there must have been, of each query.
            repeats: Whether a call may have come again, under its key and with the same content.
            trimmed: The log does not go back to its beginning any more: what the reader has got is the tail.
            called: The queries whose calls are looked at.
        """
        for query in QUERIES:
            tail = await self._seen(query) if trimmed else await self.running.tail(query)
            sequences = [event["sequence"] for event in tail]
            assert sequences == list(range(sequences[0], sequences[0] + len(tail)))
            assert trimmed or sequences[0] == 1
            assert len(tail) > least
            if query in called:
                await self._check_calls(query, tail, repeats=repeats)
            seen = self.seen[query]
            first, last = min(seen), sequences[-1]
            await until(
                lambda seen=seen, first=first, last=last: len(seen) == last - first + 1, f"a reader sees every event: {query}"
            )
            assert list(seen.values()) == [event for event in tail if event["sequence"] >= first]

    async def _check_calls(self, query: str, tail: list[dict[str, Any]], *, repeats: bool) -> None:
        running = self.running
        # The reaction began with the rows there were then; every difference since has a key of its own.
        began = min(int(key.split("/")[2]) for key in delivered(running, query))
        since = [event for event in tail if event["sequence"] > began]
        assert since
        wanted = {f"alerts/{query}/{event['sequence']}/{row}": after for event in since for row, after in rows_of(event)}
        await until(lambda: wanted.keys() <= delivered(running, query).keys(), f"calls: {query}")
        found = delivered(running, query)
        assert {key: after for key, after in found.items() if int(key.split("/")[2]) > began} == wanted
        if not repeats:
            counts = Counter(key for key, _ in running.calls.calls if key.startswith(f"alerts/{query}/"))
            assert set(counts.values()) == {1}

    async def _seen(self, query: str) -> list[dict[str, Any]]:
        """What the reader has got, up to the newest event."""
        seen = self.seen[query]
        answer = await self.running.client.get(f"{self.running.system.url}/queries/{query}", headers=self.running.headers)
        latest = answer.json()[0]["header"]["sequence"]
        await until(lambda: latest in seen, f"a reader sees the last event: {query}")
        return [seen[number] for number in sorted(seen)]


@asynccontextmanager
async def course(running: Harbour, seed: int, *, pause_s: float = 0.01) -> AsyncIterator[Course]:
    """Begins when everything has come to rest; ``pause_s`` is between two transactions."""
    one = Course(running, random.Random(seed), pause_s)
    try:
        await one.start()
        yield one
    finally:
        await one.close()


async def kept(running: Harbour) -> bool:
    """Whether the collection is equal to the answer."""
    return await running.loads() == running.direct("berth-load")


def rows_of(event: dict[str, Any]) -> list[tuple[str, Any]]:
    """What an event says of each row: its id, and the row after it."""
    if event["kind"] != "change":
        return []
    added = zip(event["addedRowIds"], event["addedResults"], strict=True)
    updated = [(item["rowId"], item["after"]) for item in event["updatedResults"]]
    return [*added, *updated, *((row, None) for row in event["deletedRowIds"])]


def delivered(running: Harbour, query: str) -> dict[str, Any]:
    """By idempotency key; a key that comes again brings the same."""
    found: dict[str, Any] = {}
    for key, body in running.calls.calls:
        if key.startswith(f"alerts/{query}/"):
            after = body.get("after")
            assert found.setdefault(key, after) == after
    return found


async def until(condition: Any, what: str, deadline_s: float = 60.0) -> None:
    """The same as ``eventually`` for what need not be awaited."""

    async def holds() -> bool:
        return bool(condition())

    await eventually(holds, what, deadline_s)
