"""Bootstrap: every row once, in its newest state, whatever the interleaving of parts and live changes."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from drasi.container.build import Build
from drasi.container.entry import Changes, Configure, Marker, Part, Remove, Renew, Reread
from drasi.container.port import SnapshotPart
from drasi.errors import DrasiError
from drasi.messages.changes import Element, SourceChange
from tests.container.support import (
    FLOORS,
    ROOMS,
    SECOND,
    Consumer,
    FakeSnapshots,
    FakeSource,
    Pauses,
    Steps,
    System,
    events_of,
    from_scratch,
    marker,
    message,
    node,
    position,
    relation,
    spec,
    until,
)

WARM = "MATCH (r:Room)-[:PART_OF]->(f:Floor) WHERE r.temp > 10 RETURN r.name AS room, f.name AS floor"
CELLARS = "MATCH (c:Cellar) RETURN c.name AS cellar, c.temp AS temp"


class Origin:
    """A source whose changes are published in order, some time after they happened, and whose snapshot is read by key."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.source = FakeSource()
        self.stream: list[SourceChange | Marker] = []
        self.number = 0

    def happen(self) -> None:
        self.number += 1
        rng = self.rng
        room = f"r{rng.randrange(8)}"
        floor = f"f{rng.randrange(3)}"
        labels = rng.choice([["Room"], ["Room"], ["Room"], ["Cellar"], ["Room", "Cellar"], ["Attic"]])
        known = room in self.source.elements
        match rng.randrange(8):
            case 0:
                change = node("d", self.number, room)
            case 1:
                change = node("i", self.number, floor, ["Floor"], name=floor)
            case 2:
                change = relation("i", self.number, f"p{room}", room, floor)
            case 3:
                change = relation("d", self.number, f"p{room}", "", "")
            case 4 if known:
                # As sources do: what is known of the element is sent along.
                change = node(
                    "u", self.number, room, labels, **{**self.source.elements[room].properties, "temp": rng.randrange(30)}
                )
            case 5 if known:
                change = node("u", self.number, room, self.source.elements[room].labels, temp=rng.randrange(30))
            case _:
                change = node("i", self.number, room, labels, name=room, temp=rng.randrange(30))
        self.stream.append(self.source.apply(change))

    def page(self, build: Build, size: int) -> Part:
        nodes, relations = build.wanted.request()
        wanted = [
            element
            for key, element in sorted(self.source.elements.items())
            if key > (build.cursor or "")
            and ((not nodes and not relations) or not (relations if element.startId else nodes).isdisjoint(element.labels))
        ]
        following = wanted[size - 1].id if len(wanted) > size else None
        part = Part(
            build=build.number,
            cursor=build.cursor,
            offset=0,
            position={"": position(self.number)},
            ts_ns=self.number * SECOND,
            elements=msgspec.json.encode(wanted[:size]),
            following=following,
            last=True,
            marked=True,
            total=None,
        )
        if following is None:
            self.stream.append(Marker("db", marker(self.number).data))
        return part


def deliver(steps: Steps, origin: Origin, count: int) -> None:
    """Hands the next published items to the machine."""
    while count and origin.stream:
        item = origin.stream.pop(0)
        count -= 1
        if isinstance(item, Marker):
            steps.step(item)
        else:
            steps.step(Changes("db", message([item]).data, 1))


def interleave(steps: Steps, origin: Origin, *, most: int = 400) -> None:
    """Changes happen, are delivered, and parts are read, in any order, until nothing is being read."""
    rng = origin.rng
    late: list[Part] = []
    for _ in range(most):
        pending = [build for group in steps.machine.groups.values() for build in group.builds.values()]
        if not pending:
            return
        match rng.randrange(3):
            case 0:
                origin.happen()
            case 1:
                deliver(steps, origin, rng.randrange(1, 4))
            case _:
                build = rng.choice(pending)
                if not build.read:
                    part = origin.page(build, rng.randrange(1, 5))
                    if rng.random() < 0.5:
                        deliver(steps, origin, rng.randrange(4))
                    if rng.random() < 0.6:
                        steps.step(part)
                    else:
                        late.append(part)  # whoever read it died, or is slow
                    if rng.random() < 0.2:
                        steps.step(part)  # another instance's: dropped, or the same again
                elif late and rng.random() < 0.7:
                    steps.step(late.pop(0))
    while any(group.builds for group in steps.machine.groups.values()):
        for build in [build for group in steps.machine.groups.values() for build in group.builds.values()]:
            if not build.read:
                steps.step(origin.page(build, 100))
        deliver(steps, origin, 1000)


