"""The contract of a source's state, over each way to keep it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drasi.sources.dead_letters import DeadLetters
from drasi.sources.firestore_state import FirestoreState
from drasi.sources.port import State, StateConflict
from drasi.sources.state import FileState, MemoryState
from drasi.statefile import StateFile, StateUnavailable
from tests.emulator.place import firestore


@pytest.fixture(params=["memory", "file", "firestore"])
async def state(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[State]:
    if request.param == "memory":
        yield MemoryState()
    elif request.param == "file":
        file = await StateFile.open(tmp_path / "drasi.db")
        yield await FileState.open(file, "db")
        await file.close()
    else:
        async with firestore() as place:
            yield FirestoreState(place.client, "db", place.root)


async def test_a_write_needs_the_value_that_was_read(state: State) -> None:
    assert await state.get("position") is None
    await state.put("position", "1", expected=None)
    with pytest.raises(StateConflict):
        await state.put("position", "2", expected=None)
    with pytest.raises(StateConflict):
        await state.put("position", "2", expected="7")
    await state.put("position", "2 ü/", expected="1")
    assert await state.get("position") == "2 ü/"
    with pytest.raises(StateConflict):
        await state.put("other/name", "2", expected="1")
    await state.put("other/name", "", expected=None)
    await state.put("other/name", "x", expected="")
    assert await state.get("other/name") == "x"


async def test_of_two_writers_one_wins(state: State) -> None:
    await state.put("position", "1", expected=None)
    outcomes = await asyncio.gather(
        *(state.put("position", f"2/{number}", expected="1") for number in range(8)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or isinstance(outcome, StateConflict) for outcome in outcomes)


async def test_clearing_forgets_all(state: State) -> None:
    await state.put("a", "1", expected=None)
    await state.put("b", "x" * 2_500_000, expected=None)
    await state.clear()
    assert (await state.get("a"), await state.get("b")) == (None, None)
    await state.put("a", "2", expected=None)


async def test_the_dead_letters_of_a_source(state: State) -> None:
    letters = DeadLetters("db", state)
    await letters.load()
    for number in range(5):
        await letters.add(f"{number}", {"row": "x" * 900_000, "n": number}, "no", 1)
    again = DeadLetters("db", state)
    await again.load()
    assert again.total == 5
    assert [letter["position"] for letter in again.list()] == ["2", "3", "4"], "the newest three megabytes"
    assert again.list() == letters.list()
    await letters.add("5", {"row": "x" * 4_000_000}, "no", 1)
    assert [letter["position"] for letter in letters.list()] == ["2", "3", "4", "5"]
    assert letters.list()[-1]["content"] == {"omitted": "4000010 bytes"}


async def test_firestore_keeps_sources_apart_and_moving_on_costs_one_write_and_no_read() -> None:
    async with firestore() as place:
        first, other = FirestoreState(place.client, "a", place.root), FirestoreState(place.client, "b", place.root)
        await first.put("position", "1", expected=None)
        await other.put("position", "9", expected=None)
        place.meter.reset()
        for number in range(2, 12):
            await first.put("position", str(number), expected=str(number - 1))
        assert (place.meter.calls, place.meter.writes, place.meter.reads) == ({"Commit": 10}, 10, 0)
        # Another process takes over; the one before learns it with its next write.
        again = FirestoreState(place.client, "a", place.root)
        await again.put("position", "12", expected=await again.get("position"))
        with pytest.raises(StateConflict):
            await first.put("position", "13", expected="11")
        assert await first.get("position") == "12"
        await first.clear()
        assert await other.get("position") == "9"


async def test_firestore_that_cannot_be_reached_is_told() -> None:
    async with firestore("127.0.0.1:9", patience_s=0.1) as place:
        with pytest.raises(StateUnavailable) as caught:
            await FirestoreState(place.client, "db", place.root).put("position", "1", expected=None)
        assert caught.value.retryable
