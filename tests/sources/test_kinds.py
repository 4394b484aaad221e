"""The registry, and the kinds Mock and Application."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from drasi.messages.changes import SourceChange
from drasi.sources.application import KIND as APPLICATION
from drasi.sources.application import ApplicationSource
from drasi.sources.function import SourceFunction
from drasi.sources.mock import KIND as MOCK
from drasi.sources.port import SnapshotRequest
from drasi.sources.registry import find, kinds
from drasi.sources.state import MemoryState
from tests.sources.sqlite_world import read_part
from tests.sources.world import RecordingBus, eventually


def test_kinds_are_built_and_the_others_known_by_name() -> None:
    built = {name for name, kind in kinds().items() if kind.make is not None}
    assert {"SQLite", "PostgreSQL", "Http", "Mock", "Application"} <= built
    for name in ("PostgreSQL", "MySQL", "SQLServer", "Oracle", "Kubernetes", "EventHub", "CosmosGremlin", "Dataverse", "Kafka"):
        kind = find(name)
        assert kind is not None
        assert kind.name == name


@pytest.mark.parametrize(
    ("word", "name"), [("postgres", "PostgreSQL"), ("mssql", "SQLServer"), ("sqlite", "SQLite"), (" Kubernetes ", "Kubernetes")]
)
def test_aliases_and_blanks(word: str, name: str) -> None:
    kind = find(word)
    assert kind is not None
    assert kind.name == name


def test_names_keep_their_case() -> None:
    assert find("sqLITE") is None


class Ticks:
    """Sleeps that a test lets pass one by one."""

    def __init__(self) -> None:
        self._permits = asyncio.Semaphore(0)
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await self._permits.acquire()

    def pass_(self, count: int = 1) -> None:
        for _ in range(count):
            self._permits.release()


class MockWorld:
    def __init__(self) -> None:
        self.bus = RecordingBus()
        self.state = MemoryState()
        self.now = 1_700_000_000_000_000_000
        self.ticks = Ticks()

    async def run(self, count: int, **properties: Any) -> SourceFunction:
        function = SourceFunction(
            "mock",
            MOCK,
            properties,
            bus=self.bus,
            state=self.state,
            now_ns=lambda: self.now,
            sleep=self.ticks.sleep,
        )
        await function.start()
        wanted = len(self.bus.changes) + count
        self.ticks.pass_(count)
        await self.bus.until(lambda: len(self.bus.changes) >= wanted)
        await eventually(lambda: self.state.values.get("count") == str(wanted))
        return function


def _content(change: SourceChange) -> tuple[str, str, dict[str, Any]]:
    assert change.payload.after is not None
    return change.op, change.payload.after.id, change.payload.after.properties


async def test_counter_counts() -> None:
    world = MockWorld()
    function = await world.run(3, dataType={"type": "counter"}, intervalMs=1000)
    assert [_content(change)[1:] for change in world.bus.changes] == [
        ("counter_1", {"value": 1, "timestamp": "2023-11-14T22:13:20.000Z"}),
        ("counter_2", {"value": 2, "timestamp": "2023-11-14T22:13:21.000Z"}),
        ("counter_3", {"value": 3, "timestamp": "2023-11-14T22:13:22.000Z"}),
    ]
    assert world.ticks.seconds[0] == 1.0
    await function.close()


async def test_sensors_are_inserted_once_and_then_updated() -> None:
    world = MockWorld()
    function = await world.run(40, dataType={"type": "sensorReading", "sensorCount": 3}, seed=7)
    seen: set[str] = set()
    for change in world.bus.changes:
        op, identity, properties = _content(change)
        assert op == ("u" if identity in seen else "i")
        seen.add(identity)
        assert properties["sensor_id"] == identity
        assert 20 <= properties["temperature"] <= 30
        assert 40 <= properties["humidity"] <= 60
    assert len(seen) == 3
    _, elements, _ = await read_part(function, SnapshotRequest(nodes=frozenset({"SensorReading"})))
    assert {element.id: element.properties for element in elements} == world.bus.graph.properties()
    await function.close()


async def test_one_seed_one_story_and_restarts_go_on() -> None:
    first, second = MockWorld(), MockWorld()
    function = await first.run(10, seed=3)
    await function.close()
    function = await second.run(4, seed=3)
    await function.close()
    function = await second.run(6, seed=3)
    assert [_content(change) for change in first.bus.changes][:4] == [_content(change) for change in second.bus.changes][:4]
    values = [[_content(change)[2]["value"] for change in world.bus.changes] for world in (first, second)]
    assert values[0] == values[1]
    assert second.bus.graph.dropped == 0
    _, elements, end = await read_part(function, SnapshotRequest())
    assert {element.id: element.properties for element in elements} == second.bus.graph.properties()
    assert end.cursor is None
    await function.close()


async def test_the_snapshot_of_a_mock_comes_in_parts() -> None:
    world = MockWorld()
    function = await world.run(7, dataType={"type": "counter"})
    found: list[str] = []
    cursor = None
    while True:
        _, elements, end = await read_part(function, SnapshotRequest(limit=3, cursor=cursor))
        found += [element.id for element in elements]
        cursor = end.cursor
        if cursor is None:
            break
    assert found == [f"counter_{n}" for n in range(1, 8)]
    await function.close()


async def test_the_host_program_says_what_changes() -> None:
    bus = RecordingBus()
    function = SourceFunction("app", APPLICATION, {}, bus=bus, state=MemoryState(), now_ns=lambda: 5)
    await function.start()
    handle = function.source
    assert isinstance(handle, ApplicationSource)
    await handle.insert("s1", ["Ship"], {"draught": 8})
    await handle.insert("b1", ["Berth"])
    await handle.insert("m1", ["MOORED_AT"], start="s1", end="b1")
    await handle.update("s1", ["Ship"], {"name": "Ada"}, effective_from_ns=9)
    assert bus.graph.properties() == {"s1": {"draught": 8, "name": "Ada"}, "b1": {}}
    assert bus.graph.ends() == {"m1": ("s1", "b1")}
    assert [change.payload.source.ts_ns for change in bus.changes] == [5, 5, 5, 9]
    await handle.delete("m1", relation=True)
    assert bus.graph.ends() == {}
    assert bus.changes[-1].payload.source.table == "rel"
    with pytest.raises(ValueError, match="needs both start and end"):
        await handle.insert("m2", ["MOORED_AT"], start="s1")
    with pytest.raises(ValueError, match="needs a label"):
        await handle.insert("m2", [], start="s1", end="b1")
    with pytest.raises(ValueError, match="needs an id"):
        await handle.delete("")
    await function.close()
