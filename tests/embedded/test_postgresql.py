"""The building-comfort example over a real PostgreSQL: from an UPDATE to the answers, and nothing left behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from drasi.embedded import EmbeddedSystem, manifests
from drasi.embedded.example import Example, find
from tests.embedded.facilities import DATABASE, EXAMPLE, QUERIES, answers, ordered
from tests.embedded.owner import owner
from tests.embedded.waiting import eventually
from tests.postgres import Server, postgres
from tests.web.served import serving

__all__ = ["postgres"]

FOLDER = EXAMPLE / "postgresql"


@pytest.fixture
def database(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the database that PGHOST and its like name."""
    name = postgres.new_database()
    given = {
        "HOST": postgres.host,
        "PORT": str(postgres.port),
        "DATABASE": name,
        "USER": postgres.superuser,
        "PASSWORD": postgres.password,
    }
    for variable, value in given.items():
        monkeypatch.setenv(f"PG{variable}", value)
    connection = postgres.connect(name)
    yield connection
    connection.close()
    postgres.drop_database(name)


def example() -> Example:
    found = find(FOLDER)
    assert found is not None
    assert found.page is not None
    return found


def copied(database: psycopg.Connection[Any], state: Path) -> dict[str, list[dict[str, Any]]]:
    """The answers, evaluated directly from a copy of the tables."""
    (state / DATABASE).unlink(missing_ok=True)
    copy = sqlite3.connect(state / DATABASE)
    for table in ("Building", "Floor", "Room"):
        cursor = database.execute(f'SELECT * FROM "{table}"'.encode())
        assert cursor.description is not None
        copy.execute(f"CREATE TABLE {table} ({', '.join(column.name for column in cursor.description)})")
        copy.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(cursor.description))})", cursor.fetchall())
    copy.commit()
    copy.close()
    return answers(state)


async def agree(client: httpx.AsyncClient, database: psycopg.Connection[Any], state: Path) -> None:
    wanted = copied(database, state)

    async def agreed() -> bool:
        for query in QUERIES:
            answer = await client.get(f"/queries/{query}")
            if answer.status_code != 200 or ordered([item["data"] for item in answer.json()[1:]]) != wanted[query]:
                return False
        return True

    await eventually(agreed, "the answers are those of the database")


async def test_the_example_over_postgresql(tmp_path: Path, database: psycopg.Connection[Any]) -> None:
    state = tmp_path / "state"
    state.mkdir()
    companion = example()
    await companion.setup(state)
    await companion.setup(state)
    system = EmbeddedSystem(state, page=companion.page, panel=companion.routes(state))
    async with system, serving(system.app) as client:
        client.headers.update(owner(state))
        outcomes = await system.apply(manifests.read(manifests.files([FOLDER])))
        assert {outcome.result for outcome in outcomes} == {"created"}, [outcome.errors for outcome in outcomes if outcome.errors]
        await agree(client, database, tmp_path)
        database.execute("""UPDATE "Room" SET temp = 90 WHERE id = 'room_02_01_03'""")
        await agree(client, database, tmp_path)
        database.execute("""UPDATE "Room" SET floor_id = 'floor_01_01' WHERE floor_id = 'floor_02_01'""")
        database.execute(
            """BEGIN; DELETE FROM "Room" WHERE floor_id = 'floor_03_01'; DELETE FROM "Floor" WHERE id = 'floor_03_01'; COMMIT"""
        )
        await agree(client, database, tmp_path)
        answer = await client.post("/panel/rooms/room_01_01_01/break-sensor")
        assert answer.status_code == 200, answer.text
        assert "world" in (await client.get("/panel/info")).json()["database"]
        await agree(client, database, tmp_path)
        status = (await client.get("/v1/sources/facilities")).json()["status"]
        assert status["available"] is True
        assert status["messages"] == {}
        slots = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
        assert database.execute(slots).fetchall() == [("rg_facilities",)]
        answer = await client.delete("/v1/sources/facilities", params={"force": "true"})
        assert answer.is_success, answer.text

        async def gone() -> bool:
            return database.execute(slots).fetchall() == []

        await eventually(gone, "the slot is removed with the source")
    await companion.reset(state)
    assert database.execute("SELECT to_regclass('public.\"Room\"')").fetchall() == [(None,)]
