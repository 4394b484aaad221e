"""The bus on Pub/Sub keeps the contract on the emulator; subscriptions are made as they must be; filters follow the labels."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from google.pubsub_v1 import types

from drasi.bus.endpoint import Endpoint, FunctionEndpoints
from drasi.bus.port import BusUnavailable
from drasi.bus.provision import Policy
from drasi.bus.pubsub import RETIRES, PubSubBus
from drasi.bus.pubsub_client import PubSubClient
from drasi.messages.envelope import Message
from tests.bus.contract import BusContract, Receiver
from tests.bus.gate import Gate
from tests.bus.receiver import LocalEndpoints
from tests.emulator import emulators

_projects = itertools.count(1)


class PubSubWorld:
    """A project of its own on the emulator. Pub/Sub makes its pauses itself, so none are known."""

    bus: PubSubBus
    endpoints: LocalEndpoints

    def __init__(self, host: str) -> None:
        self.slept: list[float] = []
        self.host = host
        self.project = f"drasi-bus-{next(_projects)}"
        self.client = PubSubClient(self.project, emulator=host)
        self._opened: list[PubSubBus] = []

    def open(self) -> PubSubBus:
        self.endpoints = LocalEndpoints()
        self.bus = PubSubBus(PubSubClient(self.project, emulator=self.host), self.endpoints)
        self._opened.append(self.bus)
        return self.bus

    async def restart(self) -> PubSubBus:
        await self.bus.close()
        return self.open()

    async def crash(self) -> PubSubBus:
        await self.endpoints.die()
        return self.open()

    async def close(self) -> None:
        await self.endpoints.die()
        for bus in self._opened:
            await bus.close()
        await self.client.close()

    async def get(self, subscription: str) -> types.Subscription:
        return await self.client.subscriber.get_subscription(subscription=self.path(subscription))

    async def ids(self) -> list[str]:
        pages = await self.client.subscriber.list_subscriptions(project=f"projects/{self.project}")
        return sorted([one.name.rpartition("/")[2] async for one in pages])

    def path(self, subscription: str) -> str:
        return f"projects/{self.project}/subscriptions/{subscription}"

    def topic(self, name: str) -> str:
        return f"projects/{self.project}/topics/{name}"


@pytest.fixture
async def world() -> AsyncIterator[PubSubWorld]:
    made = PubSubWorld(emulators.pubsub())
    made.open()
    yield made
    await made.close()


class TestPubSubBus(BusContract):
    DEADLINE_S = 60.0
    BURST = 1_000
    FLOOD = 1_000
    FAILURES = 0.08
    DROPS = False

    async def test_backoff_grows_from_one_second_to_sixty(self, world: PubSubWorld) -> None:  # type: ignore[override]
        """Pub/Sub makes the pauses; what it was told is what counts."""
        await world.bus.subscribe("s", "t", Receiver())
        policy = (await world.get("drasi-s")).retry_policy
        assert policy.minimum_backoff == timedelta(seconds=1)
        assert policy.maximum_backoff == timedelta(seconds=60)

    @pytest.mark.parametrize("seed", range(2))
    async def test_crashes_lose_nothing_and_keep_the_order(self, world: PubSubWorld, seed: int) -> None:  # type: ignore[override]
        await super().test_crashes_lose_nothing_and_keep_the_order(world, seed)


SUBSCRIPTION = "default-harbour-db"
TOPIC = "harbour-db-change"
SHIPS = 'attributes:"label.Ship" OR attributes:"label.*"'
BOTH = 'attributes:"label.Berth" OR attributes:"label.Ship" OR attributes:"label.*"'


async def want(bus: PubSubBus, receiver: Receiver, *labels: str) -> None:
    await bus.subscribe(SUBSCRIPTION, TOPIC, receiver, labels=labels, ordering_key="harbour-db")


async def publish(bus: PubSubBus, *texts: str) -> None:
    for text in texts:
        await bus.publish(TOPIC, text.encode(), attributes={"label.Ship": "1"}, ordering_key="harbour-db")


async def test_a_subscription_is_as_the_wire_wants_it(world: PubSubWorld) -> None:
    await want(world.bus, Receiver(), "Ship", "Berth")
    made = await world.get(SUBSCRIPTION)
    assert made.topic == world.topic(TOPIC)
    assert made.filter == BOTH
    assert made.enable_message_ordering
    assert made.ack_deadline_seconds == 60
    assert made.message_retention_duration == timedelta(days=7), "31 days; the emulator takes a week"
    assert made.retry_policy.minimum_backoff == timedelta(seconds=1)
    assert made.retry_policy.maximum_backoff == timedelta(seconds=60)
    assert not made.dead_letter_policy
    assert not made.expiration_policy.ttl
    assert made.push_config.push_endpoint.endswith(f"/push/{SUBSCRIPTION}")


def test_retention_is_a_month_where_it_can_be() -> None:
    assert Policy().retention == timedelta(days=31)


async def test_without_labels_there_is_no_filter(world: PubSubWorld) -> None:
    await world.bus.subscribe("default-control", "default-control", Receiver())
    assert (await world.get("default-control")).filter == ""


async def test_labels_that_do_not_fit_give_no_filter(world: PubSubWorld) -> None:
    await want(world.bus, Receiver(), *(f"Label{number:03}" for number in range(20)))
    assert (await world.get(SUBSCRIPTION)).filter == ""


async def test_labels_need_the_key_behind_which_a_marker_comes(world: PubSubWorld) -> None:
    with pytest.raises(ValueError, match="ordering key"):
        await world.bus.subscribe(SUBSCRIPTION, TOPIC, Receiver(), labels=["Ship"])


async def test_making_it_again_changes_nothing_and_mends_what_was_changed(world: PubSubWorld) -> None:
    receiver = Receiver()
    await want(world.bus, receiver, "Ship")
    made = await world.get(SUBSCRIPTION)
    await want(world.bus, receiver, "Ship")
    assert await world.get(SUBSCRIPTION) == made
    changed = types.Subscription(made, ack_deadline_seconds=10)
    update = {"subscription": changed, "update_mask": {"paths": ["ack_deadline_seconds"]}}
    await world.client.subscriber.update_subscription(request=update)
    await world.client.subscriber.modify_push_config(subscription=made.name, push_config=types.PushConfig())
    await want(world.bus, receiver, "Ship")
    assert await world.get(SUBSCRIPTION) == made
    assert await world.ids() == [SUBSCRIPTION]


async def test_two_instances_make_one_subscription(world: PubSubWorld) -> None:
    first, second = world.bus, world.open()
    await asyncio.gather(*(want(bus, Receiver(), "Ship") for bus in (first, second)))
    assert await world.ids() == [SUBSCRIPTION]


async def test_a_subscription_cannot_change_its_topic(world: PubSubWorld) -> None:
    await world.bus.subscribe("reaction", "a-results", Receiver())
    with pytest.raises(ValueError, match="exists on topic a-results"):
        await world.bus.subscribe("reaction", "b-results", Receiver())


async def test_a_topic_that_was_removed_is_made_again_with_its_subscription(world: PubSubWorld) -> None:
    receiver = Receiver()
    await want(world.bus, receiver, "Ship")
    await world.client.publisher.delete_topic(topic=world.topic(TOPIC))
    await publish(world.bus, "lost")
    await want(world.bus, receiver, "Ship")
    await publish(world.bus, "1")
    await receiver.until_acknowledged("1")


async def test_other_labels_are_collected_until_the_old_subscription_has_delivered(world: PubSubWorld) -> None:
    receiver = Receiver()
    receiver.gate.clear()
    await want(world.bus, receiver, "Ship")
    await publish(world.bus, "1", "2")
    await receiver.until(lambda: receiver.texts == ["1"])
    await want(world.bus, receiver, "Ship", "Berth")
    assert await world.ids() == [SUBSCRIPTION, f"{SUBSCRIPTION}~2"]
    collecting = await world.get(f"{SUBSCRIPTION}~2")
    assert collecting.filter == BOTH
    assert not collecting.push_config.push_endpoint
    await publish(world.bus, "3")
    receiver.gate.set()
    await world.bus.settled(SUBSCRIPTION)
    await receiver.until_acknowledged("1", "2", "3")
    assert receiver.texts == ["1", "2", "3"], "the old one delivers what was before the marker, the new one what came after"
    assert await world.ids() == [f"{SUBSCRIPTION}~2"]
    await want(world.bus, receiver, "Ship", "Berth")
    assert await world.ids() == [f"{SUBSCRIPTION}~2"]
    assert all("marker" not in message.attributes.values() for message in receiver.seen)


async def test_labels_may_change_again_before_the_first_change_is_through(world: PubSubWorld) -> None:
    receiver = Receiver()
    receiver.gate.clear()
    await want(world.bus, receiver, "Ship")
    await publish(world.bus, "1")
    await want(world.bus, receiver, "Ship", "Berth")
    await publish(world.bus, "2")
    await want(world.bus, receiver, "Ship")
    await publish(world.bus, "3")
    receiver.gate.set()
    await world.bus.settled(SUBSCRIPTION)
    await receiver.until_acknowledged("1", "2", "3")
    assert list(dict.fromkeys(receiver.texts)) == ["1", "2", "3"]
    assert await world.ids() == [f"{SUBSCRIPTION}~3"]
    assert (await world.get(f"{SUBSCRIPTION}~3")).filter == SHIPS


async def test_a_crash_in_the_middle_of_a_change_of_labels_is_made_up_for(world: PubSubWorld) -> None:
    receiver = Receiver()
    receiver.gate.clear()
    await want(world.bus, receiver, "Ship")
    await publish(world.bus, "1")
    await want(world.bus, receiver, "Ship", "Berth")
    bus = await world.crash()
    await publish(bus, "2")
    again = Receiver()
    await want(bus, again, "Ship", "Berth")
    await bus.settled(SUBSCRIPTION)
    await again.until_acknowledged("1", "2")
    assert list(dict.fromkeys(again.texts)) == ["1", "2"]
    assert await world.ids() == [f"{SUBSCRIPTION}~2"]


async def test_a_crash_between_the_new_endpoint_and_the_end_of_the_old_one(world: PubSubWorld) -> None:
    """Both have an endpoint; the old one still holds the marker, and ends with it."""
    receiver = Receiver()
    await want(world.bus, receiver, "Ship")
    made = await world.get(SUBSCRIPTION)
    second = types.Subscription(made, name=world.path(f"{SUBSCRIPTION}~2"), filter=BOTH)
    await world.client.subscriber.create_subscription(request=second)
    await want(world.bus, receiver, "Ship", "Berth")
    await world.bus.settled(SUBSCRIPTION)
    assert await world.ids() == [f"{SUBSCRIPTION}~2"]
    await publish(world.bus, "1")
    await receiver.until_acknowledged("1")


async def test_a_marker_of_another_subscription_ends_nothing(world: PubSubWorld) -> None:
    mine, other = Receiver(), Receiver()
    await want(world.bus, mine, "Ship")
    await world.bus.subscribe("other-harbour-db", TOPIC, other, labels=["Ship"], ordering_key="harbour-db")
    await want(world.bus, mine, "Berth")
    await world.bus.settled(SUBSCRIPTION)
    await publish(world.bus, "1")
    await other.until_acknowledged("1")
    assert other.texts == ["1"]
    assert await world.ids() == [f"{SUBSCRIPTION}~2", "other-harbour-db"]


async def test_settled_is_seen_by_the_instance_that_did_not_get_the_marker(world: PubSubWorld) -> None:
    receiver = Receiver()
    await want(world.bus, receiver, "Ship")
    other = PubSubBus(
        PubSubClient(world.project, emulator=world.host), FunctionEndpoints(lambda _: Endpoint("http://127.0.0.1:1/"))
    )
    try:
        await want(other, Receiver(), "Berth")
        await want(world.bus, receiver, "Berth")
        await asyncio.gather(world.bus.settled(SUBSCRIPTION), other.settled(SUBSCRIPTION))
        assert await world.ids() == [f"{SUBSCRIPTION}~2"]
    finally:
        await other.close()


async def test_whoever_gets_the_marker_makes_the_change_also_if_another_process_subscribed(world: PubSubWorld) -> None:
    """Management subscribes; the function that is pushed to has never heard of the subscription."""
    function = PubSubBus(PubSubClient(world.project, emulator=world.host))
    receiver = Receiver()
    endpoints = LocalEndpoints()
    url = (await endpoints.open(SUBSCRIPTION, function.attend(receiver))).url
    management = PubSubBus(PubSubClient(world.project, emulator=world.host), FunctionEndpoints(lambda _: Endpoint(url)))
    try:
        await want(management, Receiver(), "Ship")
        receiver.gate.clear()
        await publish(management, "1")
        await receiver.until(lambda: receiver.texts == ["1"])
        assert await management.hears(SUBSCRIPTION, TOPIC, ["Ship"])
        for labels in (["Ship", "Berth"], ["Ship", "Berth", "Tug"], ["Berth", "Tug"]):
            await want(management, Receiver(), *labels)
        assert not await management.hears(SUBSCRIPTION, TOPIC, ["Berth"])
        await publish(management, "2")
        receiver.gate.set()
        await management.settled(SUBSCRIPTION)
        assert await management.hears(SUBSCRIPTION, TOPIC, ["Berth", "Tug"])
        assert not await management.hears(SUBSCRIPTION, TOPIC, ["Ship"])
        assert not await management.hears(SUBSCRIPTION, TOPIC, None)
        await receiver.until_acknowledged("1", "2")
        assert list(dict.fromkeys(receiver.texts)) == ["1", "2"]
        assert await world.ids() == [f"{SUBSCRIPTION}~4"]
    finally:
        await endpoints.close()
        await management.close()
        await function.close()


async def test_a_filter_that_lets_through_more_is_replaced_only_if_it_is_to_be_narrow(world: PubSubWorld) -> None:
    receiver = Receiver()
    await want(world.bus, receiver, "Ship", "Berth")
    await world.bus.subscribe(SUBSCRIPTION, TOPIC, receiver, labels=["Ship"], ordering_key="harbour-db", narrow=False)
    assert await world.ids() == [SUBSCRIPTION]
    await want(world.bus, receiver, "Ship")
    await world.bus.settled(SUBSCRIPTION)
    assert (await world.get(f"{SUBSCRIPTION}~2")).filter == SHIPS


async def test_unsubscribing_removes_every_generation_also_for_a_process_that_never_subscribed(world: PubSubWorld) -> None:
    receiver = Receiver()
    receiver.gate.clear()
    await want(world.bus, receiver, "Ship")
    await publish(world.bus, "1")
    await want(world.bus, receiver, "Berth")
    other = PubSubBus(PubSubClient(world.project, emulator=world.host))
    await other.unsubscribe(SUBSCRIPTION)
    await other.close()
    assert await world.ids() == []
    receiver.gate.set()


async def test_a_function_s_endpoint_stays_when_its_process_ends(world: PubSubWorld) -> None:
    endpoint = Endpoint("http://127.0.0.1:9/changes?token=planted", "push@p.iam.gserviceaccount.com", "drasi")
    assert "planted" not in repr(endpoint)
    bus = PubSubBus(PubSubClient(world.project, emulator=world.host), FunctionEndpoints(lambda _: endpoint))
    await want(bus, Receiver(), "Ship")
    await bus.close()
    config = (await world.get(SUBSCRIPTION)).push_config
    assert config.push_endpoint == "http://127.0.0.1:9/changes?token=planted"
    assert config.oidc_token.service_account_email == "push@p.iam.gserviceaccount.com"
    assert config.oidc_token.audience == "drasi"


async def test_a_marker_that_cannot_be_followed_comes_again(world: PubSubWorld) -> None:
    receiver = Receiver()
    await want(world.bus, receiver, "Ship")
    attended = world.bus.attend(receiver)
    await world.bus._client.close()
    world.bus._client.emulator = "127.0.0.1:1"
    world.bus._client.retry = world.bus._client.retry.with_timeout(0.01)
    assert await attended(Message(b"[]", {RETIRES: SUBSCRIPTION}, subscription=world.path(SUBSCRIPTION))) == 503
    assert receiver.seen == []


async def test_a_bus_that_nobody_answers_says_so_and_goes_on_when_somebody_does(world: PubSubWorld) -> None:
    """The key that failed is free again, and what is published again comes in order."""
    receiver = Receiver()
    await want(world.bus, receiver, "Ship")
    gate = Gate(world.host)
    await gate.open()
    client = PubSubClient(world.project, emulator=gate.address, patience_s=0.2)
    bus = PubSubBus(client)
    await publish(bus, "1")
    await gate.close()
    outcomes = await asyncio.gather(*(publish(bus, str(number)) for number in range(2, 6)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BusUnavailable] * 4
    assert "PUBSUB_EMULATOR_HOST" in outcomes[0].hint  # type: ignore[union-attr]
    await gate.open()
    client.retry = client.retry.with_timeout(30.0)
    await asyncio.gather(*(publish(bus, str(number)) for number in range(2, 6)))
    await receiver.until_acknowledged("1", "2", "3", "4", "5")
    assert list(dict.fromkeys(receiver.texts)) == ["1", "2", "3", "4", "5"]
    await bus.close()
    await gate.close()
    with pytest.raises(BusUnavailable, match="closed"):
        await publish(bus, "6")
