"""Management makes Pub/Sub anew: subscriptions, then a word to containers, then the marker; and what fails is done again."""

from __future__ import annotations

from pathlib import Path

import pytest

from drasi.bus.port import BusUnavailable
from drasi.bus.presence import Mark
from drasi.errors import DrasiError
from drasi.functions.bus_upkeep import BusUpkeep
from drasi.messages.control import ControlMessage
from drasi.resources.resource import Resource, Settings
from drasi.resources.secrets import LocalSecrets
from drasi.resources.store_memory import MemoryResourceStore
from drasi.web.installation import Installation
from tests.web.fake_runtime import FakeRuntime
from tests.web.managed import ALL, Managed


class Runtime(FakeRuntime):
    """Notes what is done beside what the marker's topic sees."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: set[str] = set()

    async def ensure(self, resource: Resource, settings: Settings | None) -> None:
        if resource.name in self.failing:
            raise BusUnavailable("not now")
        await super().ensure(resource, settings)

    async def control(self, container: str, message: ControlMessage) -> None:
        if message.kind == "reread":
            assert message.reason == "Pub/Sub came back empty"
            self.asked.append(f"reread {container}/{message.source}")
        else:
            await super().control(container, message)


class PubSub:
    """The marker, and subscriptions of others."""

    def __init__(self, asked: list[str]) -> None:
        self.mark: Mark | None = None
        self.silent = False
        self._asked = asked

    async def find(self) -> Mark | None:
        if self.silent:
            raise BusUnavailable("no answer")
        return self.mark

    async def make(self, born: str) -> None:
        self._asked.append("mark")
        self.mark = Mark(born, "now")

    async def remove(self) -> None:
        self.mark = None

    def forget(self) -> None:
        self._asked.append("forget")

    async def sweep(self) -> list[str]:
        self._asked.append("sweep")
        return ["x"]


class World(Managed):
    def __init__(self, *, sweep: bool = True) -> None:
        super().__init__(Runtime(), MemoryResourceStore())
        self.asked = self.runtime.asked
        self.pubsub = PubSub(self.asked)
        self.upkeep = BusUpkeep(self.pubsub, "b1", self.installation, self.pubsub, sweep=sweep)


async def test_nothing_is_done_while_the_marker_is_there() -> None:
    world = World()
    await world.apply(ALL)
    world.pubsub.mark = Mark("b1", "before")
    world.asked.clear()
    await world.upkeep.look()
    assert world.asked == []


async def test_everything_is_made_anew_in_this_order() -> None:
    world = World()
    await world.upkeep.look()
    assert world.asked == ["forget", "mark"]
    await world.apply(ALL)
    world.asked.clear()
    world.pubsub.mark = None
    await world.upkeep.look()
    first, *ensured, told, mark = world.asked
    assert first == "forget"
    assert [line for line in ensured if line.startswith("ensure")] == [
        "ensure Source/clock",
        "ensure ContinuousQuery/ticks",
        "ensure Reaction/printer",
    ]
    assert "configure default/ticks" in ensured
    assert (told, mark) == ("reread default/clock", "mark")
    assert world.upkeep.trouble is None


async def test_what_fails_is_done_again_before_anybody_sees_the_marker() -> None:
    world = World()
    await world.apply(ALL)
    runtime = world.runtime
    assert isinstance(runtime, Runtime)
    runtime.failing.add("printer")
    with pytest.raises(BusUnavailable):
        await world.upkeep.look()
    assert world.upkeep.trouble is not None
    assert not {"mark", "reread default/clock"} & set(world.asked)
    runtime.failing.clear()
    await world.upkeep.look()
    assert world.asked[-2:] == ["reread default/clock", "mark"]
    assert world.upkeep.trouble is None


async def test_what_an_emptied_database_left_is_removed_first() -> None:
    world = World()
    world.pubsub.mark = Mark("another", "before")
    await world.upkeep.look()
    assert world.asked == ["sweep", "forget", "mark"]
    assert world.pubsub.mark == Mark("b1", "now")


async def test_in_a_cluster_a_person_removes_it() -> None:
    world = World(sweep=False)
    world.pubsub.mark = Mark("another", "before")
    with pytest.raises(DrasiError) as raised:
        await world.upkeep.look()
    assert "two installations share the project" in raised.value.hint
    assert world.asked == []
    assert world.upkeep.trouble is raised.value


async def test_silence_is_a_trouble_and_no_loss() -> None:
    world = World()
    await world.apply(ALL)
    world.pubsub.silent = True
    world.asked.clear()
    with pytest.raises(BusUnavailable):
        await world.upkeep.look()
    assert world.asked == []


async def test_new_queries_count_from_where_they_are_told_to(tmp_path: Path) -> None:
    runtime, store = FakeRuntime(), MemoryResourceStore()
    managed = Managed(runtime, store)
    await managed.apply(ALL)
    await Installation(store, runtime, LocalSecrets(tmp_path), sequences_from=5_000).restore()
    await store.set_note("sequence/ticks", "7000")
    await Installation(store, runtime, LocalSecrets(tmp_path), sequences_from=5_000).restore()
    configured = [message.sequenceFrom for _, message in runtime.messages if message.kind == "configure"]
    assert configured == [None, 5_000, 7_000]
