"""Somebody removes the replication slot under a running source: what it held is lost, and everything is right again by itself."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

from tests.embedded.waiting import eventually
from tests.emulator.course import course, until
from tests.emulator.harbour import Harbour, PostgresDatabase, harbour
from tests.postgres import Server, postgres

__all__ = ["postgres"]


async def test_the_slot_is_removed_under_the_source(tmp_path: Path, postgres: Server) -> None:
    said: list[str] = []
    try:
        async with harbour(tmp_path, said, postgres) as running, course(running, 17) as load:
            assert isinstance(running.database, PostgresDatabase)
            await until(lambda: all(len(seen) > 20 for seen in load.seen.values()), "changes come", 60)
            (source,) = running.system.fleet.of("source", "harbour-db")
            assert source.pid is not None
            # It hears of none of these, in no stream: rows that come, change and go.
            os.kill(source.pid, signal.SIGSTOP)
            await load.rest()
            running.database.write(
                [
                    "DELETE FROM Ship WHERE berth = 2",
                    "UPDATE Ship SET draught = 77 WHERE berth = 3",
                    "INSERT INTO Ship VALUES ('stranger', 2, 88)",
                ]
            )
            _drop(postgres)
            os.kill(source.pid, signal.SIGCONT)
            await load.settled()
            await until(lambda: all(_begun(seen) == 2 for seen in load.seen.values()), "queries say that they begin a second time")
            status = await _status(running)
            (warning,) = status["warnings"]
            assert warning["code"] == "PositionLost"
            assert "is gone; queries read it again" in warning["message"]
            assert (status["available"], status["messages"]) == (True, {})
            # And goes on.
            running.database.write(["UPDATE Ship SET draught = 99 WHERE id = 'stranger'"])
            await load.settled()
            for query, seen in load.seen.items():
                await eventually(partial(_whole, seen, running, query), "a reader sees every event", 30)
                assert sorted(seen) == list(range(min(seen), min(seen) + len(seen)))
    finally:
        print("\n".join(said[-200:]))


def _drop(server: Server) -> None:
    with server.connect() as connection:
        dropped = connection.execute(
            "SELECT slot_name, pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'rg_harbour_db'"
            " AND active_pid IS NULL"
        ).fetchall()
    assert len(dropped) == 1


def _begun(seen: dict[int, Any]) -> int:
    return sum(event.get("controlSignal", {}).get("kind") == "bootstrapStarted" for event in seen.values())


async def _whole(seen: dict[int, Any], running: Harbour, query: str) -> bool:
    """Whether the events that a reader has got make the answer of the rows there were before them."""
    tail = await running.tail(query)
    return [seen.get(event["sequence"]) for event in tail if event["sequence"] >= min(seen)] == [
        event for event in tail if event["sequence"] >= min(seen)
    ]


async def _status(running: Harbour) -> dict[str, Any]:
    answer = await running.client.get(f"{running.system.url}/v1/sources/harbour-db", headers=running.headers)
    assert answer.is_success, answer.text
    return dict(answer.json()["status"])
