"""The embedded bus keeps the contract, and what only it promises: one file, few writes, refusals when the disk is full."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drasi.bus.embedded import EmbeddedBus
from drasi.bus.port import BusUnavailable
from drasi.messages.envelope import Message
from drasi.statefile import StateFile
from tests.bus.contract import BusContract, Receiver


class EmbeddedWorld:
    """A bus over a file. A crash copies the file as it is on disk and goes on with the copy."""

    bus: EmbeddedBus
    state: StateFile

    def __init__(self, directory: Path, patience_s: float) -> None:
        self.slept: list[float] = []
        self.directory = directory
        self.patience_s = patience_s
        self._opened: list[tuple[EmbeddedBus, StateFile]] = []

    async def open(self, path: Path) -> EmbeddedBus:
        self.state = await StateFile.open(path)
        self.bus = await EmbeddedBus.open(self.state, patience_s=self.patience_s, sleep=self._sleep, jitter=lambda: 1.0)
        self._opened.append((self.bus, self.state))
        return self.bus

    async def restart(self) -> EmbeddedBus:
        await self.bus.close()
        await self.state.close()
        return await self.open(self.state.path)

    async def crash(self) -> EmbeddedBus:
        copy = self.directory / f"{len(self._opened)}.db"
        # Behind every write under way, on the file's own thread: so the copy is what the disk holds.
        await self.state.read(lambda _: _copy(self.state.path, copy))
        return await self.open(copy)

    async def close(self) -> None:
        for bus, state in self._opened:
            await bus.close(drain_s=0.0)
            await state.close()

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


def _copy(path: Path, copy: Path) -> None:
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", f"{copy}{ending}")


@pytest.fixture(params=[0.02, 0.0], ids=["patient", "impatient"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[EmbeddedWorld]:
    made = EmbeddedWorld(tmp_path, request.param)
    await made.open(tmp_path / "first.db")
    yield made
    await made.close()


class TestEmbeddedBus(BusContract):
    pass


def rows(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        [count] = connection.execute("SELECT count(*) FROM bus_messages").fetchone()
    connection.close()
    return int(count)


async def test_a_quick_receiver_spares_the_write(tmp_path: Path) -> None:
    state = await StateFile.open(tmp_path / "state.db")
    bus = await EmbeddedBus.open(state, patience_s=60)
    receiver = Receiver()
    await bus.subscribe("s", "t", receiver)
    before = await state.read(lambda connection: connection.total_changes)
    for n in range(50):
        await bus.publish("t", str(n).encode(), ordering_key="k")
    assert await state.read(lambda connection: connection.total_changes) == before
    assert receiver.acknowledged == [str(n) for n in range(50)]
    await bus.close()
    await state.close()


async def test_acknowledged_messages_leave_the_file(world: EmbeddedWorld) -> None:
    receiver = Receiver(503)
    await world.bus.subscribe("s", "t", receiver)
    await asyncio.gather(*(world.bus.publish("t", str(n).encode(), ordering_key="k") for n in range(20)))
    await receiver.until(lambda: len(receiver.acknowledged) == 20)
    await world.restart()
    assert rows(world.state.path) == 0


async def test_a_full_disk_refuses_and_what_was_accepted_stays(world: EmbeddedWorld) -> None:
    stuck = Receiver()
    stuck.gate.clear()
    await world.bus.subscribe("s", "t", stuck)
    await world.state.read(lambda connection: connection.execute("PRAGMA max_page_count = 60").fetchone())
    accepted: list[str] = []

    async def publish_until_full() -> None:
        for n in range(1_000):
            await world.bus.publish("t", f"{n:05}".encode() * 500, ordering_key="k")
            accepted.append(f"{n:05}" * 500)

    with pytest.raises(BusUnavailable, match="full") as refused:
        await publish_until_full()
    assert "free some space" in refused.value.hint
    assert accepted
    await world.state.read(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchone())
    await world.bus.publish("t", b"last", ordering_key="k")
    stuck.gate.set()
    await stuck.until_acknowledged(*accepted, "last")
    assert list(dict.fromkeys(stuck.acknowledged)) == [*accepted, "last"]


async def test_while_the_disk_is_full_no_later_message_of_a_key_is_accepted_before_an_earlier_one(world: EmbeddedWorld) -> None:
    refusing = Receiver(*[503] * 1_000_000)
    await world.bus.subscribe("s", "t", refusing)
    await world.state.read(lambda connection: connection.execute("PRAGMA max_page_count = 40").fetchone())
    large = [world.bus.publish("t", b"x" * 200_000, ordering_key="k") for _ in range(3)]
    outcomes = await asyncio.gather(*large, world.bus.publish("t", b"small", ordering_key="k"), return_exceptions=True)
    assert all(isinstance(outcome, BusUnavailable) for outcome in outcomes)
    await world.bus.detach("s")
    assert rows(world.state.path) == 0


async def test_status_shows_the_oldest_message_and_why_it_waits(world: EmbeddedWorld) -> None:
    async def refuse(message: Message) -> int:
        failed.set()
        return 503

    failed = asyncio.Event()
    await world.bus.subscribe("s", "t", refuse)
    await world.bus.publish("t", b"1", ordering_key="k")
    await failed.wait()
    await world.bus.publish("t", b"2", ordering_key="k")
    status = world.bus.status()["s"]
    assert status.waiting == 2
    assert status.failures >= 1
    assert status.last_failure == "answered 503"
    assert status.oldest.endswith("Z")
    await world.bus.detach("s")
    bus = await world.crash()
    assert bus.status()["s"].waiting == 2
    assert bus.status()["s"].oldest == status.oldest


async def test_a_closed_bus_refuses(world: EmbeddedWorld) -> None:
    await world.bus.close()
    with pytest.raises(BusUnavailable, match="closed"):
        await world.bus.publish("t", b"1", ordering_key="k")


async def test_a_subscription_cannot_change_its_topic(world: EmbeddedWorld) -> None:
    await world.bus.subscribe("s", "t", Receiver())
    with pytest.raises(ValueError, match="exists on topic t"):
        await world.bus.subscribe("s", "other", Receiver())
