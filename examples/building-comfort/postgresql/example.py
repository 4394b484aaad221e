"""The building-comfort example over PostgreSQL: the same buildings, sensors and panel, another database.

Where it is stands in PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

_spec = importlib.util.spec_from_file_location("drasi_building_comfort", Path(__file__).resolve().parents[1] / "example.py")
assert _spec is not None
assert _spec.loader is not None
world = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = world
_spec.loader.exec_module(world)

TABLES = ("Room", "Floor", "Building")


class Statements:
    """The statements as PostgreSQL takes them: it folds names that are not quoted, and the labels of the queries have capitals."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        return self._connection.execute(translated(statement).encode(), values)


def translated(statement: str) -> str:
    quoted = re.sub(rf"\b({'|'.join(TABLES)})\b", r'"\1"', statement)
    return quoted.replace("?", "%s").replace(" REAL", " DOUBLE PRECISION")


@contextmanager
def connect(state: Path) -> Iterator[Statements]:
    with psycopg.connect(autocommit=True) as connection:
        yield Statements(connection)


def setup(state: Path) -> None:
    """Makes the tables if they are not there yet, complete or not at all."""
    with psycopg.connect() as connection:
        [[found]] = connection.execute("SELECT to_regclass('public.\"Room\"') IS NOT NULL").fetchall()
        if found:
            return
        statements = Statements(connection)
        for statement in world.SCHEMA.split(";\n"):
            if statement.strip():
                statements.execute(statement)
        world.seed(statements)


def reset(state: Path) -> None:
    """Removes the tables."""
    with connect(state) as connection:
        connection.execute("DROP TABLE IF EXISTS Room, Floor, Building")


def where(state: Path) -> str:
    with psycopg.connect() as connection:
        return f"PostgreSQL {connection.info.host}:{connection.info.port}/{connection.info.dbname}"


world.connect = connect
world.where = where
world.UNAVAILABLE = (psycopg.OperationalError,)
drive = world.drive
routes = world.routes
