"""What messages are billed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from drasi.bus.metering import Meter, size
from drasi.bus.port import BusUnavailable
from drasi.bus.pubsub import PubSubBus
from drasi.bus.pubsub_client import PubSubClient
from drasi.bus.pubsub_sender import KEY, PubSubSender
from drasi.messages.envelope import Message
from drasi.web.metrics import pubsub_metrics, registry_of

SMALL = Message(b"x" * 100, {"drasi-type": "changes"}, "db")
LARGE = Message(b"x" * 5_000, {}, "db")


def test_a_small_request_is_billed_as_a_kilobyte_and_several_messages_are_one_request() -> None:
    meter = Meter()
    meter.publish([SMALL])
    assert (meter.published_bytes, meter.published_billed) == (100 + 17 + 2 + 36, 1_000)
    meter.publish([SMALL, LARGE])
    assert (meter.requests, meter.published) == (2, 3)
    assert meter.published_billed == 1_000 + size(SMALL) + size(LARGE)
    for message in (SMALL, SMALL, LARGE):
        meter.push(message)
    assert (meter.pushes, meter.pushed_bytes) == (3, 2 * size(SMALL) + size(LARGE))
    assert meter.pushed_billed == 2_000 + size(LARGE)


async def test_the_bus_counts_what_is_pushed_to_it() -> None:
    bus = PubSubBus(PubSubClient("p", emulator="127.0.0.1:1"))

    async def deliver(message: Message) -> int:
        return 204

    # What only the emulator carries is not billed.
    pushed = Message(SMALL.data, {**SMALL.attributes, KEY: SMALL.ordering_key})
    assert await bus.attend(deliver)(pushed) == 204
    assert (bus.meter.pushes, bus.meter.pushed_bytes) == (1, size(SMALL))
    await bus.close()


class _Publisher:
    """Takes one request, and is then unreachable."""

    def __init__(self) -> None:
        self.answers: list[Any] = [SimpleNamespace(message_ids=["1", "2"])]

    async def publish(self, **_: Any) -> Any:
        if not self.answers:
            raise ConnectionError
        return self.answers.pop()


async def test_what_is_published_counts_and_what_fails_does_not() -> None:
    meter = Meter()
    client: Any = SimpleNamespace(publisher=_Publisher(), emulator="127.0.0.1:1", call=dict)
    provisioner: Any = SimpleNamespace(topic_path=lambda topic: f"projects/p/topics/{topic}")
    send = PubSubSender(client, provisioner, carry_keys=True, meter=meter)
    assert await send("db-change", [SMALL, LARGE]) == ["1", "2"]
    with pytest.raises((ConnectionError, BusUnavailable)):
        await send("db-change", [SMALL])
    assert (meter.requests, meter.published, meter.published_bytes) == (1, 2, size(SMALL) + size(LARGE))
    registry = registry_of(lambda: pubsub_metrics(meter))
    assert registry.get_sample_value("drasi_pubsub_messages_published_total") == 2
    assert registry.get_sample_value("drasi_pubsub_billed_bytes_total", {"direction": "publish"}) == meter.published_billed
