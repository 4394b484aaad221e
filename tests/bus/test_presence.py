"""Whether Pub/Sub still has what management made there; on the emulator, and without."""

from __future__ import annotations

import uuid

import pytest

from drasi.bus.naming import between_functions
from drasi.bus.port import BusUnavailable
from drasi.bus.presence import BusLost, BusPresence, Mark, Marker
from drasi.bus.pubsub import PubSubBus
from drasi.bus.pubsub_client import PubSubClient
from tests.emulator import emulators
from tests.emulator.emulators import Emulator


class Marks(Marker):
    """A marker that says what the test says."""

    def __init__(self) -> None:
        self.mark: Mark | None = None
        self.silent = False

    async def find(self) -> Mark | None:
        if self.silent:
            raise BusUnavailable("no answer")
        return self.mark


class World:
    def __init__(self) -> None:
        self.marks = Marks()
        self.heard: list[str] = []
        self.presence = BusPresence(
            self.marks, lost=lambda problem: self.heard.append(problem.code), back=lambda: self.heard.append("back")
        )


async def test_a_marker_that_goes_is_a_loss_and_a_new_one_the_end_of_it() -> None:
    world = World()
    await world.presence.sure()
    world.marks.mark = Mark("b", "1")
    await world.presence.sure()
    assert world.heard == []
    world.marks.mark = None
    for _ in range(2):
        with pytest.raises(BusLost):
            await world.presence.sure()
    assert world.heard == ["BusLost"]
    assert world.presence.problem is not None
    world.marks.mark = Mark("b", "2")
    await world.presence.sure()
    assert world.heard == ["BusLost", "back"]
    assert world.presence.problem is None


async def test_a_loss_that_was_made_good_meanwhile_is_told_too() -> None:
    world = World()
    world.marks.mark = Mark("b", "1")
    await world.presence.look()
    world.marks.mark = Mark("b", "2")
    await world.presence.look()
    assert world.heard == ["BusLost", "back"]


async def test_no_answer_is_no_loss() -> None:
    world = World()
    world.marks.mark = Mark("b", "1")
    await world.presence.look()
    world.marks.silent = True
    with pytest.raises(BusUnavailable):
        await world.presence.sure()
    assert world.presence.trouble is not None
    assert world.heard == []
    world.marks.silent = False
    await world.presence.look()
    assert world.presence.trouble is None


async def test_the_marker_is_a_topic_with_labels() -> None:
    client = PubSubClient(f"drasi-{uuid.uuid4().hex[:12]}", emulator=emulators.pubsub())
    marker = Marker(client)
    assert await marker.find() is None
    await marker.make("b1")
    first = await marker.find()
    assert first is not None
    assert first.born == "b1"
    await marker.make("b2")
    assert await marker.find() == first
    await marker.remove()
    await marker.remove()
    await marker.make("b1")
    second = await marker.find()
    assert second is not None
    assert second.made != first.made
    await client.close()


async def test_a_pubsub_that_stands_still_is_said() -> None:
    emulator = Emulator("pubsub")
    emulator.start()
    client = PubSubClient("drasi-still", emulator=emulator.host)
    try:
        assert await Marker(client, silence_s=30).find() is None
        emulator.pause()
        with pytest.raises(BusUnavailable) as raised:
            await Marker(client, silence_s=0.1).find()
        assert "has not answered for 0.1 s" in raised.value.message
        emulator.resume()
        assert await Marker(client, silence_s=30).find() is None
    finally:
        await client.close()
        emulator.stop()


async def test_nothing_is_published_where_nobody_would_get_it() -> None:
    """A topic that is missing is made, unless everything is: then it would have no subscription."""
    client = PubSubClient(f"drasi-{uuid.uuid4().hex[:12]}", emulator=emulators.pubsub())
    marker = Marker(client)
    presence = BusPresence(marker)
    bus = PubSubBus(client, missing=presence.sure)
    await marker.make("b")
    await presence.look()
    await bus.publish("first", b"1", ordering_key="k")
    # Everything is gone.
    for topic in ("first", "drasi-installation"):
        await client.publisher.delete_topic(topic=f"projects/{client.project}/topics/{topic}")
    with pytest.raises(BusLost):
        await bus.publish("first", b"2", ordering_key="k")
    topics = await client.publisher.list_topics(project=f"projects/{client.project}")
    assert [topic.name async for topic in topics] == []
    await marker.make("b")
    await bus.publish("first", b"2", ordering_key="k")
    await bus.close()


@pytest.mark.parametrize(
    ("identity", "ours"),
    [
        ("default.control", True),
        ("default.harbour-db.changes", True),
        ("default.harbour-db.changes~3", True),
        ("alerts.berth-load.results", True),
        ("drasi-goog.harbour-db.changes", True),
        ("drasi-orders", False),
        ("changes", False),
        ("a.changes", False),
        ("mine.of.my.results", False),
        ("default.control-x", False),
    ],
)
def test_which_subscriptions_are_between_functions(identity: str, *, ours: bool) -> None:
    assert between_functions(identity) is ours
