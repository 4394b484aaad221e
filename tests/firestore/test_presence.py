from __future__ import annotations

import asyncio

from drasi.firestore.presence import Presence, StateLost
from tests.container.support import until
from tests.emulator.place import firestore


async def test_an_emptied_database_is_noticed() -> None:
    async with firestore() as place:
        lost: asyncio.Future[StateLost] = asyncio.get_running_loop().create_future()
        first = Presence(place.client, place.root, watch_s=0.01, lost=lost.set_result)
        second = Presence(place.client, place.root, watch_s=0.01)
        await asyncio.gather(first.start(), second.start())
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
