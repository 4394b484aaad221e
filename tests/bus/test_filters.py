"""Filters that are applied: while labels come and go and processes die between any two calls, a container misses nothing.

The emulator ignores filters; here is a Pub/Sub in memory that does not. The container is as small as one can be: a watermark, and
snapshots of labels it has not had.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

import pytest

from drasi.bus.endpoint import Endpoint, FunctionEndpoints
from drasi.bus.pubsub import PubSubBus
from drasi.messages.envelope import Message
from tests.bus.filtering import FilteringPubSub, bus_on

SUBSCRIPTION, TOPIC, KEY = "main.harbour.changes", "harbour-change", "harbour"
LABELS = ["Ship", "Berth", "Tug", "Crane"]


class Died(Exception):
    """The process is gone."""


class Harbour:
    """The origin, with what it publishes; management, which subscribes; the container, which is pushed to."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.pubsub = FilteringPubSub()
        self.source = bus_on(self.pubsub)
        self.values = dict.fromkeys(LABELS, 0)
        self.position = 0
        self.unpublished: list[tuple[str, int]] = []
        self.wanted: set[str] = set()
        self.known: dict[str, int] = {}
        self.watermark = 0
        self.management = self.new_management()
        self.function = bus_on(self.pubsub)

    def new_management(self) -> PubSubBus:
        return bus_on(self.pubsub, endpoints=FunctionEndpoints(lambda _: Endpoint("http://function/changes")))

    async def change(self) -> None:
        label = self.chance.choice(LABELS)
        self.position += 1
        self.values[label] = self.position
        self.unpublished.append((label, self.position))
        await self.publish()

    async def publish(self) -> None:
        """A source goes on with what it has not published."""
        while self.unpublished:
            label, position = self.unpublished[0]
            data = json.dumps([label, position]).encode()
            await self.source.publish(TOPIC, data, attributes={f"label.{label}": "1"}, ordering_key=KEY)
            del self.unpublished[0]

    async def want(self, labels: set[str]) -> None:
        """As management does: first what is wanted more; the container is told; then what is wanted less."""
        self.wanted = labels
        await self.subscribe(narrow=False)
        self.known = {label: value for label, value in self.known.items() if label in labels}
        await self.subscribe(narrow=True)

    async def subscribe(self, *, narrow: bool) -> None:
        await self.management.subscribe(SUBSCRIPTION, TOPIC, _nobody, labels=self.wanted, ordering_key=KEY, narrow=narrow)

    async def read(self) -> None:
        """The container reads a snapshot of what it lacks, once it hears of it."""
        missing = self.wanted - self.known.keys()
        if missing and await self.function.hears(SUBSCRIPTION, TOPIC, missing):
            self.known |= {label: self.values[label] for label in missing & self.wanted}

    async def push(self, url: str, message: Message) -> int:
        assert url == "http://function/changes"
        return await self.function.attend(self.apply)(message)

    async def apply(self, message: Message) -> int:
        label, position = json.loads(message.data)
        if position > self.watermark:
            self.watermark = position
            if label in self.known and position > self.known[label]:
                self.known[label] = position
        return 204

    async def step(self) -> None:
        match self.chance.choice(["change", "change", "change", "deliver", "deliver", "deliver", "read", "want"]):
            case "change":
                await self.change()
            case "deliver":
                if paths := self.pubsub.deliverable():
                    await self.pubsub.deliver(self.chance.choice(paths), self.push)
            case "read":
                await self.read()
            case "want":
                if self.chance.random() < 0.3:
                    await self.want({label for label in LABELS if self.chance.random() < 0.5})

    def begin_dying(self, calls: int) -> None:
        """At the n-th call from now, before or after it, the process dies that makes it."""
        left = calls

        def before(call: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Died(call)

        self.pubsub.before = before

    async def restart(self) -> None:
        """Both processes come again, and management makes sure of what is stored."""
        self.pubsub.before = lambda call: None
        self.management = self.new_management()
        self.function = bus_on(self.pubsub)
        self.source = bus_on(self.pubsub)
        await self.publish()
        await self.subscribe(narrow=False)
        self.known = {label: value for label, value in self.known.items() if label in self.wanted}
        await self.subscribe(narrow=True)

    async def settle(self) -> None:
        """Everything that is on its way comes."""
        for _ in range(10_000):
            if paths := self.pubsub.deliverable():
                await self.pubsub.deliver(self.chance.choice(paths), self.push)
            elif self.wanted - self.known.keys():
                before = set(self.known)
                await self.read()
                assert set(self.known) != before or self.pubsub.deliverable(), "it hears, and nothing is on its way"
            else:
                return
        raise AssertionError("it does not end")


async def _nobody(message: Message) -> int:
    raise AssertionError("pushes go to the function")


@pytest.mark.parametrize("seed", range(150))
async def test_labels_come_and_go_under_load_and_nothing_is_missed(seed: int) -> None:
    harbour = Harbour(seed)
    harbour.wanted = {"Ship"}
    await harbour.restart()
    for _ in range(200):
        # Every second run without deaths, so that what they repair is seen to be right without repair.
        if seed % 2 and harbour.chance.random() < 0.1:
            harbour.begin_dying(harbour.chance.randrange(1, 12))
        try:
            await harbour.step()
        except Died:
            await harbour.restart()
    if seed % 2:
        await harbour.restart()
    await harbour.settle()
    assert harbour.known == {label: harbour.values[label] for label in harbour.wanted}
    [held] = harbour.pubsub.subscriptions.values()
    assert [held.takes({f"label.{label}": "1"}) for label in LABELS] == [label in harbour.wanted for label in LABELS]
    assert not held.backlog


@pytest.mark.parametrize("seed", range(60))
async def test_management_and_the_function_come_in_between_each_other_at_every_call(seed: int) -> None:
    harbour = Harbour(seed)
    harbour.wanted = {"Ship"}
    await harbour.restart()

    async def pause() -> None:
        for _ in range(harbour.chance.choice([0, 0, 1, 2, 40])):
            await asyncio.sleep(0)

    async def manage() -> None:
        for _ in range(3):
            await harbour.want({label for label in LABELS if harbour.chance.random() < 0.5})

    async def publish() -> None:
        for _ in range(60):
            await harbour.change()

    async def take() -> None:
        while not (managing.done() and publishing.done()):
            await pause()
            if paths := harbour.pubsub.deliverable():
                await harbour.pubsub.deliver(harbour.chance.choice(paths), harbour.push)
            await harbour.read()

    harbour.pubsub.pause = pause
    managing, publishing = asyncio.create_task(manage()), asyncio.create_task(publish())
    await asyncio.gather(managing, publishing, take())
    await harbour.settle()
    assert harbour.known == {label: harbour.values[label] for label in harbour.wanted}
    [held] = harbour.pubsub.subscriptions.values()
    assert [held.takes({f"label.{label}": "1"}) for label in LABELS] == [label in harbour.wanted for label in LABELS]


@pytest.mark.parametrize("step", range(1, 40))
async def test_whoever_dies_at_any_step_of_a_change_of_labels_is_made_up_for_by_the_next_start(step: int) -> None:
    harbour = Harbour(step)
    harbour.wanted = {"Ship"}
    await harbour.restart()
    await harbour.read()
    for _ in range(10):
        await harbour.change()
    harbour.begin_dying(step)
    with contextlib.suppress(Died):
        await harbour.want({"Berth", "Ship"})
        for _ in range(10):
            await harbour.change()
        await harbour.settle()
    died = harbour.pubsub.calls
    await harbour.restart()
    for _ in range(10):
        await harbour.change()
    await harbour.settle()
    assert harbour.known == {label: harbour.values[label] for label in ("Berth", "Ship")}, died
    assert [path.rpartition("/")[2] for path in harbour.pubsub.subscriptions] == [f"{SUBSCRIPTION}~2"]
