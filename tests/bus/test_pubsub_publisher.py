"""Batches, order and failure of what is published to Pub/Sub, without Pub/Sub."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from drasi.bus.port import BusUnavailable
from drasi.bus.pubsub_publisher import MOST_MESSAGES, REQUEST_BYTES, PubSubPublisher
from drasi.messages.envelope import Message


class Service:
    """Takes requests when it is let; ``failing`` requests fail."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, list[Message]]] = []
        self.failing = 0
        self.open = asyncio.Event()
        self.open.set()
        self.running = 0
        self.most_running = 0
        self._ids = itertools.count(1)

    async def __call__(self, topic: str, messages: Sequence[Message]) -> list[str]:
        self.requests.append((topic, list(messages)))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.open.wait()
        finally:
            self.running -= 1
        if self.failing:
            self.failing -= 1
            raise BusUnavailable("down")
        return [str(next(self._ids)) for _ in messages]

    def texts(self) -> list[list[str]]:
        return [[message.data.decode() for message in messages] for _, messages in self.requests]


def message(text: str, key: str = "k") -> Message:
    return Message(text.encode(), {}, key)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_comes_during_a_request_is_the_next_batch() -> None:
    service = Service()
    publisher = PubSubPublisher(service)
    service.open.clear()
    first = asyncio.ensure_future(publisher.publish("t", message("1")))
    await settle()
    others = [asyncio.ensure_future(publisher.publish("t", message(text))) for text in "234"]
    await settle()
    service.open.set()
    assert await asyncio.gather(first, *others) == ["1", "2", "3", "4"]
    assert service.texts() == [["1"], ["2", "3", "4"]]
    await publisher.close()


async def test_one_request_of_a_key_at_a_time_and_keys_apart() -> None:
    service = Service()
    publisher = PubSubPublisher(service)
    service.open.clear()
    tasks = [asyncio.ensure_future(publisher.publish("t", message(key, key))) for key in "abc" for _ in range(3)]
    await settle()
    assert service.running == 3
    service.open.set()
    await asyncio.gather(*tasks)
    assert all(len({one.ordering_key for one in messages}) == 1 for _, messages in service.requests)
    await publisher.close()


async def test_a_batch_is_limited_by_number_and_bytes() -> None:
    service = Service()
    publisher = PubSubPublisher(service)
    small = [publisher.publish("t", message(str(n), "small")) for n in range(MOST_MESSAGES + 1)]
    half = "x" * (REQUEST_BYTES // 2)
    large = [publisher.publish("t", message(text, "large")) for text in (half, half, half, half * 3)]
    await asyncio.gather(*small, *large)
    sizes = {
        key: [len(messages) for _, messages in service.requests if messages[0].ordering_key == key] for key in ("small", "large")
    }
    assert sizes == {"small": [MOST_MESSAGES, 1], "large": [2, 1, 1]}
    await publisher.close()


async def test_requests_under_way_are_bounded() -> None:
    service = Service()
    publisher = PubSubPublisher(service, most_requests=4)
    service.open.clear()
    tasks = [asyncio.ensure_future(publisher.publish("t", message(str(n), str(n)))) for n in range(50)]
    await settle()
    assert service.running == 4
    service.open.set()
    await asyncio.gather(*tasks)
    assert service.most_running == 4
    await publisher.close()


async def test_what_waits_behind_a_failure_fails_with_it_and_the_key_is_free_again() -> None:
    service = Service()
    publisher = PubSubPublisher(service)
    service.open.clear()
    service.failing = 1
    failed = [asyncio.ensure_future(publisher.publish("t", message("1")))]
    await settle()
    failed += [asyncio.ensure_future(publisher.publish("t", message(text))) for text in "23"]
    other = asyncio.ensure_future(publisher.publish("t", message("else", "other")))
    await settle()
    service.open.set()
    outcomes = await asyncio.gather(*failed, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BusUnavailable] * 3
    assert await other
    await asyncio.gather(*(publisher.publish("t", message(text)) for text in "123"))
    assert [texts for texts in service.texts() if texts != ["else"]] == [["1"], ["1", "2", "3"]]
    await publisher.close()


async def test_a_caller_that_gives_up_takes_nobody_with_it() -> None:
    service = Service()
    publisher = PubSubPublisher(service)
    service.open.clear()
    first, second = (asyncio.ensure_future(publisher.publish("t", message(text))) for text in "12")
    await settle()
    first.cancel()
    service.open.set()
    assert await second == "2"
    await publisher.close()


async def test_closing_lets_go_what_was_given_and_no_longer() -> None:
    service = Service()
    publisher = PubSubPublisher(service)
    task = asyncio.ensure_future(publisher.publish("t", message("1")))
    await settle()
    await publisher.close()
    assert await task == "1"
    with pytest.raises(BusUnavailable, match="closed"):
        await publisher.publish("t", message("2"))


async def test_closing_does_not_wait_for_ever() -> None:
    service = Service()
    publisher = PubSubPublisher(service)
    service.open.clear()
    tasks = [asyncio.ensure_future(publisher.publish("t", message("1")))]
    await settle()
    tasks.append(asyncio.ensure_future(publisher.publish("t", message("2"))))
    await settle()
    await publisher.close(drain_s=0.0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BusUnavailable] * 2
