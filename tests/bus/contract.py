"""What every bus must do (``drasi.bus.port.Bus``): a test module gives its bus as the fixture ``world`` and inherits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

import pytest

from drasi.bus.port import Bus, MessageTooLarge
from drasi.messages.envelope import Message

RECEIVE_S = 60.0


class World(Protocol):
    """Where the bus under test lives.

    Attributes:
        bus: The bus at work.
        slept: The pauses before redeliveries so far, in seconds.
    """

    slept: list[float]

    @property
    def bus(self) -> Bus: ...

    async def restart(self) -> Bus:
        """Closes the bus in good order and opens it again."""
        ...

    async def crash(self) -> Bus:
        """The process dies at this instant; another one opens what is durable."""
        ...


class Receiver:
    """Keeps what is delivered. ``answers``: the statuses to give, one per delivery; then 204. ``gate``: answers wait for it."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.seen: list[Message] = []
        self.acknowledged: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = 0
        self.most_running = 0
        self._changed = asyncio.Condition()

    async def __call__(self, message: Message) -> int:
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        self.seen.append(message)
        async with self._changed:
            self._changed.notify_all()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        status = self.answers.pop(0) if self.answers else 204
        if status == 204:
            self.acknowledged.append(message.data.decode())
            async with self._changed:
                self._changed.notify_all()
        return status

    @property
    def texts(self) -> list[str]:
        return [message.data.decode() for message in self.seen]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(RECEIVE_S), self._changed:
            await self._changed.wait_for(condition)

    async def until_acknowledged(self, *texts: str) -> None:
        await self.until(lambda: set(texts) <= set(self.acknowledged))


