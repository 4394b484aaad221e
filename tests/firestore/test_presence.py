from __future__ import annotations

import asyncio

import pytest

from drasi.firestore.presence import Presence, StateLost
from tests.container.support import until
from tests.emulator.emulators import Emulator
from tests.emulator.place import firestore


async def test_an_emptied_database_is_noticed() -> None:
    async with firestore() as place:
        lost: asyncio.Future[StateLost] = asyncio.get_running_loop().create_future()
        first = Presence(place.client, place.root, watch_s=0.01, lost=lost.set_result)
        second = Presence(place.client, place.root, watch_s=0.01)
        await asyncio.gather(first.start(), second.start())
        place.client.guard = None
        place.meter.reset()
        await until(lambda: place.meter.reads >= 4)
        assert first.problem is None
        await place.client.commit([place.client.delete(place.root)])
        # Somebody begins anew before it is looked at, or after.
        third = Presence(place.client, place.root, watch_s=0.01)
        await third.start()
        problem = await asyncio.wait_for(lost, 10)
        assert problem.code == "LogLost"
        assert "apply the resources again" in problem.hint
        for presence in (first, second, third):
            await presence.close()
        assert third.problem is None


async def test_a_database_that_does_not_answer_is_not_lost() -> None:
    async with firestore() as place:
        presence = Presence(place.client, place.root, watch_s=0.01)
        await presence.start()
        place.client.deadline_s = 1e-6
        place.meter.reset()
        await until(lambda: place.meter.calls.total() >= 3)
        assert presence.problem is None
        await presence.close()


async def test_a_commit_over_a_connection_that_held_costs_no_reading() -> None:
    async with firestore() as place:
        presence = Presence(place.client, place.root, watch_s=1000)
        await presence.start()
        place.meter.reset()
        for number in range(3):
            await place.client.commit([place.client.set(f"{place.root}/things/one", {"number": number})])
        assert (place.meter.reads, place.meter.writes) == (0, 3)
        await presence.close()


async def test_nothing_is_written_into_the_empty_database_that_came_back() -> None:
    emulator = Emulator("firestore")
    emulator.start()
    try:
        async with firestore(emulator.host, patience_s=30) as place, firestore(emulator.host, patience_s=30) as other:
            presence = Presence(place.client, place.root, watch_s=1000)
            await presence.start()
            await place.client.commit([place.client.set(f"{place.root}/things/one", {"number": 1})])
            emulator.stop()
            emulator.start()
            with pytest.raises(StateLost):
                await place.client.commit([place.client.set(f"{place.root}/things/one", {"number": 2})])
            with pytest.raises(StateLost):
                await place.client.commit([place.client.create(f"{place.root}/things/two", {"number": 2})], once=True)
            assert await other.client.ids(f"{place.root}/things", limit=1) == []
            await presence.close()
    finally:
        emulator.stop()


async def test_silence_is_said_and_no_loss() -> None:
    emulator = Emulator("firestore")
    emulator.start()
    try:
        async with firestore(emulator.host) as place:
            presence = Presence(place.client, place.root, watch_s=0.01, silence_s=0.1)
            await presence.start()
            emulator.pause()
            await until(lambda: presence.trouble is not None)
            assert "has not answered for 0.1 s" in str(presence.trouble)
            emulator.resume()
            await until(lambda: presence.trouble is None)
            assert presence.problem is None
            await presence.close()
    finally:
        emulator.stop()
