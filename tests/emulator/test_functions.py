"""Four kinds of functions, each in processes of its own, on Firestore and Pub/Sub: from a row in a database to an HTTP call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.embedded.waiting import eventually
from tests.emulator.course import kept, until
from tests.emulator.harbour import Harbour, harbour
from tests.postgres import Server, postgres

__all__ = ["postgres"]


async def test_a_row_changes_and_the_call_the_document_and_the_stream_come(tmp_path: Path, postgres: Server) -> None:
    said: list[str] = []
    try:
        async with harbour(tmp_path, said, postgres) as running:
            await _row_changes(running)
    finally:
        print("\n".join(said[-200:]))
    assert not [line for line in said if postgres.password in line]


async def _row_changes(running: Harbour) -> None:
    await eventually(running.agrees, "the answers are those of the database", 40)
    assert len({child.pid for child in running.system.fleet.children}) == 8
    notifications: list[dict[str, Any]] = []
    reading = asyncio.create_task(running.read_notifications(notifications))
    try:
        await until(lambda: any(one["op"] == "h" for one in notifications), "the stream begins with the rows")
        before = len(running.calls.calls)
        running.database.write(["UPDATE Ship SET draught = 99, berth = 3 WHERE id = 'ship-7'"])
        after = {"ship": "ship-7", "berth": 3, "draught": 99}
        await until(lambda: any(body.get("after") == after for _, body in running.calls.calls[before:]), "the call comes")
        await until(lambda: any(one["payload"].get("after") == after for one in notifications if one["op"] in "iu"), "the event")
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    await eventually(running.agrees, "the answers are those of the database", 40)
    await eventually(lambda: kept(running), "the collection is the answer", 40)