class BusContract:
    """What differs between buses, without changing what they promise:

    Attributes:
        DEADLINE_S: How long a test waits for what must come.
        BURST, FLOOD: Messages of the tests with many: what a bus of the kind cannot hold in memory.
        FAILURES: Share of deliveries that fail in the random test; where a redelivery takes a second, fewer.
        DROPS: Whether a subscription that is not durable drops (it may, it need not).
    """

    DEADLINE_S = 20.0
    BURST = 3_000
    FLOOD = 5_000
    FAILURES = 0.3
    DROPS = True

    async def test_a_message_arrives_as_it_was_published(self, world: World) -> None:
        receiver = Receiver()
        await world.bus.subscribe("container", "db-change", receiver)
        identity = await world.bus.publish("db-change", b"[1]", attributes={"source": "db"}, ordering_key="db")
        await receiver.until_acknowledged("[1]")
        [message] = receiver.seen
        assert message.data == b"[1]"
        assert message.attributes == {"source": "db"}
        assert message.ordering_key == "db"
        assert message.message_id == identity
        assert message.publish_time.endswith("Z")

    async def test_the_same_message_published_twice_has_two_ids(self, world: World) -> None:
        assert await world.bus.publish("t", b"x", ordering_key="k") != await world.bus.publish("t", b"x", ordering_key="k")

    async def test_only_the_topic_s_subscriptions_get_it(self, world: World) -> None:
        here, there = Receiver(), Receiver()
        await world.bus.subscribe("here", "a", here)
        await world.bus.subscribe("there", "b", there)
        await world.bus.publish("a", b"1", ordering_key="k")
        await world.bus.publish("b", b"2", ordering_key="k")
        await here.until_acknowledged("1")
        await there.until_acknowledged("2")
        assert here.texts == ["1"]
        assert there.texts == ["2"]

    async def test_one_key_keeps_its_order_one_at_a_time(self, world: World) -> None:
        receiver = Receiver()
        await world.bus.subscribe("s", "t", receiver)
        texts = [str(n) for n in range(200)]
        await asyncio.gather(*(world.bus.publish("t", text.encode(), ordering_key="k") for text in texts))
        await receiver.until_acknowledged(*texts)
        assert receiver.texts == texts
        assert receiver.most_running == 1

    async def test_a_failed_delivery_comes_again_before_its_successors(self, world: World) -> None:
        receiver = Receiver(503, 500, 429)
        await world.bus.subscribe("s", "t", receiver)
        await asyncio.gather(*(world.bus.publish("t", text, ordering_key="k") for text in (b"1", b"2")))
        await receiver.until_acknowledged("1", "2")
        assert receiver.texts == ["1", "1", "1", "1", "2"]

    async def test_backoff_grows_from_one_second_to_sixty(self, world: World) -> None:
        receiver = Receiver(*[503] * 10)
        await world.bus.subscribe("s", "t", receiver)
        await world.bus.publish("t", b"1", ordering_key="k")
        await receiver.until_acknowledged("1")
        assert len(world.slept) == 10
        assert world.slept[0] == 1
        assert all(1 <= pause <= 60 for pause in world.slept)
        assert world.slept[-1] > 30

    async def test_a_delivery_that_raises_comes_again(self, world: World) -> None:
        received: list[bytes] = []
        done = asyncio.Event()

        async def deliver(message: Message) -> int:
            received.append(message.data)
            if len(received) < 3:
                raise RuntimeError
            done.set()
            return 204

        await world.bus.subscribe("s", "t", deliver)
        await world.bus.publish("t", b"1", ordering_key="k")
        async with asyncio.timeout(self.DEADLINE_S):
            await done.wait()
        assert received == [b"1"] * 3

    async def test_a_blocked_subscription_delays_no_other_and_no_publisher(self, world: World) -> None:
        quick, stuck = Receiver(), Receiver()
        stuck.gate.clear()
        await world.bus.subscribe("stuck", "t", stuck)
        await world.bus.subscribe("quick", "t", quick)
        texts = [str(n) for n in range(30)]
        async with asyncio.timeout(self.DEADLINE_S):
            for text in texts:
                await world.bus.publish("t", text.encode(), ordering_key="k")
        await quick.until_acknowledged(*texts)
        assert stuck.acknowledged == []
        stuck.gate.set()
        await stuck.until_acknowledged(*texts)
        assert stuck.texts == texts

    async def test_a_blocked_key_delays_no_other(self, world: World) -> None:
        blocked = asyncio.Event()
        receiver = Receiver()

        async def deliver(message: Message) -> int:
            if message.ordering_key == "bad" and not blocked.is_set():
                return 503
            return await receiver(message)

        await world.bus.subscribe("s", "t", deliver)
        await world.bus.publish("t", b"bad", ordering_key="bad")
        await world.bus.publish("t", b"good", ordering_key="good")
        await receiver.until_acknowledged("good")
        blocked.set()
        await receiver.until_acknowledged("bad")

    async def test_what_publish_accepted_survives_a_crash(self, world: World) -> None:
        stuck = Receiver()
        stuck.gate.clear()
        await world.bus.subscribe("s", "t", stuck)
        texts = [str(n) for n in range(5)]
        for text in texts:
            await world.bus.publish("t", text.encode(), ordering_key="k", attributes={"n": text})
        bus = await world.crash()
        receiver = Receiver()
        await bus.subscribe("s", "t", receiver)
        await receiver.until_acknowledged(*texts)
        assert receiver.texts == texts
        assert [message.attributes["n"] for message in receiver.seen] == texts

    async def test_after_a_crash_what_was_not_acknowledged_comes_before_what_is_new(self, world: World) -> None:
        stuck = Receiver()
        stuck.gate.clear()
        await world.bus.subscribe("s", "t", stuck)
        await world.bus.publish("t", b"old", ordering_key="k")
        bus = await world.crash()
        await bus.publish("t", b"new", ordering_key="k")
        receiver = Receiver()
        await bus.subscribe("s", "t", receiver)
        await receiver.until_acknowledged("old", "new")
        assert receiver.texts == ["old", "new"]

    async def test_what_was_acknowledged_does_not_come_again_after_a_restart(self, world: World) -> None:
        receiver = Receiver(503)
        await world.bus.subscribe("s", "t", receiver)
        for text in ("1", "2", "3"):
            await world.bus.publish("t", text.encode(), ordering_key="k")
        await receiver.until_acknowledged("1", "2", "3")
        bus = await world.restart()
        again = Receiver()
        await bus.subscribe("s", "t", again)
        await bus.publish("t", b"4", ordering_key="k")
        await again.until_acknowledged("4")
        assert again.texts == ["4"]

    async def test_a_subscription_collects_while_detached(self, world: World) -> None:
        receiver = Receiver()
        await world.bus.subscribe("s", "t", receiver)
        await world.bus.detach("s")
        texts = [str(n) for n in range(100)]
        for text in texts:
            await world.bus.publish("t", text.encode(), ordering_key="k")
        assert receiver.seen == []
        await world.bus.subscribe("s", "t", receiver)
        await receiver.until_acknowledged(*texts)
        assert receiver.texts == texts

    async def test_detaching_stops_redeliveries_and_keeps_the_message(self, world: World) -> None:
        refusing = Receiver(*[503] * 1_000_000)
        await world.bus.subscribe("s", "t", refusing)
        await asyncio.gather(*(world.bus.publish("t", text, ordering_key="k") for text in (b"1", b"2")))
        await world.bus.detach("s")
        deliveries = len(refusing.seen)
        await world.bus.publish("t", b"3", ordering_key="k")
        assert len(refusing.seen) == deliveries
        receiver = Receiver()
        await world.bus.subscribe("s", "t", receiver)
        await receiver.until_acknowledged("1", "2", "3")
        assert receiver.texts == ["1", "2", "3"]

    async def test_an_unsubscribed_one_gets_nothing_and_holds_nothing(self, world: World) -> None:
        receiver = Receiver()
        await world.bus.subscribe("s", "t", receiver)
        await world.bus.detach("s")
        await world.bus.publish("t", b"1", ordering_key="k")
        await world.bus.unsubscribe("s")
        await world.bus.publish("t", b"2", ordering_key="k")
        await world.bus.subscribe("s", "t", receiver)
        await world.bus.publish("t", b"3", ordering_key="k")
        await receiver.until_acknowledged("3")
        assert receiver.texts == ["3"]

    async def test_a_burst_that_exceeds_memory_keeps_its_order(self, world: World) -> None:
        receiver = Receiver()
        receiver.gate.clear()
        await world.bus.subscribe("s", "t", receiver)
        texts = [f"{n:05}" for n in range(self.BURST)]
        await asyncio.gather(*(world.bus.publish("t", text.encode(), ordering_key="k") for text in texts))
        receiver.gate.set()
        more = [f"{n:05}" for n in range(self.BURST, self.BURST + 100)]
        await asyncio.gather(*(world.bus.publish("t", text.encode(), ordering_key="k") for text in more))
        await receiver.until_acknowledged(*texts, *more)
        assert receiver.texts == texts + more

    async def test_results_never_block_and_the_newest_arrive(self, world: World) -> None:
        receiver = Receiver()
        receiver.gate.clear()
        await world.bus.subscribe("reaction", "q-results", receiver, durable=False)
        async with asyncio.timeout(self.DEADLINE_S):
            for n in range(self.FLOOD):
                await world.bus.publish("q-results", str(n).encode(), ordering_key="q")
        receiver.gate.set()
        await receiver.until_acknowledged(str(self.FLOOD - 1))
        numbers = [int(text) for text in receiver.texts]
        assert numbers == sorted(numbers)
        assert len(numbers) < self.FLOOD or not self.DROPS

    async def test_what_is_too_large_is_refused(self, world: World) -> None:
        with pytest.raises(MessageTooLarge, match="10,000,001"):
            await world.bus.publish("t", b"x" * 10_000_001, ordering_key="k")
        with pytest.raises(MessageTooLarge, match="101 attributes"):
            await world.bus.publish("t", b"x", attributes={str(n): "" for n in range(101)}, ordering_key="k")

    @pytest.mark.parametrize("seed", range(8))
    async def test_crashes_lose_nothing_and_keep_the_order(self, world: World, seed: int) -> None:
        """Two keys, receivers that fail at random, crashes at random: after the last one everything accepted has come, in order."""
        chance = random.Random(seed)
        bus = world.bus
        accepted: dict[str, list[int]] = {"a": [], "b": []}
        delivered: dict[str, list[int]] = {"a": [], "b": []}
        numbers = iter(range(1_000_000))
        settled = asyncio.Event()

        async def deliver(message: Message) -> int:
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            if chance.random() < self.FAILURES:
                return 503
            delivered[message.ordering_key].append(int(message.data))
            settled.set()
            return 204

        async def publish(key: str, count: int) -> None:
            for _ in range(count):
                number = next(numbers)
                await bus.publish("t", str(number).encode(), ordering_key=key)
                accepted[key].append(number)

        for _ in range(5):
            await bus.subscribe("s", "t", deliver)
            async with asyncio.timeout(self.DEADLINE_S):
                await asyncio.gather(publish("a", chance.randrange(20)), publish("b", chance.randrange(20)))
            bus = await world.crash()
        await bus.subscribe("s", "t", deliver)
        async with asyncio.timeout(self.DEADLINE_S):
            while any(set(accepted[key]) - set(delivered[key]) for key in accepted):
                settled.clear()
                await settled.wait()
        for key, numbers_seen in delivered.items():
            first_seen = list(dict.fromkeys(numbers_seen))
            assert first_seen == sorted(first_seen)
            assert set(numbers_seen) == set(accepted[key])