@pytest.mark.parametrize("seed", range(120))
def test_rows_are_exact_whatever_the_interleaving(seed: int) -> None:
    origin = Origin(seed)
    rng = origin.rng
    steps = Steps()
    texts = {"rooms": ROOMS, "warm": WARM, "floors": FLOORS, "cellars": CELLARS, "all": "MATCH (n) RETURN n.name AS name"}
    for _ in range(rng.randrange(20)):
        origin.happen()
    order = rng.sample(sorted(texts), len(texts))
    for version, query in enumerate(order, 1):
        subscription: dict[str, Any] = {"id": "db"}
        if rng.random() < 0.25:
            subscription["nodes"] = [{"sourceLabel": label} for label in ("Room", "Floor", "Cellar", "Attic")]
            subscription["relations"] = [{"sourceLabel": "PART_OF"}]
        definition = {"query": texts[query], "sources": {"subscriptions": [subscription]}}
        steps.step(Configure(query, version, msgspec.json.encode(definition), 1))
        if rng.random() < 0.5:
            interleave(steps, origin, most=rng.randrange(60))
        if rng.random() < 0.15:
            steps.step(Remove(rng.choice(order)))
        if rng.random() < 0.15:
            steps.step(Renew(rng.choice(order), "test"))
    for query in order:
        if query not in steps.machine.queries:
            steps.step(Configure(query, 100, msgspec.json.encode(spec(texts[query])), 1))
    interleave(steps, origin)
    for _ in range(rng.randrange(15)):
        origin.happen()
    deliver(steps, origin, 1000)
    for query, text in texts.items():
        expected = from_scratch(text, origin.source.elements.values())
        assert steps.machine.queries[query].state == "running"
        assert steps.rows(query) == expected, query
        assert Consumer.of(steps.events(query)).sorted() == expected, query


