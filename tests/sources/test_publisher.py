"""Framing: what one message holds, its attributes, and what happens when the bus refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from drasi.bus.port import BusUnavailable
from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.publisher import Publisher
from tests.sources.world import RecordingBus, eventually


class World:
    def __init__(self) -> None:
        self.bus = RecordingBus()
        self.letters: list[tuple[str, Mapping[str, Any], str]] = []
        self.warnings: list[str] = []
        self.publisher = Publisher(
            "db", self.bus, now_ns=lambda: 5_000, dead_letter=self._dead_letter, warn=lambda code, text: self.warnings.append(code)
        )

    async def _dead_letter(self, position: str, content: Mapping[str, Any], error: str) -> None:
        self.letters.append((position, content, error))

    @property
    def sizes(self) -> list[int]:
        return [len(message.changes) for message in self.bus.published]


@pytest.fixture
def world() -> World:
    return World()


def change(number: int, *, tx: str | None = None, label: str = "Room", text: str = "") -> SourceChange:
    origin = Origin("db", "node", 1_000, position=f"{number:020d}", tx=tx)
    return SourceChange("i", Payload(origin, after=Element(f"r{number}", [label], {"text": text})))


async def test_a_message_says_what_it_holds(world: World) -> None:
    await world.publisher.publish([change(1), change(2, label="Floor")])
    [message] = world.bus.published
    assert message.topic == "db-change"
    assert message.ordering_key == "db"
    assert message.attributes == {
        "drasi-type": "changes",
        "source": "db",
        "count": "2",
        "firstPosition": f"{1:020d}",
        "lastPosition": f"{2:020d}",
        "label.Room": "1",
        "label.Floor": "1",
    }
    assert [c.reactivatorEnd_ns for c in message.changes] == [5_000, 5_000]


async def test_labels_before_the_change_count_too(world: World) -> None:
    update = change(1)
    update.op = "u"
    update.payload.before = Element("r1", ["Attic"])
    await world.publisher.publish([update])
    assert {"label.Room", "label.Attic"} <= world.bus.published[0].attributes.keys()


@pytest.mark.parametrize("labels", [[f"L{n}" for n in range(81)], [""], ["x" * 300]])
async def test_what_does_not_fit_into_attributes_is_for_everybody(world: World, labels: list[str]) -> None:
    changes = [change(n, label=label) for n, label in enumerate(labels)]
    if labels == [""]:
        assert changes[0].payload.after is not None
        changes[0].payload.after.labels = []
    await world.publisher.publish(changes)
    assert [name for name in world.bus.published[0].attributes if name.startswith("label.")] == ["label.*"]


async def test_a_message_ends_at_a_thousand_changes(world: World) -> None:
    await world.publisher.publish([change(n) for n in range(2_500)])
    assert world.sizes == [1_000, 1_000, 500]


async def test_a_message_ends_at_a_megabyte(world: World) -> None:
    await world.publisher.publish([change(n, text="x" * 300_000) for n in range(7)])
    assert world.sizes == [3, 3, 1]


async def test_transactions_stay_whole(world: World) -> None:
    changes = [change(n, tx="a") for n in range(900)]
    changes += [change(n, tx="b") for n in range(900, 2_100)]
    changes += [change(2_100)]
    await world.publisher.publish(changes)
    assert world.sizes == [900, 1_200, 1]
    assert world.warnings == []


async def test_a_transaction_beyond_eight_megabytes_is_split_into_transactions_of_their_own(world: World) -> None:
    await world.publisher.publish([change(n, tx="a", text="x" * 1_000_000) for n in range(20)])
    assert world.sizes == [7, 7, 6]
    assert [{c.payload.source.tx for c in message.changes} for message in world.bus.published] == [{"a"}, {"a/2"}, {"a/3"}]
    assert "TransactionSplit" in world.warnings


async def test_what_comes_while_a_message_is_under_way_is_the_next_one(world: World) -> None:
    world.bus.gate.clear()
    calls = [asyncio.ensure_future(world.publisher.publish([change(n)])) for n in range(1, 51)]
    await eventually(lambda: world.bus.attempts > 0)
    calls += [asyncio.ensure_future(world.publisher.publish([change(n)])) for n in range(51, 101)]
    await asyncio.sleep(0)
    world.bus.gate.set()
    await asyncio.gather(*calls)
    assert sum(world.sizes) == 100
    assert len(world.sizes) == 2
    positions = [c.payload.source.position or "" for c in world.bus.changes]
    assert positions == sorted(positions)
    assert world.publisher.published == 100
    assert world.publisher.waiting_bytes == 0


async def test_a_refused_message_fails_its_calls_with_all_they_have_waiting(world: World) -> None:
    world.bus.gate.clear()
    world.bus.failing = True
    first = asyncio.ensure_future(world.publisher.publish([change(n) for n in range(1_500)]))
    await eventually(lambda: world.bus.attempts > 0)
    second = asyncio.ensure_future(world.publisher.publish([change(2_000)]))
    await asyncio.sleep(0)
    world.bus.gate.set()
    with pytest.raises(BusUnavailable):
        await first
    world.bus.failing = False
    await asyncio.gather(second, return_exceptions=True)
    await world.publisher.publish([change(3_000)])
    published = {c.payload.source.position for c in world.bus.changes}
    assert not {f"{n:020d}" for n in range(1_500)} & published
    assert f"{3_000:020d}" in published
    assert world.publisher.waiting_bytes == 0


async def test_a_change_that_no_message_can_hold_is_a_dead_letter_and_the_next_go_on(world: World) -> None:
    await world.publisher.publish([change(1), change(2, text="x" * 10_000_000), change(3)])
    assert [identity for _, identity in world.bus.said] == ["r1", "r3"]
    [(position, content, error)] = world.letters
    assert position == f"{2:020d}"
    assert content == {"op": "i", "id": "r2", "labels": ["Room"]}
    assert "at most 10,000,000" in error


async def test_a_marker_is_a_message_of_its_own_in_its_place(world: World) -> None:
    world.bus.gate.clear()
    calls = [asyncio.ensure_future(world.publisher.publish([change(1)]))]
    await asyncio.sleep(0)
    calls.append(asyncio.ensure_future(world.publisher.publish([change(2)])))
    await asyncio.sleep(0)
    calls.append(asyncio.ensure_future(world.publisher.publish([change(2)], marker=True)))
    await asyncio.sleep(0)
    calls.append(asyncio.ensure_future(world.publisher.publish([change(3)])))
    await asyncio.sleep(0)
    world.bus.gate.set()
    await asyncio.gather(*calls)
    kinds = [message.attributes["drasi-type"] for message in world.bus.published]
    assert kinds == ["changes", "changes", "marker", "changes"] or kinds == ["changes", "marker", "changes"]
    assert world.publisher.published == 3


async def test_closing_lets_the_message_under_way_go(world: World) -> None:
    world.bus.gate.clear()
    first = asyncio.ensure_future(world.publisher.publish([change(1)]))
    await eventually(lambda: world.bus.attempts > 0)
    second = asyncio.ensure_future(world.publisher.publish([change(2)]))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(world.publisher.close())
    await asyncio.sleep(0)
    world.bus.gate.set()
    await closing
    await first
    with pytest.raises(BusUnavailable, match="closed"):
        await second
    assert world.sizes == [1]
