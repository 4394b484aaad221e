"""The source function: subscriptions, snapshots as JSON, dead letters, status, and a state that survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from starlette.routing import BaseRoute

from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.function import SourceFunction
from drasi.sources.port import (
    BadRequest,
    Labels,
    OriginUnavailable,
    SnapshotEnd,
    SnapshotHeader,
    SnapshotLine,
    SnapshotRequest,
    SourceContext,
    SourceKind,
    State,
    StateConflict,
)
from drasi.sources.state import FileState, MemoryState
from drasi.statefile import StateFile
from tests.sources.world import RecordingBus, eventually


class ListSource:
    """Three elements in a list, two a part. ``failures``: how often the start fails first."""

    elements = (Element("a", ["L"], {"n": 1}), Element("b", ["L"]), Element("r", ["R"], {}, "a", "b"))

    def __init__(self, context: SourceContext) -> None:
        self.context = context
        self.failures = 0
        self.crash: Exception | None = None

    async def start(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OriginUnavailable("no answer from the origin", hint="start it")

    async def run(self) -> None:
        if self.crash is not None:
            crash, self.crash = self.crash, None
            raise crash
        await asyncio.get_running_loop().create_future()

    async def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        first = int(request.cursor or 0)
        part = self.elements[first : first + (request.limit or 2)]
        last = first + len(part)
        yield SnapshotHeader("7", 99)
        for element in part:
            yield element
        yield SnapshotEnd(len(part), str(last) if last < len(self.elements) else None)

    async def mark(self) -> SourceChange | None:
        return SourceChange("u", Payload(Origin("list", "node", 99, position="8")))

    def routes(self) -> Sequence[BaseRoute]:
        return ()

    def wake(self) -> None:
        return

    async def deprovision(self) -> None:
        return

    async def close(self) -> None:
        return


class World:
    def __init__(self, state: State | None = None, *, only_wanted: bool = True) -> None:
        self.bus = RecordingBus()
        self.state = state or MemoryState()
        self.slept: list[float] = []
        self.function = SourceFunction(
            "list",
            SourceKind("List", make=self._make),
            {},
            bus=self.bus,
            state=self.state,
            only_wanted=only_wanted,
            now_ns=lambda: 1_700_000_000_000_000_000,
            sleep=self._sleep,
        )
        self.source: ListSource

    def _make(self, context: SourceContext) -> ListSource:
        self.source = ListSource(context)
        return self.source

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def start(self) -> None:
        await self.function.start()
        await self.available()

    async def available(self) -> None:
        await eventually(lambda: bool(self.function.status()["available"]))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.function.close()


async def lines(world: World, body: bytes) -> list[bytes]:
    return [line async for line in await world.function.acquire(body)]


async def test_protocol_two_has_header_elements_and_end(world: World) -> None:
    await world.start()
    assert await lines(world, b'{"protocol": 2, "nodeLabels": ["L"]}') == [
        b'{"header":{"source":"list","position":"7","ts_ns":99}}\n',
        b'{"id":"a","labels":["L"],"properties":{"n":1}}\n',
        b'{"id":"b","labels":["L"],"properties":{}}\n',
        b'{"end":{"count":2,"cursor":"2"}}\n',
    ]
    assert world.bus.published == []
    assert await lines(world, b'{"protocol": 2, "cursor": "2"}') == [
        b'{"header":{"source":"list","position":"7","ts_ns":99}}\n',
        b'{"id":"r","labels":["R"],"properties":{},"startId":"a","endId":"b"}\n',
        b'{"end":{"count":1}}\n',
    ]
    [marker] = world.bus.published
    assert marker.attributes == {
        "drasi-type": "marker",
        "source": "list",
        "count": "1",
        "firstPosition": "8",
        "lastPosition": "8",
        "label.*": "1",
    }


async def test_protocol_one_has_all_elements_and_nothing_else(world: World) -> None:
    await world.start()
    assert await lines(world, b"") == [
        b'{"id":"a","labels":["L"],"properties":{"n":1}}\n',
        b'{"id":"b","labels":["L"],"properties":{}}\n',
        b'{"id":"r","labels":["R"],"properties":{},"startId":"a","endId":"b"}\n',
    ]
    assert world.bus.published == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "must be a snapshot request"),
        (b'{"protocol": 3}', "protocol must be 1 or 2, not 3"),
        (b'{"protocol": 2, "limit": 0}', "limit must be at least 1, not 0"),
        (b'{"limit": 5}', "need protocol 2"),
    ],
)
async def test_a_bad_request_is_refused(world: World, body: bytes, message: str) -> None:
    await world.start()
    with pytest.raises(BadRequest, match=message):
        await world.function.acquire(body)


async def test_an_end_is_not_given_when_the_marker_cannot_be_published(world: World) -> None:
    await world.start()
    world.bus.failing = True
    given: list[bytes] = []

    async def read() -> None:
        async for line in await world.function.acquire(b'{"protocol": 2, "cursor": "2"}'):
            given.append(line)  # noqa: PERF401 -- what was read before it broke counts

    with pytest.raises(Exception, match="not now"):
        await read()
    assert len(given) == 2


async def test_a_start_that_fails_is_shown_and_tried_again(world: World) -> None:
    world.function.routes()
    world.source.failures = 3
    await world.function.start()
    await eventually(lambda: "OriginUnavailable" in world.function.status()["messages"])
    assert world.function.status()["messages"]["OriginUnavailable"] == "no answer from the origin; start it"
    with pytest.raises(OriginUnavailable, match="no answer from the origin"):
        await world.function.snapshot(SnapshotRequest())
    await world.available()
    assert world.function.status()["messages"] == {}
    assert len(world.slept) == 3
    assert all(1 <= pause <= 60 for pause in world.slept)


async def test_a_defect_of_a_kind_is_shown_and_it_starts_again(world: World) -> None:
    world.function.routes()
    world.source.crash = ZeroDivisionError()
    await world.function.start()
    await eventually(lambda: bool(world.slept))
    await world.available()
    assert world.source.crash is None


async def test_the_labels_of_all_subscriptions_are_wanted_together(world: World) -> None:
    await world.start()
    wanted = world.source.context.wanted
    assert wanted() == Labels(None, None)
    await world.function.subscribe("default", "q1", ["Ship"], ["MOORED_AT"])
    await world.function.subscribe("default", "q2", ["Berth"], [])
    await world.function.subscribe("default", "q2", ["Berth"], [])
    assert wanted() == Labels(frozenset({"Ship", "Berth"}), frozenset({"MOORED_AT"}))
    again = World(world.state)
    await again.start()
    assert again.source.context.wanted() == wanted()
    await again.function.unsubscribe("default", "q2")
    await world.function.subscribe("default", "q3", [], [])
    assert wanted() == Labels(None, None)
    await world.function.unsubscribe("default", "q3")
    assert wanted() == Labels(frozenset({"Ship"}), frozenset({"MOORED_AT"}))
    await again.function.close()


async def test_where_not_everybody_registers_everything_is_wanted() -> None:
    world = World(only_wanted=False)
    await world.start()
    await world.function.subscribe("default", "q1", ["Ship"], [])
    assert world.source.context.wanted() == Labels(None, None)
    await world.function.close()


async def test_dead_letters_are_kept_once(world: World) -> None:
    await world.start()
    record = world.source.context.dead_letter
    for _ in range(2):
        await record("5", {"op": "i", "id": "x"}, "no such thing")
    await record("6", {"op": "i", "id": "y"}, "no such thing")
    letters = await world.function.dead_letters()
    assert [letter["position"] for letter in letters] == ["5", "6"]
    assert letters[0]["content"] == {"op": "i", "id": "x"}
    assert letters[0]["at"] == "2023-11-14T22:13:20.000Z"
    assert world.function.status()["deadLetters"] == 2
    again = World(world.state)
    await again.start()
    assert await again.function.dead_letters() == letters
    await again.function.close()


async def test_the_status_tells_where_the_source_is(world: World) -> None:
    await world.start()
    assert "position" not in world.function.status()
    origin = Origin("list", "node", 1_699_999_999_000_000_000, position="12")
    await world.source.context.publish([SourceChange("i", Payload(origin, after=Element("a", ["L"])))])
    status = world.function.status()
    assert status["position"] == "12"
    assert status["lagMs"] == 1000
    assert status["publishedTotal"] == 1
    assert status["lastChange"] == "2023-11-14T22:13:19Z"


async def test_state_is_kept_in_the_state_file_and_written_by_one(tmp_path: Path) -> None:
    file = await StateFile.open(tmp_path / "state" / "drasi.db")
    state = await FileState.open(file, "a")
    other = await FileState.open(file, "b")
    assert await state.get("position") is None
    await state.put("position", "1", expected=None)
    await other.put("position", "x", expected=None)
    with pytest.raises(StateConflict):
        await state.put("position", "2", expected=None)
    await state.put("position", "2", expected="1")
    await file.close()
    file = await StateFile.open(tmp_path / "state" / "drasi.db")
    state = await FileState.open(file, "a")
    assert await state.get("position") == "2"
    await state.clear()
    assert await state.get("position") is None
    assert await (await FileState.open(file, "b")).get("position") == "x"
    await file.close()
