"""The contract of a reaction's state, over each way to keep it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from drasi.reactions.firestore_state import FirestoreState
from drasi.reactions.memory_state import MemoryState
from drasi.reactions.sqlite_state import SqliteStates
from drasi.reactions.state import DeadLetter, Progress, ReactionState, StateConflict, StateUnavailable
from tests.emulator.place import firestore


@pytest.fixture(params=["memory", "sqlite", "firestore"])
async def state(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ReactionState]:
    if request.param == "memory":
        yield MemoryState()
        return
    if request.param == "firestore":
        async with firestore() as place:
            yield FirestoreState(place.client, "r", place.root)
        return
    states = SqliteStates(tmp_path / "drasi.db")
    yield states.of("r")
    await states.close()


def letter(row_id: str, query_id: str = "q") -> DeadLetter:
    return DeadLetter(f"r/{query_id}/1/{row_id}", query_id, 1, row_id, msgspec.Raw(b'{"x":1}'), "400", 5)


async def test_a_write_needs_the_value_that_was_read(state: ReactionState) -> None:
    assert await state.get("q") is None
    first, second = Progress(1), Progress(1, ("a", "ü'"), "snapshot", "z")
    await state.put("q", first, expected=None)
    with pytest.raises(StateConflict):
        await state.put("q", second, expected=None)
    with pytest.raises(StateConflict):
        await state.put("q", second, expected=Progress(2))
    await state.put("q", second, expected=first)
    assert await state.get("q") == second
    with pytest.raises(StateConflict):
        await state.put("other", second, expected=first)
    assert await state.queries() == ["q"]


async def test_of_two_writers_one_wins(state: ReactionState) -> None:
    await state.put("q", Progress(1), expected=None)
    outcomes = await asyncio.gather(
        *(state.put("q", Progress(2, (str(number),)), expected=Progress(1)) for number in range(8)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or isinstance(outcome, StateConflict) for outcome in outcomes)


async def test_dead_letters(state: ReactionState) -> None:
    for row_id in ("b", "a", "b"):
        await state.add_dead_letter(letter(row_id))
    await state.add_dead_letter(letter("a", "other"))
    assert [one.id for one in await state.dead_letters()] == ["r/q/1/b", "r/q/1/a", "r/other/1/a"]
    assert bytes((await state.dead_letters())[0].event) == b'{"x":1}'
    assert await state.count_dead_letters() == 3
    assert await state.drop_dead_letter("r/q/1/b")
    assert not await state.drop_dead_letter("r/q/1/b")
    await state.put("q", Progress(1), expected=None)
    await state.forget("q")
    assert await state.get("q") is None
    assert [one.id for one in await state.dead_letters()] == ["r/other/1/a"]


async def test_sqlite_keeps_reactions_apart_and_survives_a_restart(tmp_path: Path) -> None:
    states = SqliteStates(tmp_path / "drasi.db")
    await states.of("a").put("q", Progress(1), expected=None)
    await states.of("b").put("q", Progress(2), expected=None)
    await states.close()
    states = SqliteStates(tmp_path / "drasi.db")
    assert await states.of("a").get("q") == Progress(1)
    assert await states.of("b").get("q") == Progress(2)
    await states.close()


async def test_sqlite_says_when_it_cannot_be_used(tmp_path: Path) -> None:
    states = SqliteStates(tmp_path / "missing" / "drasi.db")
    with pytest.raises(StateUnavailable):
        await states.of("r").get("q")
    (tmp_path / "missing").mkdir()
    assert await states.of("r").get("q") is None
    await states.close()


async def test_sqlite_locked_by_another_program(tmp_path: Path) -> None:
    states = SqliteStates(tmp_path / "drasi.db", busy_s=0.01)
    state = states.of("r")
    await state.put("q", Progress(1), expected=None)
    other = sqlite3.connect(tmp_path / "drasi.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateUnavailable) as caught:
        await state.put("q", Progress(2), expected=Progress(1))
    assert "locked" in caught.value.message
    other.execute("ROLLBACK")
    other.close()
    await state.put("q", Progress(2), expected=Progress(1))
    await states.close()


async def test_sqlite_with_a_full_disk(tmp_path: Path) -> None:
    states = SqliteStates(tmp_path / "drasi.db")
    state = states.of("r")
    await state.put("q", Progress(1), expected=None)
    pages = await states.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await states.run(lambda db: db.execute(f"PRAGMA max_page_count={pages}"))
    large = Progress(2, tuple(f"row-{number}" for number in range(10_000)))
    with pytest.raises(StateUnavailable):
        await state.put("q", large, expected=Progress(1))
    assert await state.get("q") == Progress(1)
    await states.run(lambda db: db.execute("PRAGMA max_page_count=1000000"))
    await state.put("q", large, expected=Progress(1))
    assert await state.get("q") == large
    await states.close()


async def test_a_cancelled_write_is_finished(tmp_path: Path) -> None:
    states = SqliteStates(tmp_path / "drasi.db")
    state = states.of("r")
    task = asyncio.ensure_future(state.put("q", Progress(1), expected=None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await state.get("q") == Progress(1)
    await states.close()


async def test_firestore_keeps_reactions_apart_and_moving_on_costs_one_write_and_no_read() -> None:
    async with firestore() as place:
        first, other = FirestoreState(place.client, "a", place.root), FirestoreState(place.client, "b", place.root)
        await first.put("q", Progress(1), expected=None)
        await other.put("q", Progress(9), expected=None)
        place.meter.reset()
        for sequence in range(2, 12):
            await first.put("q", Progress(sequence), expected=Progress(sequence - 1))
        assert (place.meter.calls, place.meter.writes, place.meter.reads) == ({"Commit": 10}, 10, 0)
        again = FirestoreState(place.client, "a", place.root)
        assert await again.get("q") == Progress(11)
        await again.put("q", Progress(12), expected=Progress(11))
        with pytest.raises(StateConflict):
            await first.put("q", Progress(13), expected=Progress(11))
        assert await first.get("q") == Progress(12)
        assert await other.get("q") == Progress(9)


async def test_firestore_that_cannot_be_reached_is_told() -> None:
    async with firestore("127.0.0.1:9", patience_s=0.1) as place:
        with pytest.raises(StateUnavailable) as caught:
            await FirestoreState(place.client, "r", place.root).get("q")
        assert caught.value.retryable
        assert "emulator" in caught.value.hint