@pytest.mark.parametrize("seed", range(40))
def test_one_reading_shows_every_row_once(seed: int) -> None:
    """Between `bootstrapStarted` and `bootstrapCompleted` rows are only added, each one time."""
    origin = Origin(seed)
    for _ in range(origin.rng.randrange(30)):
        origin.happen()
    steps = Steps()
    steps.configure("rooms", ROOMS)
    interleave(steps, origin)
    events = steps.events("rooms")
    kinds = [event.get("controlSignal", {}).get("kind") for event in events]
    completed = kinds.index("bootstrapCompleted")
    for event in events[1:completed]:
        assert (event["updatedResults"], event["deletedResults"], event["sourceTimeMs"]) == ([], [], 0)
    ids = [row_id for event in events[1:completed] for row_id in event["addedRowIds"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("seed", range(40))
def test_queries_that_run_see_live_changes_while_another_is_built(seed: int) -> None:
    origin = Origin(seed)
    steps = Steps()
    steps.configure("rooms", ROOMS)
    interleave(steps, origin)
    deliver(steps, origin, 1000)
    expected = origin.source
    steps.configure("floors", FLOORS)
    for _ in range(20):
        origin.happen()
        deliver(steps, origin, 1000)
        assert steps.rows("rooms") == from_scratch(ROOMS, expected.elements.values())
        for build in [build for group in steps.machine.groups.values() for build in group.builds.values()]:
            if not build.read and origin.rng.random() < 0.2:
                steps.step(origin.page(build, 2))
    signals = Consumer.of(steps.events("rooms")).signals
    assert signals == ["bootstrapStarted", "bootstrapCompleted", "running"]


def test_renewing_corrects_what_was_lost() -> None:
    origin = Origin(1)
    steps = Steps()
    steps.configure("rooms", ROOMS)
    steps.configure("warm", WARM)
    interleave(steps, origin)
    for _ in range(30):
        origin.happen()
    lost = [origin.stream.pop(origin.rng.randrange(len(origin.stream))) for _ in range(15)]
    assert lost
    deliver(steps, origin, 1000)
    steps.step(Renew("rooms", "the slot was lost"))
    steps.step(Renew("warm", "the slot was lost"))
    interleave(steps, origin)
    deliver(steps, origin, 1000)
    for query, text in {"rooms": ROOMS, "warm": WARM}.items():
        expected = from_scratch(text, origin.source.elements.values())
        assert steps.rows(query) == expected
        assert Consumer.of(steps.events(query)).sorted() == expected


def whole(steps: Steps, elements: list[Element], number: int, *, marked: bool = False) -> Part:
    """All that a source has, in one part, for the one build there is."""
    (build,) = [build for group in steps.machine.groups.values() for build in group.builds.values()]
    encoded = msgspec.json.encode(elements)
    at = {"": position(number)}
    return Part(build.number, None, 0, at, number * SECOND, encoded, None, last=True, marked=marked, total=None)


def test_renewing_takes_away_what_the_source_no_longer_has() -> None:
    steps = Steps()
    steps.configure("rooms", ROOMS)
    steps.step(whole(steps, [Element(f"r{number}", ["Room"], {"name": f"r{number}", "temp": 30}) for number in (1, 2, 3)], 1))
    steps.configure("count", "MATCH (r:Room) RETURN count(*) AS rooms")
    steps.step(Renew("rooms", "test"))
    assert steps.machine.queries["rooms"].state == "bootstrapping"
    steps.changes(node("i", 5, "r4", name="r4", temp=30), node("u", 6, "r3", temp=40))
    assert steps.rows("count") == [{"rooms": 4}]
    now = [Element("r1", ["Room"], {"name": "r1", "temp": 31}), Element("r3", ["Room"], {"name": "r3", "temp": 30})]
    steps.step(whole(steps, now, 4))
    assert steps.rows("rooms") == [{"room": "r1", "temp": 31}, {"room": "r3", "temp": 40}, {"room": "r4", "temp": 30}]
    assert Consumer.of(steps.events("rooms")).sorted() == steps.rows("rooms")
    assert Consumer.of(steps.events("count")).sorted() == [{"rooms": 3}]


def test_what_is_held_joins_a_change_that_a_running_query_sees() -> None:
    steps = Steps()
    steps.configure("rooms", ROOMS)
    steps.step(whole(steps, [], 0))
    steps.configure("cellars", CELLARS)
    assert events_of(steps.changes(node("i", 1, "c1", ["Cellar"], name="deep", temp=5))) == []
    steps.changes(node("u", 2, "c1", ["Cellar", "Room"], temp=30))
    assert steps.rows("rooms") == [{"room": "deep", "temp": 30}]
    steps.step(whole(steps, [Element("c1", ["Cellar"], {"name": "deep", "temp": 5})], 1))
    assert steps.rows("cellars") == [{"cellar": "deep", "temp": 30}]


def test_running_queries_never_see_a_state_go_back_while_labels_are_renewed() -> None:
    steps = Steps()
    steps.configure("rooms", ROOMS)
    steps.step(whole(steps, [], 0))
    steps.configure("same", "MATCH (r:Room) RETURN r.name AS name, r.temp AS temp")
    steps.step(Renew("rooms", "test"))
    steps.step(whole(steps, [Element("r1", ["Room"], {"name": "a", "temp": 33})], 3, marked=True))
    events = len(steps.events("same"))
    steps.changes(node("i", 1, "r1", name="a", temp=31), node("u", 2, "r1", temp=32), node("u", 3, "r1", temp=33))
    assert len(steps.events("same")) == events
    steps.changes(node("u", 4, "r1", temp=34))
    assert len(steps.events("same")) == events + 1
    assert steps.rows("rooms") == [{"room": "a", "temp": 34}]


def test_what_another_instance_read_before_takes_nothing_back() -> None:
    """A part has changes that came or come; an older one that is committed behind it must not bring back the time before."""

    def both(temp: int) -> list[Element]:
        return [Element(name, ["Room"], {"name": name, "temp": temp}) for name in ("r1", "r2")]

    steps = Steps()
    steps.configure("rooms", ROOMS)
    steps.step(whole(steps, both(31), 1))
    steps.step(Reread("db", "test"))
    late = whole(steps, both(31), 4, marked=True)
    steps.changes(node("u", 5, "r1", temp=35))
    steps.step(whole(steps, both(35), 7, marked=True))
    steps.changes(node("u", 6, "r2", temp=35))
    steps.step(late)
    steps.step(Marker("db", marker(7).data))
    assert not any(group.builds for group in steps.machine.groups.values())
    now = [{"room": "r1", "temp": 35}, {"room": "r2", "temp": 35}]
    assert steps.rows("rooms") == Consumer.of(steps.events("rooms")).sorted() == now


def test_a_part_that_comes_twice_takes_nothing_back() -> None:
    """Of a source without positions nobody knows what a part has: what was changed while it was read is applied again."""
    steps = Steps()
    steps.configure("rooms", ROOMS)
    steps.step(whole(steps, [Element("r1", ["Room"], {"name": "a", "temp": 31})], 1))
    steps.step(Reread("db", "test"))
    change = node("u", 5, "r1", temp=35)
    change.payload.source.position = None
    steps.changes(change)
    part = msgspec.structs.replace(whole(steps, [Element("r1", ["Room"], {"name": "a", "temp": 31})], 1, marked=True), position={})
    for _ in range(2):
        steps.step(part)
        assert steps.rows("rooms") == [{"room": "a", "temp": 35}]


def test_truncate_reaches_what_is_still_to_be_read() -> None:
    steps = Steps()
    steps.configure("rooms", ROOMS)
    steps.changes(node("i", 1, "a:0", name="held", temp=30))
    steps.changes(node("t", 6, "a:", ["Room"]), node("i", 7, "a:2", name="new", temp=30))
    keys = [f"{table}:{number}" for table in "ab" for number in (1, 2)]
    steps.step(whole(steps, [Element(key, ["Room"], {"name": key, "temp": 30}) for key in keys], 5))
    assert [row["room"] for row in steps.rows("rooms")] == ["b:1", "b:2", "new"]


def test_a_malformed_element_of_a_part_becomes_a_dead_letter() -> None:
    steps = Steps()
    steps.configure("rooms", ROOMS)
    good, bad = Element("r1", ["Room"], {"name": "a", "temp": 2**70}), Element("r2", ["Room", ""], {"name": "b", "temp": 30})
    steps.step(whole(steps, [good, bad], 0))
    assert steps.rows("rooms") == [{"room": "a", "temp": float(2**70)}]
    assert [letter.element for letter in steps.machine.letters] == ["r2"]


# --- around the machine ---


async def test_a_source_that_fails_is_asked_again_for_ever() -> None:
    pauses = Pauses()
    source = FakeSource(page=1)
    source.apply(node("i", 1, "r1", name="a", temp=30))
    source.apply(node("i", 2, "r2", name="b", temp=30))
    snapshots = FakeSnapshots(db=source)
    failures = iter([True, True, False, True, False])

    def before() -> None:
        if next(failures, False):
            raise DrasiError("the origin is not reachable", hint="start it")

    snapshots.before = before
    async with System(snapshots=snapshots, sleep=pauses) as system:
        await system.order("configure", "rooms", version=1, spec=spec(ROOMS))
        for count in (1, 2, 3):
            await until(lambda count=count: len(pauses.asked) == count)  # type: ignore[misc]
            status = system.container.query_status("rooms")
            assert status["status"] == "TransientError"
            assert "not reachable (start it)" in status["errorMessage"]
            if count == 3:
                assert status["bootstrap"] == {"source": "db", "done": 1, "total": 2, "percent": 50}
            pauses.over()
        await until(lambda: system.container.view("rooms").state == "running")
        assert 0.5 <= pauses.asked[0] <= 1
        assert 1 <= pauses.asked[1] <= 2
        assert len(system.rows("rooms")) == 2
        assert [request[3] for request in snapshots.requests] == [None, None, None, "1", "1"]
        assert system.container.query_status("rooms")["status"] == "Running"


async def test_a_marker_that_does_not_come_is_asked_for_again() -> None:
    pauses = Pauses()
    source = FakeSource()
    source.apply(node("i", 1, "r1", name="a", temp=30))
    system = System(snapshots=FakeSnapshots(db=source), sleep=pauses)
    mark = system.snapshots.behind
    system.snapshots.behind = lambda source, number: None
    async with system:
        await system.order("configure", "rooms", version=1, spec=spec(ROOMS))
        await until(lambda: pauses.asked)
        assert system.container.view("rooms").state == "bootstrapping"
        system.snapshots.behind = mark
        pauses.over()
        await until(lambda: system.container.view("rooms").state == "running")
        assert len(system.snapshots.requests) == 2
        assert Consumer.of(system.bus.events("rooms")).sorted() == [{"room": "a", "temp": 30}]


async def test_a_source_without_a_stream_needs_no_marker() -> None:
    source = FakeSource(marked=False)
    source.apply(node("i", 1, "r1", name="a", temp=30))
    async with System(snapshots=FakeSnapshots(db=source)) as system:
        await system.configure("rooms", ROOMS)
        assert len(system.rows("rooms")) == 1


async def test_a_large_part_is_several_entries() -> None:
    source = FakeSource(page=100_000)
    for number in range(1, 3502):
        source.apply(node("i", number, f"r{number:05d}", name=f"{number}", temp=30))
    async with System(snapshots=FakeSnapshots(db=source)) as system:
        before = system.container.status()["entry"]
        await system.configure("rooms", ROOMS)
        assert system.container.status()["entry"] - before >= 5
        assert len(system.rows("rooms")) == 3501


async def test_queries_over_the_same_labels_are_read_once() -> None:
    source = FakeSource()
    source.apply(node("i", 1, "r1", name="a", temp=30))
    async with System(snapshots=FakeSnapshots(db=source)) as system:
        await system.configure("rooms", ROOMS)
        await system.configure("again", "MATCH (r:Room) RETURN count(*) AS rooms")
        assert system.rows("again") == [{"rooms": 1}]
        assert len(system.snapshots.requests) == 1
        await system.configure("floors", FLOORS)
        assert [sorted(request[1] | request[2]) for request in system.snapshots.requests] == [["Room"], ["Floor", "PART_OF"]]


async def test_a_query_over_two_sources_waits_for_both() -> None:
    sources = {"one": FakeSource(), "two": FakeSource()}
    sources["one"].apply(node("i", 1, "r1", name="a", temp=30, source="one"))
    snapshots = FakeSnapshots(one=sources["one"])
    async with System(snapshots=snapshots) as system:
        await system.order("configure", "rooms", version=1, spec=spec(ROOMS, "one", "two"))
        await until(lambda: "two" in system.container.query_status("rooms")["errorMessage"])
        assert system.container.query_status("rooms")["sources"]["two"]["state"] == "missing"
        sources["two"].apply(node("i", 1, "r1", name="b", temp=30, source="two"))
        snapshots.sources["two"] = sources["two"]
        system.container.wake("two")
        await until(lambda: system.container.view("rooms").state == "running")
        assert system.rows("rooms") == [{"room": "a", "temp": 30}, {"room": "b", "temp": 30}]


async def test_deleting_a_query_ends_its_reading() -> None:
    reading = asyncio.Event()

    class Endless(FakeSnapshots):
        async def read(self, *_: Any) -> SnapshotPart:
            reading.set()
            await asyncio.Event().wait()
            raise AssertionError

    async with System(snapshots=Endless(db=FakeSource())) as system:
        await system.order("configure", "rooms", version=1, spec=spec(ROOMS))
        await reading.wait()
        assert await system.order("delete", "rooms") == 204
        assert system.container._bootstraps._tasks == {}
        assert [event["controlSignal"]["kind"] for event in system.bus.events("rooms")] == ["bootstrapStarted", "deleted"]


def test_what_is_reconciled_survives_a_snapshot() -> None:
    origin = Origin(5)
    for _ in range(20):
        origin.happen()
    steps = Steps()
    steps.configure("rooms", ROOMS)
    group = next(iter(steps.machine.groups.values()))
    (build,) = group.builds.values()
    steps.step(origin.page(build, 2))
    for _ in range(20):
        origin.happen()
    deliver(steps, origin, 30)
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode(group.plain()))
    again = type(group).of(plain, group.engine)
    assert again.plain() == group.plain()
    assert len(again.reading["db"]) == len(group.reading["db"]) > 0
