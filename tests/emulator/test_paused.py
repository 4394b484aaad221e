"""Emulators stand still for 20 seconds while changes go on: nothing is lost, nothing comes twice, nobody restarts anything."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.embedded.waiting import eventually
from tests.emulator.course import course, until
from tests.emulator.emulators import Emulator
from tests.emulator.harbour import FUNCTIONS, QUERIES, Harbour
from tests.emulator.pair import WORKS_S, Pair, pair, running_on

PAUSE_S = 20
SAYS = {"firestore": "FirestoreUnavailable", "pubsub": "BusUnavailable"}


async def test_emulators_that_stand_still(tmp_path: Path) -> None:
    with pair() as emulators:
        async with running_on(emulators, tmp_path) as (one, lines), course(one, 6) as load:
            for names in (["firestore"], ["pubsub"], ["firestore", "pubsub"]):
                await _stand_still(emulators, one, names)
                resumed = time.monotonic()
                before = {query: len(seen) for query, seen in load.seen.items()}
                # They go on by themselves: each reader gets events again.
                await until(lambda before=before: all(len(load.seen[query]) > before[query] for query in before), "events", WORKS_S)
                for place, name in FUNCTIONS:
                    await eventually(partial(_is_well, one, place, name), f"{name} has nothing to say", WORKS_S)
                print(f"{' and '.join(names)}: well again {time.monotonic() - resumed:.1f} s after it goes on")
            await load.rest()
            rested = time.monotonic()
            await load.settled(WORKS_S)
            print(f"settled after {time.monotonic() - rested:.1f} s")
            # Calls are made one after the other: a minute's load takes its time on a busy machine.
            await eventually(partial(_all_called, one), "the reaction has no more to call", 2 * WORKS_S)
            print(f"all called after {time.monotonic() - rested:.1f} s, {len(one.calls.calls)} calls")
            await load.check(least=50)
            assert {child.starts for child in one.system.fleet.children} == {1}
            assert not [line for _, line in lines if "LogLost" in line or "BusLost" in line]


async def _stand_still(emulators: Pair, one: Harbour, names: list[str]) -> None:
    paused: list[Emulator] = [getattr(emulators, name) for name in names]
    began = time.monotonic()
    for emulator in paused:
        emulator.pause()
    try:
        said: dict[str, float] = {}
        for place, name in FUNCTIONS:
            await eventually(partial(_says, one, place, name, names), f"{name} says what is the matter", PAUSE_S)
            said[name] = round(time.monotonic() - began, 1)
        print(f"{' and '.join(names)}: said after", said)
        # What is known is still answered.
        assert await one.rows("deep-ships") is not None
        await asyncio.sleep(max(0.0, PAUSE_S - (time.monotonic() - began)))  # the pause
    finally:
        for emulator in paused:
            emulator.resume()


async def _all_called(one: Harbour) -> bool:
    """Whether the Http reaction has delivered up to the newest event of each query."""
    answer = await one.client.get(f"{one.system.fleet.url('reaction', 'alerts')}/status", headers=one.headers)
    views = {query: await one.client.get(f"{one.system.url}/queries/{query}", headers=one.headers) for query in QUERIES}
    newest = {query: view.json()[0]["header"]["sequence"] for query, view in views.items()}
    return {query: standing["sequence"] for query, standing in answer.json()["queries"].items()} == newest


async def _messages(one: Harbour, place: str, name: str) -> dict[str, Any]:
    answer = await one.client.get(f"{one.system.fleet.url(place, name)}/status", headers=one.headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["messages"])


async def _says(one: Harbour, place: str, name: str, names: list[str]) -> bool:
    messages = await _messages(one, place, name)
    return all("has not answered for 3 s" in messages.get(SAYS[paused], "") for paused in names)


async def _is_well(one: Harbour, place: str, name: str) -> bool:
    return not await _messages(one, place, name)
