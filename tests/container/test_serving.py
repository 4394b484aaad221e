"""What people see and do: status, dead letters, control messages that are wrong, large results."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import zstandard

from drasi.container import Settings, SnapshotPart, SourceMissing
from drasi.container.entry import Derived
from drasi.container.events import rows_event
from drasi.container.labels import NOTHING, Wanted
from drasi.container.publisher import BY_REFERENCE, MOST_EVENTS, document_of, messages_of, topic_of
from drasi.container.ring import Ring
from drasi.messages.envelope import Message
from drasi.messages.reading import QueryNotFound
from tests.container.support import FLOORS, ROOMS, Consumer, FakeSnapshots, FakeSource, Steps, System, node, relation, spec, until

# --- status ---


async def test_the_status_of_a_query() -> None:
    async with System() as system:
        await system.configure("rooms", "MATCH (r:Room) RETURN r.name AS name, 100 / r.temp AS x")
        await system.send(node("i", 1, "r1", name="a", temp=5), node("i", 2, "r2", name="b", temp=0))
        await system.send(b'{"op":"x"}')
        status = dict(system.container.query_status("rooms"))
        assert status.pop("hostName") == system.container.instance
        assert status.pop("sequence") == system.container.view("rooms").sequence
        assert status.pop("sources") == {"db": {"state": "running", "position": f"{2:020d}", "lagMs": 1699999998000}}
        errors = status.pop("rowErrors")
        assert errors["count"] == 1
        assert errors["sample"][0]["type"] == "ArithmeticError"
        assert errors["sample"][0]["elements"] == [{"source": "db", "id": "r2"}]
        assert list(system.container.row_errors("rooms")) == errors["sample"]
        assert status == {
            "status": "Running",
            "container": "default",
            "errorMessage": "",
            "version": 1,
            "rows": 1,
            "clockMs": 2000,
            "deadLetters": 1,
            "warnings": [],
        }
        await system.send(node("u", 3, "r2", temp=4), node("d", 4, "r1"))
        assert system.container.query_status("rooms")["rows"] == 1
        assert system.container.query_status("rooms")["rowErrors"] == {"count": 0, "sample": []}
        with pytest.raises(QueryNotFound):
            system.container.query_status("none")


async def test_the_status_of_a_container() -> None:
    system = System()
    assert "Restoring" in system.container.status()["messages"]
    assert not system.container.ready()
    async with system:
        await system.configure("rooms", FLOORS)
        await system.send(node("i", 1, "r1", name="a", temp=5), node("i", 2, "f", ["Floor"]), relation("i", 3, "p", "r1", "f"))
        status = dict(system.container.status())
        assert status.pop("bytes") > 500
        assert status.pop("entry") == status.pop("published") >= 3
        assert status == {
            "available": True,
            "messages": {},
            "instances": [system.container.instance],
            "snapshotEntry": 0,
            "elements": 3,
            "store": "memory",
            "deadLetters": 0,
        }


async def test_a_stopped_query_shows_the_rows_it_had() -> None:
    async with System() as system:
        await system.configure("rooms", ROOMS)
        await system.send(node("i", 1, "r1", name="a", temp=30))
        await system.order("stop", "rooms")
        await system.send(node("d", 2, "r1"))
        view = system.container.view("rooms")
        assert (view.state, [row.data for row in view.rows]) == ("stopped", [{"room": "a", "temp": 30}])
        assert system.container.query_status("rooms")["status"] == "Stopped"
        await system.order("start", "rooms")
        assert system.container.view("rooms").rows == []
        assert Consumer.of(system.bus.events("rooms")).rows == {}


async def test_a_query_that_cannot_run_says_why() -> None:
    async with System() as system:
        await system.order("configure", "bad", version=1, spec=spec("MATCH (n) RETURN m"))
        status = system.container.query_status("bad")
        assert status["status"] == "TerminalError"
        assert "UndefinedVariable" in status["errorMessage"]
        assert system.container.view("bad").state == "stopped"
        assert "UndefinedVariable" in system.container.explain("bad")
        await system.configure("good", ROOMS)
        assert "match" in system.container.explain("good")


async def test_the_labels_asked_of_a_source() -> None:
    async with System() as system:
        assert system.container.labels("db") == (frozenset(), frozenset())
        await system.configure("rooms", ROOMS)
        await system.configure("floors", FLOORS)
        assert system.container.labels("db") == (frozenset({"Room", "Floor"}), frozenset({"PART_OF"}))
        await system.configure("all", "MATCH (n) RETURN count(*) AS n")
        assert system.container.labels("db") == (None, frozenset({"PART_OF"}))


# --- control messages ---


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"kind":"explode"}', b'{"kind":"tick"}', b'{"kind":"stop"}', b'{"kind":"configure","queryId":"q"}', b"\xff"],
)
async def test_a_control_message_that_cannot_be_read_is_recorded_and_acknowledged(data: bytes) -> None:
    async with System() as system:
        assert await system.container.control(Message(data)) == 204
        (letter,) = system.container.dead_letters("default-control")
        assert letter["size"] == len(data)
        assert letter["error"]
        assert await system.container.replay(letter["id"]) == 404
        assert system.container.ready()


async def test_orders_for_queries_that_are_not_there_change_nothing() -> None:
    async with System() as system:
        for kind in ("delete", "start", "stop", "bootstrap"):
            assert await system.order(kind, "none") == 204
        assert system.bus.published == []


async def test_a_bootstrap_is_repeated_on_request() -> None:
    source = FakeSource()
    source.apply(node("i", 1, "r1", name="a", temp=30))
    async with System(snapshots=FakeSnapshots(db=source)) as system:
        await system.configure("rooms", ROOMS)
        source.elements["r1"].properties["temp"] = 40  # a change that was lost
        await system.order("bootstrap", "rooms", reason="the slot was lost")
        await until(lambda: system.container.view("rooms").state == "running")
        assert system.rows("rooms") == [{"room": "a", "temp": 40}]
        consumer = Consumer.of(system.bus.events("rooms"))
        assert consumer.sorted() == system.rows("rooms")
        assert consumer.signals == ["bootstrapStarted", "bootstrapCompleted", "running"] * 2


# --- dead letters ---


async def test_dead_letters_are_handed_in_again_or_dropped() -> None:
    async with System() as system:
        await system.configure("rooms", ROOMS)
        bad = node("i", 1, "r1", ["Room", ""], name="a", temp=30)
        assert await system.send(bad, node("i", 2, "r2", name="b", temp=30)) == 204
        (letter,) = system.container.dead_letters("db")
        assert (letter["element"], letter["position"]) == ("r1", f"{1:020d}")
        assert letter["at"].startswith("2023-11-14T22:13:20")
        # The same again: still bad, recorded anew.
        assert await system.container.replay(letter["id"]) == 204
        (letter,) = system.container.dead_letters()
        await system.send(node("i", 3, "r1", name="later", temp=30))
        assert await system.container.replay(letter["id"]) == 409
        assert await system.container.replay(letter["id"], force=True) == 204
        (letter,) = system.container.dead_letters()
        assert await system.container.drop_dead_letter(letter["id"]) == 204
        assert list(system.container.dead_letters()) == []
        assert await system.container.drop_dead_letter(letter["id"]) == 404
        assert await system.container.replay(letter["id"]) == 404
        assert await system.log.names("deadletter/") == []


async def test_a_letter_whose_content_is_good_by_now_is_applied_whatever_the_watermark() -> None:
    async with System() as system:
        await system.configure("rooms", ROOMS)
        await system.send(node("i", 5, "r1", ["Room", ""], name="a", temp=30), node("i", 6, "r2", name="b", temp=30))
        (letter,) = system.container.dead_letters()
        content = await system.log.get(f"deadletter/{letter['id']}")
        assert content is not None
        await system.log.put(f"deadletter/{letter['id']}", content.replace(b',""', b""))
        assert await system.container.replay(letter["id"]) == 204
        assert [row["room"] for row in system.rows("rooms")] == ["a", "b"]
        assert list(system.container.dead_letters()) == []


# --- messages ---


async def test_compressed_messages_are_read() -> None:
    async with System() as system:
        await system.configure("rooms", ROOMS)
        data = zstandard.ZstdCompressor().compress(b"[" + msgspec.json.encode(node("i", 1, "r1", name="a", temp=30)) + b"]")
        attributes = {"drasi-type": "changes", "source": "db", "drasi-encoding": "zstd"}
        assert await system.container.changes(Message(data, attributes)) == 204
        assert len(system.rows("rooms")) == 1
        assert await system.container.changes(Message(b"broken", attributes)) == 204
        assert len(system.container.dead_letters("db")) == 1


async def test_a_deleted_source_takes_its_elements_with_it() -> None:
    async with System() as system:
        await system.configure("rooms", ROOMS)
        await system.send(node("i", 7, "r1", name="a", temp=30))
        assert await system.container.drop_source("db") == 204
        assert system.rows("rooms") == []
        await until(lambda: system.container._bootstraps.active is False)
        await system.send(node("i", 1, "r1", name="new life", temp=30))
        assert system.rows("rooms") == [{"room": "new life", "temp": 30}]


async def test_a_running_query_says_that_its_source_is_gone() -> None:
    class Gone(FakeSnapshots):
        async def read(self, source: str, *_: Any) -> SnapshotPart:
            if self.requests:
                raise SourceMissing(f"there is no source {source}")
            return await super().read(source, *_)

    async with System(snapshots=Gone(db=FakeSource())) as system:
        await system.configure("rooms", ROOMS)
        await system.container.drop_source("db", elements=False)
        await until(lambda: system.container.query_status("rooms")["warnings"])
        status = system.container.query_status("rooms")
        assert (status["status"], status["warnings"][0]["code"]) == ("Running", "MissingSource")
        assert status["sources"]["db"]["state"] == "missing"


# --- small parts ---


def test_events_become_messages_of_bounded_size() -> None:
    small = [b'{"sequence":%d}' % sequence for sequence in range(5, 5 + MOST_EVENTS + 3)]
    messages = list(messages_of("q", 5, small))
    assert [(first, last) for first, last, _ in messages] == [(5, 1004), (1005, 1007)]
    assert [each["sequence"] for _, _, data in messages for each in msgspec.json.decode(data)] == list(range(5, 1008))
    large = [b'"' + b"x" * 600_000 + b'"'] * 3
    assert [(first, last) for first, last, _ in messages_of("q", 1, large)] == [(1, 1), (2, 2), (3, 3)]
    assert list(messages_of("q", 1, [])) == []


def test_an_event_too_large_for_a_message_is_published_by_reference() -> None:
    rows = [(f"r{number}", b'{"x":"' + b"y" * 100_000 + b'"}') for number in range(90)]
    data = rows_event("q", 7, 5, added=rows)
    assert len(data) > BY_REFERENCE
    ((first, last, message),) = messages_of("q", 7, [data])
    assert (first, last) == (7, 7)
    assert msgspec.json.decode(message) == [
        {
            "kind": "change",
            "queryId": "q",
            "sequence": 7,
            "sourceTimeMs": 5,
            "counts": {"added": 90, "updated": 0, "deleted": 0},
            "reference": "/queries/q/events?after=6&limit=1",
        }
    ]


def test_names_of_topics_and_documents() -> None:
    assert topic_of("rooms") == "rooms-results"
    assert topic_of("4-east") == "drasi-4-east-results"
    assert topic_of("google") == "drasi-google-results"
    assert document_of("rooms", 12) < document_of("rooms", 111)


async def test_the_ring_is_bounded_and_tells_who_waits() -> None:
    def run(query: str, first: int, *events: bytes) -> Derived:
        return Derived(1, query, first, b"", list(events))

    ring = Ring(100, 1_000_000)
    for sequence in range(1, 5001):
        ring.add([run("a" if sequence % 2 else "b", sequence, b"x" * 10)])
    assert len(ring.after("a", 0, 1000)) + len(ring.after("b", 0, 1000)) == 100
    assert ring.first("a") == 4901
    assert ring.after("a", 4995, 10) == [(4997, b"x" * 10), (4999, b"x" * 10)]
    assert ring.after("none", 0, 1) == []
    assert ring.first("none") is None
    ring.add([run("a", 5001, b"x" * 2_000_000)])
    assert ring.first("a") is None
    waiting = asyncio.ensure_future(ring.changed("a"))
    await asyncio.sleep(0)
    ring.add([run("b", 5002, b"x")])
    await asyncio.sleep(0)
    assert not waiting.done()
    ring.add([run("a", 5003, b"x")])
    await waiting
    cancelled = asyncio.ensure_future(ring.changed("a"))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    ring.wake()
    ring.clear()
    assert ring.first("a") is None
    ring.add([run("a", 1, *[b"x"] * 80), run("b", 1, *[b"x"] * 70)])
    assert 1 < (ring.first("a") or 0) <= 80
    assert len(ring.after("a", 0, 100)) == 81 - (ring.first("a") or 0)
    assert len(ring.after("a", 0, 100)) + len(ring.after("b", 0, 100)) <= 100
    ring.add([run("c", 7, *[b"y"] * 300)])
    assert ring.after("c", 0, 1) == [((ring.first("c") or 0), b"y")]
    assert 0 < len(ring.after("c", 0, 1000)) <= 100
    assert ring.after("c", 0, 1000)[-1] == (306, b"y")


def test_sets_of_labels() -> None:
    some, all_nodes = Wanted(frozenset("ab"), frozenset("R")), Wanted(None, frozenset())
    assert (some | all_nodes) == Wanted(None, frozenset("R"))
    assert (some & all_nodes) == Wanted(frozenset("ab"), frozenset())
    assert (some - all_nodes) == Wanted(frozenset(), frozenset("R"))
    assert (all_nodes - some) == all_nodes
    assert (all_nodes - all_nodes) == NOTHING
    assert not NOTHING
    assert some
    assert all_nodes
    assert Wanted(None, None) >= some
    assert not some >= all_nodes
    assert all_nodes.request() == (frozenset(), frozenset())
    assert some.request() == (frozenset("ab"), frozenset("R"))
    assert Wanted.of(some.plain()) == some
    assert Wanted.of(all_nodes.plain()) == all_nodes
    assert some.has(["R", "x"], relation=True)
    assert not some.has(["x", "R"], relation=True)
    assert not some.has([], relation=True)
    assert some.has(["x", "a"], relation=False)
    assert not some.has([], relation=False)


def test_marks_of_sequences_stay_few() -> None:
    steps = Steps()
    steps.configure("q", ROOMS)
    query = steps.machine.queries["q"]
    for number in range(1, 3_000_000, 250):
        query.mark(number, number)
    assert len(query.marks) <= 4096
    assert query.marks == sorted(query.marks)


async def test_settings_bound_what_is_kept() -> None:
    async with System(settings=Settings(ring_events=5, follow_s=None)) as system:
        await system.configure("rooms", ROOMS)
        start = system.container.view("rooms").sequence
        for number in range(1, 30):
            await system.send(node("i", number, f"r{number}", name="a", temp=30))
        found = await system.container.read_events("rooms", start, 100)
        assert [event.sequence for event in found] == list(range(start + 1, start + 30))
