"""The container as a whole: messages in, events out, rows at a sequence."""

from __future__ import annotations

import asyncio

import pytest

from drasi.messages.reading import Gone, QueryNotFound, QueryUnavailable
from tests.container.support import FLOORS, ROOMS, Consumer, FakeSnapshots, FakeSource, System, node, relation, spec, until


async def test_a_query_over_nothing_runs_and_follows_changes() -> None:
    async with System() as system:
        await system.configure("rooms", ROOMS)
        assert system.bus.events("rooms") == [
            {
                "kind": "control",
                "queryId": "rooms",
                "sequence": 1700000000000 + n,
                "sourceTimeMs": event["sourceTimeMs"],
                "controlSignal": {"kind": kind},
            }
            for n, (event, kind) in enumerate(
                zip(system.bus.events("rooms"), ["bootstrapStarted", "bootstrapCompleted", "running"], strict=True)
            )
        ]
        assert await system.send(node("i", 1, "r1", name="one", temp=19), node("i", 2, "r2", name="two", temp=25)) == 204
        assert system.rows("rooms") == [{"room": "two", "temp": 25}]
        assert await system.send(node("u", 3, "r1", temp=30)) == 204
        assert system.rows("rooms") == [{"room": "one", "temp": 30}, {"room": "two", "temp": 25}]
        consumer = Consumer.of(system.bus.events("rooms"))
        assert consumer.sorted() == system.rows("rooms")
        assert consumer.sequence == system.container.view("rooms").sequence
        change = system.bus.events("rooms")[-1]
        assert change["sourceTimeMs"] == 3000
        assert change["metadata"]["tracking"]["source"]["position"] == f"{3:020d}"


async def test_what_is_there_already_is_read_from_the_source() -> None:
    source = FakeSource(page=2)
    for change in (
        node("i", 1, "f1", ["Floor"], name="ground"),
        node("i", 2, "r1", name="one", temp=20),
        node("i", 3, "r2", name="two", temp=30),
        relation("i", 4, "p1", "r1", "f1"),
        relation("i", 5, "p2", "r2", "f1"),
    ):
        source.apply(change)
    async with System(snapshots=FakeSnapshots(db=source)) as system:
        await system.configure("floors", FLOORS)
        assert system.rows("floors") == [{"floor": "ground", "temp": 25.0, "rooms": 2}]
        events = system.bus.events("floors")
        assert [event.get("controlSignal", {}).get("kind", event["kind"]) for event in events] == [
            "bootstrapStarted",
            "change",
            "bootstrapCompleted",
            "running",
        ]
        assert events[1]["sourceTimeMs"] == 0
        assert [request[3] for request in system.snapshots.requests] == [None, "2", "4"]
        await system.send(node("u", 6, "r1", temp=40))
        assert system.rows("floors") == [{"floor": "ground", "temp": 35.0, "rooms": 2}]


async def test_messages_sent_at_once_share_entries() -> None:
    async with System() as system:
        await system.configure("rooms", ROOMS)
        before = system.container.status()["entry"]
        answers = await asyncio.gather(
            *(system.send(node("i", 1, f"{which}-1", name=which, temp=30, source=which), source=which) for which in "abcdefgh"),
            *(system.send(node("i", n, f"r{n}", name=f"r{n}", temp=30)) for n in range(1, 40)),
        )
        assert set(answers) == {204}
        assert len(system.rows("rooms")) == 39
        assert system.container.status()["entry"] - before <= 4


async def test_the_view_says_how_a_query_stands() -> None:
    snapshots = FakeSnapshots()
    async with System(snapshots=snapshots) as system:
        with pytest.raises(QueryNotFound):
            system.container.view("rooms")
        await system.order("configure", "rooms", version=1, spec=spec(ROOMS))
        view = system.container.view("rooms")
        assert (view.state, view.rows) == ("bootstrapping", [])
        await until(lambda: system.container.query_status("rooms")["status"] == "Configured")
        assert "MissingSource" in system.container.query_status("rooms")["errorMessage"]
        snapshots.sources["db"] = FakeSource()
        await system.send(node("i", 1, "r1", name="one", temp=30))
        await until(lambda: system.container.view("rooms").state == "running")
        assert system.container.query_status("rooms")["status"] == "Running"
        assert system.rows("rooms") == [{"room": "one", "temp": 30}]


async def test_events_are_read_from_a_sequence_on() -> None:
    async with System() as system:
        await system.configure("rooms", ROOMS)
        start = system.container.view("rooms").sequence
        for number in range(1, 6):
            await system.send(node("i", number, f"r{number}", name=f"r{number}", temp=30))
        events = await system.container.read_events("rooms", start, 3)
        assert [event.sequence for event in events] == [start + 1, start + 2, start + 3]
        assert await system.container.read_events("rooms", start + 5, 3) == []
        with pytest.raises(Gone) as raised:
            await system.container.read_events("rooms", start + 6, 3)
        assert raised.value.latest == start + 5
        with pytest.raises(QueryNotFound):
            await system.container.read_events("none", 0, 1)

        seen: list[int] = []

        async def follow() -> None:
            async for event in system.container.events("rooms", start + 2):
                seen.append(event.sequence)  # noqa: PERF401 -- one by one

        task = asyncio.create_task(follow())
        await until(lambda: len(seen) == 3)
        await system.send(node("u", 6, "r1", temp=31), node("u", 7, "r1", temp=32))
        await until(lambda: len(seen) == 5)
        assert seen == list(range(start + 3, start + 8))
        await system.order("delete", "rooms")
        await task
        assert len(seen) == 6


async def test_a_container_that_closes_ends_its_readers() -> None:
    system = System()
    async with system:
        await system.configure("rooms", ROOMS)
        events = system.container.events("rooms", system.container.view("rooms").sequence)
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
    with pytest.raises(QueryUnavailable):
        await waiting
    assert await system.send(node("i", 1, "r1")) == 503
    assert await system.order("tick", ts_ns=1) == 503
    with pytest.raises(QueryUnavailable):
        system.container.view("rooms")
    assert not system.container.ready()
