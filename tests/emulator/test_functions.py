"""Four kinds of functions, each in processes of its own, on Firestore and Pub/Sub: from a row in a database to an HTTP call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.waiting import eventually
from tests.emulator.harbour import BERTHS, QUERIES, SHIPS, Harbour, harbour
from tests.postgres import Server, postgres

__all__ = ["postgres"]

KILLS = 12


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Harbour]:
    said: list[str] = []
    try:
        async with harbour(tmp_path, said) as one:
            yield one
    finally:
        print("\n".join(said[-200:]))


async def test_a_row_changes_and_the_call_the_document_and_the_stream_come(tmp_path: Path, postgres: Server) -> None:
    said: list[str] = []
    try:
        async with harbour(tmp_path, said, postgres) as running:
            await _row_changes(running)
    finally:
        print("\n".join(said[-200:]))
    assert not [line for line in said if postgres.password in line]


async def _row_changes(running: Harbour) -> None:
    await eventually(running.agrees, "the answers are those of the database", 40)
    assert len({child.pid for child in running.system.fleet.children}) == 8
    notifications: list[dict[str, Any]] = []
    reading = asyncio.create_task(running.read_notifications(notifications))
    try:
        await _until(lambda: any(one["op"] == "h" for one in notifications), "the stream begins with the rows")
        before = len(running.calls.calls)
        running.database.write(["UPDATE Ship SET draught = 99, berth = 3 WHERE id = 'ship-7'"])
        after = {"ship": "ship-7", "berth": 3, "draught": 99}
        await _until(lambda: any(body.get("after") == after for _, body in running.calls.calls[before:]), "the call comes")
        await _until(lambda: any(one["payload"].get("after") == after for one in notifications if one["op"] in "iu"), "the event")
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    await eventually(running.agrees, "the answers are those of the database", 40)
    await eventually(lambda: _kept(running), "the collection is the answer", 40)


async def _kept(running: Harbour) -> bool:
    """Whether the collection is equal to the answer."""
    return await running.loads() == running.direct("berth-load")


async def test_processes_are_killed_under_load(running: Harbour) -> None:
    """Every function, at random moments; nothing is lost, nothing comes twice, also where two instances are at one log."""
    chance = random.Random(4)
    await eventually(running.agrees, "the answers are those of the database", 40)
    await _until(lambda: all(_delivered(running, query) for query in QUERIES), "the reaction has begun with the rows there are")
    followed: dict[str, dict[int, Any]] = {query: {} for query in QUERIES}
    following = [asyncio.create_task(running.follow(query, seen)) for query, seen in followed.items()]
    writing = asyncio.create_task(_load(running, chance))
    running.calls.failing = 0.1
    try:
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.2, 1.2))  # a random moment
            await _until(lambda: any(child.pid for child in running.system.fleet.children), "somebody lives")
            child = chance.choice([child for child in running.system.fleet.children if child.pid])
            pid = child.pid
            child.kill()
            await _until(lambda child=child, pid=pid: child.pid != pid, "it is dead")
        assert not writing.done()
    finally:
        running.calls.failing = 0.0
        writing.cancel()
        await asyncio.wait([writing])
    await _until(lambda: sum(child.starts - 1 for child in running.system.fleet.children) == KILLS, "each is started again")
    await running.system.fleet.ready()
    await eventually(running.agrees, "the answers are those of the database", 60)
    await eventually(lambda: _kept(running), "the collection is the answer", 40)
    tails = {query: await running.tail(query) for query in QUERIES}
    try:
        for query, tail in tails.items():
            sequences = [event["sequence"] for event in tail]
            assert sequences == list(range(1, len(tail) + 1))
            # The reaction began with the rows there were then; every difference since has a key of its own.
            began = min(int(key.split("/")[2]) for key in _delivered(running, query))
            since = [event for event in tail if event["sequence"] > began]
            wanted = {f"alerts/{query}/{event['sequence']}/{row}": after for event in since for row, after in _rows(event)}
            await _until(lambda wanted=wanted, query=query: set(wanted) <= _delivered(running, query).keys(), f"calls: {query}")
            delivered = _delivered(running, query)
            assert {key: after for key, after in delivered.items() if int(key.split("/")[2]) > began} == wanted
            assert len(since) > KILLS
            await _until(lambda tail=tail, query=query: len(followed[query]) == len(tail), f"a reader sees every event: {query}")
            assert [followed[query][number] for number in sequences] == tail
    finally:
        for task in following:
            task.cancel()
        await asyncio.wait(following)


def _rows(event: dict[str, Any]) -> list[tuple[str, Any]]:
    if event["kind"] != "change":
        return []
    added = zip(event["addedRowIds"], event["addedResults"], strict=True)
    updated = [(item["rowId"], item["after"]) for item in event["updatedResults"]]
    return [*added, *updated, *((row, None) for row in event["deletedRowIds"])]


def _delivered(running: Harbour, query: str) -> dict[str, Any]:
    """By idempotency key; a key that comes again brings the same."""
    found: dict[str, Any] = {}
    for key, body in running.calls.calls:
        if key.startswith(f"alerts/{query}/"):
            after = body.get("after")
            assert found.setdefault(key, after) == after
    return found


async def _load(running: Harbour, chance: random.Random) -> None:
    while True:
        ship = f"ship-{chance.randrange(SHIPS)}"
        statements = [f"UPDATE Ship SET draught = {chance.randrange(100)}, berth = {chance.randrange(BERTHS)} WHERE id = '{ship}'"]
        if chance.random() < 0.1:
            statements = [f"DELETE FROM Ship WHERE id = '{ship}'", f"INSERT INTO Ship VALUES ('{ship}', 1, 60)"]
        await asyncio.to_thread(running.database.write, statements)
        await asyncio.sleep(0.01)  # the load


async def _until(condition: Any, what: str, deadline_s: float = 40.0) -> None:
    async def holds() -> bool:
        return bool(condition())

    await eventually(holds, what, deadline_s)
