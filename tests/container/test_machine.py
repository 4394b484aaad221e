"""The state machine alone: entries in, events out, the same for the same entries."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drasi.container import core
from drasi.container.entry import (
    SEMANTIC_VERSION,
    AnyItem,
    Changes,
    Configure,
    Derived,
    Entry,
    Forget,
    Marker,
    NewerEntry,
    Part,
    Remove,
    Renew,
    Reread,
    Start,
    Stop,
    Tick,
    Unreadable,
    decode,
    encode,
)
from drasi.container.machine import Machine
from drasi.container.settings import Settings
from drasi.engine.engine import Engine
from drasi.messages.changes import Element
from drasi.messages.changes import encode as encode_change
from tests.container.support import (
    FLOORS,
    ROOMS,
    SECOND,
    Consumer,
    Steps,
    events_of,
    from_scratch,
    marker,
    message,
    node,
    position,
    relation,
    spec,
)


def part(build: int, elements: list[Element], number: int, **more: Any) -> Part:
    fields: dict[str, Any] = {
        "cursor": None,
        "offset": 0,
        "position": {"": position(number)},
        "ts_ns": number * SECOND,
        "following": None,
        "last": True,
        "marked": False,
        "total": None,
        **more,
    }
    return Part(build=build, elements=msgspec.json.encode(elements), **fields)


def builds(steps: Steps) -> list[int]:
    return [number for group in steps.machine.groups.values() for number in group.builds]


def running(text: str = ROOMS, *elements: Element, name: str = "q", **more: Any) -> Steps:
    """A machine with one query that runs over the elements."""
    steps = Steps()
    steps.configure(name, text, **more)
    steps.step(part(builds(steps)[0], list(elements), 0))
    assert steps.machine.queries[name].state == "running"
    return steps


def history(seed: int, length: int = 60) -> list[AnyItem]:
    """Entries of all kinds, at random."""
    rng = random.Random(seed)
    items: list[AnyItem] = [Configure("q0", 1, msgspec.json.encode(spec(ROOMS)), 1), part(2, [], 0)]
    texts = [ROOMS, FLOORS, "MATCH (n) RETURN count(*) AS all", "MATCH (r:Room) RETURN r.name AS name, 1 / (r.temp - 20) AS x"]
    number, version = 0, 1
    for _ in range(length):
        match rng.randrange(12):
            case 0:
                version += 1
                text = rng.choice(texts)
                subscription: dict[str, Any] = {"id": "db"}
                if rng.random() < 0.3:
                    subscription |= {"nodes": [{"sourceLabel": "Room"}, {"sourceLabel": "Floor"}], "relations": []}
                definition = {"query": text, "sources": {"subscriptions": [subscription]}}
                if rng.random() < 0.3:
                    definition["consistency"] = "transaction"
                items.append(Configure(f"q{rng.randrange(5)}", version, msgspec.json.encode(definition), 1))
            case 1:
                query = f"q{rng.randrange(5)}"
                choices: list[AnyItem] = [Remove(query), Stop(query), Start(query)]
                items.append(rng.choice(choices))
            case 2:
                items.append(Tick(rng.randrange(100) * SECOND))
            case 3 | 4:
                elements = [
                    Element(f"r{each}", ["Room"], {"name": f"r{each}", "temp": each * 5}) for each in range(rng.randrange(8))
                ]
                items.append(part(rng.randrange(1, 12), elements, number))
            case 5:
                items.append(Changes("db", rng.choice([b"[1]", b"nonsense", b'[{"op":"x"}]', b"[]"]), 5))
            case _:
                changes = []
                for _ in range(rng.randrange(1, 6)):
                    number += 1
                    room = f"r{rng.randrange(8)}"
                    tx = rng.choice([None, None, f"t{number // 3}"])
                    changes.append(
                        rng.choice(
                            [
                                node("i", number, room, name=room, temp=rng.randrange(15, 25), tx=tx),
                                node("u", number, room, temp=rng.randrange(15, 25), tx=tx),
                                node("d", number, room, tx=tx),
                                node("i", number, f"f{rng.randrange(3)}", ["Floor"], name="f", tx=tx),
                                node("u", number, room, ["Cellar"]),
                                relation("i", number, f"p{room}", room, f"f{rng.randrange(3)}"),
                                relation("d", number, f"p{room}", "", ""),
                                node("t", number, "r1", []),
                                node("i", number, "x", temp=2**70),
                            ]
                        )
                    )
                items.append(Changes("db", message(changes).data, 7))
    return items


def replay(seed: int) -> str:
    """A digest over every byte of every event of a history."""
    steps = Steps()
    hasher = hashlib.sha256()
    for item in history(seed):
        outcome = steps.step(item)
        for event in events_of(outcome):
            hasher.update(event.data)
        for letter, content in outcome.letters:
            hasher.update(msgspec.json.encode(letter) + content)
    return hasher.hexdigest()


# --- determinism ---


@pytest.mark.parametrize("hash_seed", ["1", "4711"])
def test_another_hash_seed_gives_the_same_bytes(hash_seed: str) -> None:
    seeds = range(12)
    root = Path(__file__).resolve().parents[2]
    program = f"from tests.container.test_machine import replay\nfor seed in range({len(seeds)}): print(replay(seed))"
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join([str(root / "shared"), str(root)]),
    }
    output = subprocess.run([sys.executable, "-c", program], cwd=root, env=environment, check=True, capture_output=True, text=True)
    assert output.stdout.split() == [replay(seed) for seed in seeds]
    assert len(set(output.stdout.split())) == len(seeds)


@pytest.mark.parametrize("seed", range(20))
def test_a_replay_agrees_with_every_digest(seed: int) -> None:
    steps = Steps()
    for item in history(seed):
        steps.step(item)
    again = Machine()
    for number, entry in enumerate(steps.entries, 1):
        outcome = again.apply(number, decode(number, encode(entry)))
        assert [event.data for event in events_of(outcome)] == [event.data for event in events_of(steps.outcomes[number - 1])]
    assert again.mismatches == []
    assert sum(len(entry.derived) for entry in steps.entries) > 5


@pytest.mark.parametrize("seed", range(20))
def test_a_snapshot_at_any_entry_changes_nothing(seed: int) -> None:
    steps = Steps()
    items = history(seed)
    rng = random.Random(seed)
    at = rng.randrange(len(items))
    for item in items[:at]:
        steps.step(item)
    frozen = core.Frozen(steps.machine, None)
    sections: dict[str, bytes] = {}
    producing = frozen.sections()
    expected = []
    for place, item in enumerate(items[at:]):
        if place % 3 == 0:  # the snapshot is taken while the machine goes on
            sections.update(itertools.islice(producing, 40))
        expected.append(steps.step(item))
    sections.update(producing)
    frozen.end(written=True)

    restored = core.thaw(sections.pop("core"), Settings())
    for name in sorted(sections, reverse=True):
        core.load(restored, name, sections[name])
    core.complete(restored)
    for number, outcome in enumerate(expected, at + 1):
        mine = restored.apply(number, steps.entries[number - 1])
        assert [event.data for event in events_of(mine)] == [event.data for event in events_of(outcome)], number
        assert [(letter.id, content) for letter, content in mine.letters] == [
            (letter.id, content) for letter, content in outcome.letters
        ]
    assert restored.mismatches == []
    assert restored.uncarried == steps.machine.uncarried


def test_a_replay_that_disagrees_is_noticed() -> None:
    steps = running()
    steps.changes(node("i", 1, "r1", name="a", temp=30))
    last = steps.step(Tick(0))
    derived = steps.entries[-1].derived
    assert derived
    again = Machine()
    for number, entry in enumerate(steps.entries[:-1], 1):
        again.apply(number, entry)
    wrong = [Derived(each.entry, each.query, each.first, b"x" * 16, each.events) for each in derived]
    again.apply(last.number, Entry(steps.entries[-1].at_ns, "i", b"n", 0, [], wrong, SEMANTIC_VERSION))
    (mismatch,) = again.mismatches
    assert (mismatch.query, mismatch.first, mismatch.last) == ("q", derived[0].first, derived[0].last)
    assert again.diverged("q", derived[0].first)
    assert not again.diverged("q", derived[0].first - 1)


def test_metadata_is_no_part_of_the_digest() -> None:
    one, other = running(), running()
    one.step(Changes("db", message([node("i", 1, "r1", name="a", temp=30)]).data, 1))
    other.step(Changes("db", message([node("i", 1, "r1", name="a", temp=30)]).data, 999), at_ns=one.clock.at_ns + 77)
    assert events_of(one.outcomes[-1])[-1].data != events_of(other.outcomes[-1])[-1].data
    assert list(one.machine.uncarried.values())[-1].digest == list(other.machine.uncarried.values())[-1].digest


def test_entries_of_a_newer_release_are_known_without_reading_them() -> None:
    data = encode(Entry(1, "i", b"n", 0, [], [], SEMANTIC_VERSION + 1))
    with pytest.raises(NewerEntry, match="semantic version"):
        decode(7, data[:5] + b"\xc1 nothing this release can read")


def test_large_entries_are_compressed() -> None:
    entry = Entry(1, "i", b"n", 0, [Changes("db", b"[" + b" " * 2_000_000 + b"]", 1)], [])
    data = encode(entry)
    assert len(data) < 10_000
    assert decode(1, data) == entry


def test_entries_must_follow_one_another() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        Machine().apply(2, Entry(1, "i", b"n", 0, [], []))


# --- duplicates ---


def test_what_is_at_or_below_the_watermark_is_dropped() -> None:
    steps = running()
    assert len(events_of(steps.changes(node("i", 5, "r1", name="a", temp=30)))) == 1
    assert events_of(steps.changes(node("i", 5, "r1", name="a", temp=99))) == []
    assert events_of(steps.changes(node("i", 4, "r2", name="b", temp=99))) == []
    assert len(events_of(steps.changes(node("i", 4, "r2", name="b", temp=99), node("i", 6, "r3", name="c", temp=99)))) == 1
    assert steps.rows("q") == [{"room": "a", "temp": 30}, {"room": "c", "temp": 99}]


def _changed(
    number: int, id_: str, *, partition: str | None = None, key: str | None = None, op: str = "i", **properties: Any
) -> bytes:
    change = node(op, number, id_, **properties)
    change.payload.source.partition = partition
    change.payload.source.key = key
    return encode_change(change)


def test_partitions_have_positions_of_their_own() -> None:
    steps = running()
    steps.changes(_changed(9, "r1", partition="a", name="a", temp=30))
    steps.changes(_changed(3, "r2", partition="b", name="b", temp=30))
    steps.changes(_changed(3, "r3", partition="a", name="late", temp=30))
    assert steps.rows("q") == [{"room": "a", "temp": 30}, {"room": "b", "temp": 30}]


def test_elements_can_have_positions_of_their_own() -> None:
    steps = running()
    steps.changes(_changed(9, "r1", partition="@element", name="a", temp=30))
    steps.changes(_changed(3, "r2", partition="@element", name="b", temp=30))
    steps.changes(_changed(8, "r1", partition="@element", name="old", temp=30))
    steps.changes(_changed(4, "r2", partition="@element", op="d"))
    steps.changes(_changed(3, "r2", partition="@element", name="again", temp=30))
    assert steps.rows("q") == [{"room": "a", "temp": 30}]
    # An hour after its end the element's position is forgotten.
    steps.step(Tick(0), at_ns=steps.clock.at_ns + 2 * 3600 * SECOND)
    steps.changes(_changed(3, "r2", partition="@element", name="again", temp=30), source="db")
    assert len(steps.rows("q")) == 2


def test_repeats_of_an_idempotency_key_are_dropped_for_a_day() -> None:
    steps = running()
    start = steps.clock.at_ns
    steps.changes(_changed(1, "r1", key="k", name="a", temp=30))
    steps.changes(_changed(2, "r1", key="k", name="b", temp=30))
    assert steps.rows("q") == [{"room": "a", "temp": 30}]
    steps.clock.at_ns = start + 23 * 3600 * SECOND
    steps.changes(_changed(3, "r1", key="k", name="c", temp=30))
    assert steps.rows("q") == [{"room": "a", "temp": 30}]
    steps.clock.at_ns = start + 26 * 3600 * SECOND
    steps.changes(_changed(4, "r1", key="k", name="d", temp=30))
    assert steps.rows("q") == [{"room": "d", "temp": 30}]


def test_silent_partitions_are_forgotten_after_a_week() -> None:
    steps = running()
    steps.changes(_changed(9, "r1", partition="a", name="a", temp=30))
    steps.changes(_changed(9, "r1", name="a", temp=30))
    steps.step(Tick(0), at_ns=steps.clock.at_ns + 8 * 86_400 * SECOND)
    assert steps.machine.watermarks.positions("db") == {"": position(9)}


def test_without_positions_a_repeat_is_harmless() -> None:
    steps = running()
    change = node("i", 1, "r1", name="a", temp=30)
    change.payload.source.position = None
    assert len(events_of(steps.changes(change))) == 1
    assert events_of(steps.changes(change)) == []


# --- bad items ---


def test_bad_items_become_dead_letters_and_the_others_go_on() -> None:
    steps = running()
    outcome = steps.changes(
        b'{"op":"x","payload":{"source":{"db":"db","table":"node","ts_ns":1,"position":"000"},"after":{"id":"r9","labels":[]}}}',
        node("i", 1, "r1", name="a", temp=30),
        b'{"op":"i","payload":{"source":{"db":"db","table":"rel","ts_ns":1},"after":{"id":"p","labels":["PART_OF"]}}}',
        b'{"op":"u","payload":{"source":{"db":"db","table":"node","ts_ns":1}}}',
        b"17",
        b'{"op":"i","payload":{"source":{"db":"db","table":"node","ts_ns":1},"after":{"id":"","labels":["Room"]}}}',
        node("i", 2, "r2", ["Room", ""], name="b"),
        node("i", 3, "r3", name="c", temp=30),
        b'{"op":"i","ts_ns":1,"payload":{"source":{"db":"Drasi","table":"SourceSubscription"},"after":{"queryId":"q"}}}',
    )
    assert steps.rows("q") == [{"room": "a", "temp": 30}, {"room": "c", "temp": 30}]
    letters = [letter for letter, _ in outcome.letters]
    assert [letter.element for letter in letters] == ["r9", None, "p", None, None, "r2"]
    assert [letter.position for letter in letters] == ["000", None, None, None, None, position(2)]
    assert all(letter.source == "db" and letter.error for letter in letters)
    assert len(steps.machine.letters) == len(letters)


def test_an_unreadable_message_is_recorded_whole_and_once() -> None:
    steps = running()
    first = steps.step(Changes("db", b"this is no JSON", 1))
    again = steps.step(Changes("db", b"this is no JSON", 2))
    ((letter, content),) = first.letters
    assert (content, letter.source, letter.size) == (b"this is no JSON", "db", 15)
    assert again.letters == []
    assert steps.step(Unreadable("default-control", b"{", "truncated")).letters[0][0].control


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[", b"[1,", b"[1]]", b"[1][2]", b"[{]", b'["x]', b"[1,,2]", b"null", b"\xff", b"[" * 100_000],
)
def test_a_message_that_is_no_array_is_unreadable(data: bytes) -> None:
    steps = running()
    steps.step(Changes("db", data, 1))
    assert len(steps.machine.letters) == 1


def test_an_item_that_is_no_json_does_not_take_the_others_with_it() -> None:
    steps = running()
    steps.changes(node("i", 1, "r1", name="a, [b] {\\", temp=30), b"{broken", b"}", node("i", 2, "r2", name="b", temp=30))
    assert len(steps.machine.letters) == 1
    assert len(steps.rows("q")) == 2
    assert steps.step(Changes("db", b" [ ] ", 1)).letters == []


def test_integers_beyond_64_bits_are_floats() -> None:
    steps = running()
    steps.changes(node("i", 1, "r1", name="a", temp=2**70), node("u", 2, "r1", temp=-(2**70)), node("u", 3, "r1", temp=2**80))
    assert steps.rows("q") == [{"room": "a", "temp": float(2**80)}]
    assert len(steps.machine.letters) == 0


def test_integers_beyond_64_bits_are_floats_in_every_graph() -> None:
    steps = running()
    everything = {"query": ROOMS, "sources": {"subscriptions": [{"id": "db", "nodes": [{"sourceLabel": "Room"}]}]}}
    steps.step(Configure("other", 1, msgspec.json.encode(everything), 1))
    steps.step(part(builds(steps)[0], [], 0))
    steps.changes(node("i", 1, "r1", name="a", temp=2**70))
    assert steps.rows("q") == steps.rows("other") == [{"room": "a", "temp": float(2**70)}]
    assert len(steps.machine.letters) == 0


def test_deep_nesting_becomes_a_dead_letter() -> None:
    steps = running()
    deep = b"[" * 5000 + b"]" * 5000
    steps.changes(
        b'{"op":"i","payload":{"source":{"db":"db","table":"node","ts_ns":1},"after":{"id":"r1","labels":["Room"],"properties":{"x":'
        + deep
        + b"}}}}",
        node("i", 2, "r2", name="b", temp=30),
    )
    assert steps.rows("q") == [{"room": "b", "temp": 30}]
    assert len(steps.machine.letters) == 1


# --- truncate, transactions, labels ---


def test_truncate_deletes_every_element_with_the_prefix() -> None:
    steps = running()
    steps.changes(*(node("i", number, f"{table}:{number}", name=f"{number}", temp=30) for number, table in enumerate("aaab", 1)))
    steps.changes(node("t", 9, "a:", ["Room"]))
    assert steps.rows("q") == [{"room": "4", "temp": 30}]
    steps.changes(node("t", 10, "", ["Floor"]))
    assert len(steps.rows("q")) == 1


def test_transactions_are_one_difference_for_who_asks_for_it() -> None:
    steps = Steps()
    steps.configure("each", ROOMS)
    steps.step(part(builds(steps)[0], [], 0))
    steps.configure("whole", ROOMS, consistency="transaction")
    steps.step(part(builds(steps)[0], [], 0))
    outcome = steps.changes(
        node("i", 1, "r1", tx="t", name="a", temp=30),
        node("u", 2, "r1", tx="t", temp=31),
        node("i", 3, "r2", tx="t", name="b", temp=30),
        node("i", 4, "r3", tx="u", name="c", temp=30),
        node("i", 5, "r4", name="d", temp=30),
        node("i", 6, "r5", name="e", temp=30),
    )
    assert [sum(event.query == query for event in events_of(outcome)) for query in ("each", "whole")] == [6, 4]
    assert Consumer.of(steps.events("each")).sorted() == Consumer.of(steps.events("whole")).sorted() == steps.rows("whole")


def test_a_malformed_change_does_not_take_its_transaction_with_it() -> None:
    steps = running(ROOMS, consistency="transaction")
    steps.changes(
        node("i", 1, "r1", tx="t", name="a", temp=30),
        node("i", 2, "r2", ["Room", ""], tx="t", name="b"),
        node("i", 3, "r3", tx="t", name="c", temp=2**70),
    )
    assert steps.rows("q") == [{"room": "a", "temp": 30}, {"room": "c", "temp": float(2**70)}]


def test_subscribed_labels_bound_what_a_query_sees() -> None:
    everything = "MATCH (n) RETURN n.name AS name"
    steps = Steps()
    steps.step(Configure("all", 1, msgspec.json.encode(spec(everything)), 1))
    steps.step(part(builds(steps)[0], [], 0))
    bounded = {"query": everything, "sources": {"subscriptions": [{"id": "db", "nodes": [{"sourceLabel": "Room"}]}]}}
    steps.step(Configure("bounded", 1, msgspec.json.encode(bounded), 1))
    steps.step(part(builds(steps)[0], [], 0))
    steps.changes(node("i", 1, "r1", ["Room"], name="a"), node("i", 2, "x1", ["Other"], name="b"))
    assert steps.rows("bounded") == [{"name": "a"}]
    assert steps.rows("all") == [{"name": "a"}, {"name": "b"}]
    steps.changes(node("u", 3, "x1", ["Other", "Room"], name="b"), node("u", 4, "r1", ["Other"], name="a"))
    assert steps.rows("bounded") == [{"name": "b"}]
    assert steps.rows("all") == [{"name": "a"}, {"name": "b"}]


# --- queries come and go ---


def test_adding_or_deleting_a_query_never_changes_anothers_answer() -> None:
    alone, crowded = running(), running()
    version = 1
    rng = random.Random(3)
    for number in range(1, 60):
        change = node(rng.choice("iud"), number, f"r{rng.randrange(6)}", name=f"r{number % 6}", temp=rng.randrange(10, 40))
        alone.changes(change)
        version += 1
        definition = msgspec.json.encode(spec(rng.choice([ROOMS, FLOORS, "MATCH (n) RETURN n.temp AS t", "syntax error("])))
        crowded.step(Configure(f"other{rng.randrange(4)}", version, definition, 1))
        for build in builds(crowded):
            if rng.random() < 0.5:
                crowded.step(part(build, [Element(f"r{each}", ["Room"], {"temp": 1}) for each in range(6)], number - 1))
        crowded.changes(change)
        crowded.step(Remove(f"other{rng.randrange(4)}"))
    strip = [{key: value for key, value in event.items() if key != "metadata"} for event in alone.events("q")]
    again = [{key: value for key, value in event.items() if key != "metadata"} for event in crowded.events("q")]
    assert [event for event in strip if event["kind"] == "change"] == [event for event in again if event["kind"] == "change"]
    assert len(strip) > 30


def test_a_changed_query_is_built_anew_under_the_same_sequence() -> None:
    steps = running(ROOMS, Element("r1", ["Room"], {"name": "a", "temp": 30}))
    outcome = steps.configure("q", "MATCH (r:Room) RETURN r.name AS name")
    kinds = [msgspec.json.decode(event.data) for event in events_of(outcome)]
    assert [each.get("controlSignal", {}).get("kind", "change") for each in kinds] == [
        "bootstrapStarted",
        "change",
        "bootstrapCompleted",
        "running",
    ]
    consumer = Consumer.of(steps.events("q"))
    assert consumer.sorted() == [{"name": "a"}]
    assert builds(steps) == []


def test_what_does_not_change_the_answer_rebuilds_nothing() -> None:
    steps = running()
    outcome = steps.configure("q", ROOMS, onRowError="fail", view={"enabled": True})
    assert events_of(outcome) == []
    assert steps.machine.queries["q"].version == 2
    assert events_of(steps.configure("q", ROOMS)) == []
    stale = steps.step(Configure("q", 1, msgspec.json.encode(spec(FLOORS)), 1))
    assert events_of(stale) == []


def test_a_deleted_query_ends_and_its_sequence_goes_on_if_it_comes_again() -> None:
    steps = running()
    steps.changes(node("i", 1, "r1", name="a", temp=30))
    steps.step(Remove("q"))
    last = steps.events("q")[-1]
    assert last["controlSignal"] == {"kind": "deleted"}
    assert steps.machine.groups == {}
    steps.configure("q", ROOMS)
    assert steps.events("q")[-1]["sequence"] == last["sequence"] + 1
    steps.step(Configure("r", 1, msgspec.json.encode(spec(ROOMS)), 500))
    assert steps.events("r")[0]["sequence"] == 500


def test_labels_nobody_wants_any_more_leave_the_graph() -> None:
    steps = running(FLOORS, Element("f1", ["Floor"], {"name": "f"}), Element("r1", ["Room"], {"name": "a", "temp": 30}))
    steps.configure("rooms", ROOMS)
    assert steps.machine.queries["rooms"].state == "running"
    (group,) = steps.machine.groups.values()
    assert sorted(element.id for element in group.engine.elements()) == ["f1", "r1"]
    steps.step(Remove("q"))
    assert sorted(element.id for element in group.engine.elements()) == ["r1"]
    steps.changes(node("i", 1, "f2", ["Floor"], name="g"))
    assert sorted(element.id for element in group.engine.elements()) == ["r1"]


def test_a_stopped_query_goes_on_with_one_difference() -> None:
    steps = running(ROOMS, Element("r1", ["Room"], {"name": "a", "temp": 30}), Element("r2", ["Room"], {"name": "b", "temp": 30}))
    steps.step(Stop("q"))
    assert steps.events("q")[-1]["controlSignal"] == {"kind": "stopped"}
    assert events_of(steps.changes(node("u", 1, "r1", temp=50), node("d", 2, "r2"), node("i", 3, "r3", name="c", temp=25))) == []
    assert steps.machine.queries["q"].frozen is not None
    outcome = steps.step(Start("q"))
    change, control = (msgspec.json.decode(event.data) for event in events_of(outcome))
    assert control["controlSignal"] == {"kind": "running"}
    assert [len(change[name]) for name in ("addedResults", "updatedResults", "deletedResults")] == [1, 1, 1]
    assert Consumer.of(steps.events("q")).sorted() == [{"room": "a", "temp": 50}, {"room": "c", "temp": 25}]


def test_a_text_that_does_not_compile_stops_that_query_alone() -> None:
    steps = running()
    outcome = steps.configure("bad", "MATCH (n RETURN n")
    query = steps.machine.queries["bad"]
    assert (query.state, [msgspec.json.decode(event.data)["controlSignal"]["kind"] for event in events_of(outcome)]) == (
        "failed",
        ["bootstrapStarted", "stopped"],
    )
    assert "SyntaxError" in query.error
    assert len(events_of(steps.changes(node("i", 1, "r1", name="a", temp=30)))) == 1
    steps.configure("bad", ROOMS)
    assert steps.machine.queries["bad"].state == "running"


def test_what_is_not_built_yet_is_named() -> None:
    steps = Steps()
    definition = spec(ROOMS)
    definition["sources"]["joins"] = [{"id": "J", "keys": []}]
    steps.step(Configure("q", 1, msgspec.json.encode(definition), 1))
    assert "joins is not built yet" in steps.machine.queries["q"].error


def test_a_row_error_is_held_out_or_stops_the_query_as_it_wishes() -> None:
    text = "MATCH (r:Room) RETURN r.name AS name, 10 / r.temp AS x"
    held = running(text)
    held.changes(node("i", 1, "r1", name="a", temp=5), node("i", 2, "r2", name="b", temp=0))
    assert held.rows("q") == [{"name": "a", "x": 2}]
    assert held.machine.queries["q"].state == "running"
    fails = running(text, onRowError="fail")
    fails.changes(node("i", 1, "r1", name="a", temp=5), node("i", 2, "r2", name="b", temp=0))
    query = fails.machine.queries["q"]
    assert query.state == "failed"
    assert "onRowError" in query.error
    assert query.frozen is not None
    assert [msgspec.json.decode(row) for row in query.frozen.values()] == [{"name": "a", "x": 2}]
    assert fails.events("q")[-1]["controlSignal"] == {"kind": "stopped"}
    fails.changes(node("u", 3, "r2", temp=1))
    fails.step(Start("q"))
    assert len(Consumer.of(fails.events("q")).rows) == 2


class _Breaking(Engine):
    """An engine with a defect: it cannot evaluate rooms called 'boom' for one of its queries."""

    def apply(self, change: Any) -> Any:
        results = super().apply(change)
        element = getattr(change, "element", None)
        if element is not None and element.properties.get("name") == "boom":
            self._stop("broken", RuntimeError("boom"))
            results = [(name, diff) for name, diff in results if name != "broken"]
        return results


def test_a_defect_in_one_querys_evaluation_stops_that_query_alone() -> None:
    steps = Steps(engine=_Breaking)
    steps.configure("broken", ROOMS)
    steps.step(part(builds(steps)[0], [], 0))
    steps.configure("whole", ROOMS)
    steps.changes(
        node("i", 1, "r1", name="a", temp=30), node("i", 2, "r2", name="boom", temp=30), node("i", 3, "r3", name="c", temp=30)
    )
    assert steps.machine.queries["broken"].state == "failed"
    assert "defect" in steps.machine.queries["broken"].error
    assert steps.events("broken")[-1]["controlSignal"] == {"kind": "stopped"}
    assert len(steps.rows("whole")) == 3
    steps.step(Start("broken"))
    assert Consumer.of(steps.events("broken")).sorted() == steps.rows("whole")


def test_a_defect_of_the_container_puts_the_item_aside() -> None:
    steps = running()
    outcome = steps.step(Configure("x", 1, b"no JSON at all", 1), Forget("other", elements=True))
    assert steps.machine.queries["x"].state == "failed"
    assert outcome.letters == []


def test_a_forgotten_source_begins_anew() -> None:
    steps = running(ROOMS, Element("r1", ["Room"], {"name": "a", "temp": 30}))
    steps.changes(node("i", 9, "r2", name="b", temp=30), node("i", 1, "s1", name="s", temp=30, source="other"))
    outcome = steps.step(Forget("db", elements=True))
    assert len(events_of(outcome)) == 1
    assert steps.rows("q") == []
    steps.changes(node("i", 1, "r1", name="new", temp=30))
    assert steps.rows("q") == [{"room": "new", "temp": 30}]


def test_a_source_that_comes_again_is_read_again() -> None:
    steps = running(ROOMS, *(Element(f"r{number}", ["Room"], {"name": f"r{number}", "temp": 30}) for number in (1, 2)))
    steps.changes(node("u", 9, "r1", temp=31))
    steps.step(Forget("db", elements=False))
    assert steps.machine.queries["q"].state == "running"
    assert len(steps.rows("q")) == 2
    (build,) = builds(steps)
    now = [Element("r1", ["Room"], {"name": "r1", "temp": 50}), Element("r3", ["Room"], {"name": "r3", "temp": 30})]
    steps.changes(node("i", 2, "r4", name="r4", temp=30))
    steps.step(part(build, now, 1))
    steps.changes(node("u", 3, "r3", temp=40))
    assert [row["room"] for row in steps.rows("q")] == ["r1", "r3", "r4"]
    assert [row["temp"] for row in steps.rows("q")] == [50, 40, 30]
    assert Consumer.of(steps.events("q")).sorted() == steps.rows("q")
    assert Consumer.of(steps.events("q")).signals == ["bootstrapStarted", "bootstrapCompleted", "running"]


def test_a_source_whose_changes_may_be_lost_is_read_again() -> None:
    """What is known goes on to be the answer until then; positions stay, so what comes again is dropped."""
    steps = running(ROOMS, *(Element(f"r{number}", ["Room"], {"name": f"r{number}", "temp": 30}) for number in (1, 2)))
    steps.changes(node("u", 5, "r1", temp=31))
    before = len(steps.events("q"))
    # 6, r1 to 50, and 7, the end of r2, never came.
    steps.step(Reread("other", "why"), Reread("db", "why"))
    assert steps.machine.queries["q"].state == "running"
    assert len(steps.rows("q")) == 2
    (build,) = builds(steps)
    steps.changes(node("u", 4, "r1", temp=99), node("i", 8, "r3", name="r3", temp=40))
    assert [row["temp"] for row in steps.rows("q")] == [31, 30, 40]
    steps.step(part(build, [Element("r1", ["Room"], {"name": "r1", "temp": 50})], 7))
    assert steps.rows("q") == [{"room": "r1", "temp": 50}, {"room": "r3", "temp": 40}]
    assert builds(steps) == []
    later = steps.events("q")[before:]
    assert {event["kind"] for event in later} == {"change"}
    assert Consumer.of(steps.events("q")).sorted() == steps.rows("q")


def test_a_stopped_query_stays_stopped_when_its_source_is_read_again() -> None:
    steps = running(ROOMS, *(Element(f"r{number}", ["Room"], {"name": f"r{number}", "temp": 30}) for number in (1, 2)))
    steps.step(Stop("q"))
    before = len(steps.events("q"))
    steps.step(Renew("q", "the position was lost"))
    (build,) = builds(steps)
    steps.step(part(build, [Element("r1", ["Room"], {"name": "r1", "temp": 50})], 7), Marker("db", marker(7).data))
    assert steps.machine.queries["q"].state == "stopped"
    assert len(steps.events("q")) == before
    steps.step(Start("q"))
    assert steps.rows("q") == [{"room": "r1", "temp": 50}]
    assert [event["kind"] for event in steps.events("q")[before:]] == ["change", "control"]
    assert Consumer.of(steps.events("q")).sorted() == steps.rows("q")


def test_a_change_dated_in_the_future_does_not_take_the_clock_there() -> None:
    steps = running()
    steps.changes(node("i", 4_000_000_000, "r1", name="a", temp=30))
    (group,) = steps.machine.groups.values()
    assert group.engine.clock == steps.machine.at_ms + 300_000
    assert steps.events("q")[-1]["sourceTimeMs"] == 4_000_000_000_000
    assert steps.machine.ahead == {"db": 4_000_000_000 * SECOND}


def test_the_clock_moves_at_most_a_little_beyond_the_entry() -> None:
    steps = running()
    steps.step(Tick(4_000_000_000 * SECOND))
    (group,) = steps.machine.groups.values()
    assert group.engine.clock == steps.machine.at_ms + 300_000


def test_bootstrap_is_cut_into_events_of_a_thousand_rows() -> None:
    elements = [Element(f"r{number:05d}", ["Room"], {"name": f"{number}", "temp": 30}) for number in range(2500)]
    steps = running(ROOMS, *elements)
    sizes = [len(event["addedResults"]) for event in steps.events("q") if event["kind"] == "change"]
    assert sizes == [1000, 1000, 500]
    assert Consumer.of(steps.events("q")).sorted() == steps.rows("q") == from_scratch(ROOMS, elements)
