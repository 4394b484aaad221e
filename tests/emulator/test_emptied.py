"""Emulators that come back empty: every function says so and takes nothing more, and the system begins anew by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.embedded.waiting import eventually
from tests.emulator.course import kept, until
from tests.emulator.harbour import FUNCTIONS, QUERIES, SHIPS, Harbour
from tests.emulator.pair import PROCESSES, WORKS_S, Pair, pair, running_on

HELD = range(SHIPS - 4, SHIPS)
"""Ships that change once, at the worst moment."""


@pytest.fixture
def emulators() -> Iterator[Pair]:
    with pair() as one:
        yield one


async def test_every_function_says_that_its_memory_is_gone_and_takes_nothing_more(emulators: Pair, tmp_path: Path) -> None:
    """Nobody heals here: what functions do by themselves. Started again, they begin anew."""
    async with running_on(emulators, tmp_path, heal=False) as (one, lines):
        writing = asyncio.create_task(_load(one))
        emulators.empty(emulators.firestore)
        await emulators.answer(emulators.firestore)
        back = time.monotonic()
        said: dict[str, float] = {}

        def all_said() -> bool:
            for at, line in lines:
                name, _, text = line.partition(": ")
                if "LogLost" in text and "[error" in text:
                    said.setdefault(name, at - back)
            return len(said) == PROCESSES

        await until(all_said, "every process says so", WORKS_S)
        print("LogLost, seconds after the emulator answered:", {name: round(at, 2) for name, at in sorted(said.items())})
        for place, name in FUNCTIONS:
            ready = await _asked(one, place, name, "/readyz")
            assert ready.status_code == 503
            assert ready.text.startswith("LogLost: drasi/installation is not there any more")
            assert "restart the process and apply the resources again" in ready.text
            status = (await _asked(one, place, name, "/status")).json()
            assert status["available"] is False
            assert "apply the resources again" in status["messages"]["LogLost"]
            assert (await _asked(one, place, name, "/healthz")).status_code == 200
        pushed = {"message": {"data": "W10=", "messageId": "1", "attributes": {"source": "harbour-db"}}, "subscription": "x"}
        for place, name, path in (
            ("container", "default", "/changes"),
            ("container", "pair", "/control"),
            ("reaction", "alerts", "/results"),
        ):
            assert (await _asked(one, place, name, path, pushed)).status_code == 503
        assert (await _asked(one, "management", "management", "/v1/apply", [])).status_code == 503
        assert (await one.client.get(f"{one.system.url}/queries/berth-load", headers=one.headers)).status_code == 503
        assert await _documents(emulators, one, "drasi-default", "drasi-pair", "drasi") == []
        writing.cancel()
        await asyncio.wait([writing])
        lost = [line for _, line in lines if "LogLost" in line and "[error" in line]
        assert len(lost) == PROCESSES
        # Whoever is started again knows nothing, and works.
        for child in one.system.fleet.children:
            child.kill()
        await one.system.apply([tmp_path])
        await eventually(one.agrees, "the answers are those of the database", WORKS_S)
        await eventually(lambda: kept(one), "the collection is the answer", WORKS_S)


@pytest.mark.parametrize("which", ["both", "firestore", "pubsub"])
async def test_it_heals_by_itself(emulators: Pair, tmp_path: Path, which: str) -> None:
    """Nobody tells the system: the emulators are not its children."""
    async with running_on(emulators, tmp_path) as (one, lines), _readers(one) as seen:
        writing = asyncio.create_task(_load(one))
        try:
            await until(lambda: all(len(events) > 5 for events in seen.values()), "readers see events")
            gone = [emulators.firestore, emulators.pubsub] if which == "both" else [getattr(emulators, which)]
            async with _held(one):
                # These wait in Pub/Sub, and go with it; nothing changes these ships again.
                await _published(
                    one, [f"UPDATE Ship SET draught = 9{number}, berth = 5 WHERE id = 'ship-{number}'" for number in HELD]
                )
                emulators.empty(*gone)
            await emulators.answer(*gone)
            back = time.monotonic()
            await until(lambda: any("LogLost" in line or "BusLost" in line for _, line in lines), "somebody says so", WORKS_S)
            print(f"{which}: said after {time.monotonic() - back:.2f} s")
            if which == "pubsub":
                await until(lambda: _saying(lines, "BusLost") == PROCESSES, "every process says so", WORKS_S)
                print(f"{which}: said by all after {time.monotonic() - back:.2f} s")
                await until(lambda: _saying(lines, "subscriptions are made anew") == 1, "it is made anew", WORKS_S)
            else:
                await until(lambda: any("is applied again" in line for _, line in lines), "it is applied again", WORKS_S)
            print(f"{which}: made anew after {time.monotonic() - back:.2f} s")
        finally:
            writing.cancel()
            await asyncio.wait([writing])
        await eventually(one.agrees, "the answers are those of the database", WORKS_S)
        print(f"{which}: the answers are right after {time.monotonic() - back:.2f} s")
        await eventually(lambda: kept(one), "the collection is the answer", WORKS_S)
        # It goes on: a change comes through to all who listen.
        before = {query: len(events) for query, events in seen.items()}
        one.database.write(["UPDATE Ship SET draught = 77, berth = 2 WHERE id = 'ship-9'"])
        after = {"ship": "ship-9", "berth": 2, "draught": 77}
        await until(lambda: any(body.get("after") == after for _, body in one.calls.calls), "the call comes", WORKS_S)
        await until(lambda: all(len(seen[query]) > before[query] for query in QUERIES), "the readers go on", WORKS_S)
        await eventually(one.agrees, "the answers are those of the database", WORKS_S)
        await eventually(lambda: kept(one), "the collection is the answer", WORKS_S)
        for query, events in seen.items():
            # What a reader makes of the events it was sent, over the break, is the answer.
            await until(lambda query=query, events=events: _folded(events) == one.direct(query), f"a reader of {query}", WORKS_S)
            sequences = [event["sequence"] for event in events]
            assert sequences == sorted(set(sequences))
            if which == "pubsub":
                assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


@asynccontextmanager
async def _readers(one: Harbour) -> AsyncIterator[dict[str, list[dict[str, Any]]]]:
    """What readers of server-sent events have got, by query."""
    seen: dict[str, list[dict[str, Any]]] = {query: [] for query in QUERIES}
    reading = [asyncio.create_task(_follow(one, query, events)) for query, events in seen.items()]
    try:
        yield seen
    finally:
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)


@asynccontextmanager
async def _held(one: Harbour) -> AsyncIterator[None]:
    """Containers stand still: of each key Pub/Sub pushes one message, and keeps the others."""
    pids = [child.pid for name in ("default", "pair") for child in one.system.fleet.of("container", name) if child.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def _published(one: Harbour, statements: list[str]) -> None:
    """Writes, and returns when Pub/Sub has it, and what was written after it."""

    async def total() -> int:
        return int((await _asked(one, "source", "harbour-db", "/status")).json()["publishedTotal"])

    await asyncio.to_thread(one.database.write, statements)
    before = await total()

    async def more() -> bool:
        return await total() > before + 20

    await eventually(more, "the source goes on publishing", WORKS_S)


async def _load(one: Harbour) -> None:
    number = 0
    while True:
        number += 1
        statement = f"UPDATE Ship SET draught = {number % 100}, berth = {number % 6} WHERE id = 'ship-{number % HELD[0]}'"
        await asyncio.to_thread(one.database.write, [statement])
        await asyncio.sleep(0.02)  # the load


async def _follow(one: Harbour, query: str, seen: list[dict[str, Any]]) -> None:
    """As a browser does: after a break from the last id on."""
    url = f"{one.system.url}/queries/{query}/events"
    last = "0"
    while True:
        headers = {**one.headers, "Accept": "text/event-stream", "Last-Event-ID": last}
        try:
            async with one.client.stream("GET", url, headers=headers) as stream:
                if stream.status_code == 200:
                    async for line in stream.aiter_lines():
                        if line.startswith("id: "):
                            last = line[4:]
                        elif line.startswith("data: "):
                            seen.append(httpx.Response(200, content=line[6:]).json())
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.05)


def _folded(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows after the events (wire.md section 5)."""
    rows: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["kind"] == "control":
            if event["controlSignal"]["kind"] == "bootstrapStarted":
                rows.clear()
            continue
        rows |= zip(event["addedRowIds"], event["addedResults"], strict=True)
        for item in event["updatedResults"]:
            rows[item["rowId"]] = item["after"]
        for row in event["deletedRowIds"]:
            del rows[row]
    return sorted(rows.values(), key=lambda row: repr(sorted(row.items())))


def _saying(lines: list[tuple[float, str]], text: str) -> int:
    """How many processes have said it."""
    return len({line.partition(": ")[0] for _, line in lines if text in line})


async def _asked(one: Harbour, place: str, name: str, path: str, body: Any = None) -> httpx.Response:
    url = f"{one.system.fleet.url(place, name)}{path}"
    if body is None:
        return await one.client.get(url, headers=one.headers)
    return await one.client.post(url, json=body, headers=one.headers)


async def _documents(emulators: Pair, one: Harbour, *collections: str) -> list[str]:
    """The names of the documents there are, as another program reads them."""
    base = f"http://{emulators.firestore.host}/v1/projects/{one.system.project}/databases/(default)/documents"
    found: list[str] = []
    for collection in collections:
        answer = await one.client.get(f"{base}/{collection}?showMissing=true", headers={"Authorization": "Bearer owner"})
        found += [document["name"] for document in answer.json().get("documents", [])]
    return found
