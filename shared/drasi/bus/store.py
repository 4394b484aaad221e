"""The bus's tables in the state file: durable subscriptions, and the messages they hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from drasi.messages.envelope import Message

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bus_subscriptions (name TEXT PRIMARY KEY, topic TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bus_messages (
  subscription TEXT NOT NULL, key TEXT NOT NULL, sequence INTEGER NOT NULL,
  id TEXT NOT NULL, published TEXT NOT NULL, attributes BLOB NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (subscription, key, sequence)
) WITHOUT ROWID;
"""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class Held:
    """What one subscription holds under one key."""

    subscription: str
    key: str
    count: int
    last: int
    oldest: str


def prepare(connection: sqlite3.Connection) -> tuple[list[tuple[str, str]], list[Held]]:
    """Makes the tables if need be; returns the durable subscriptions with their topics, and what they hold."""
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    subscriptions = connection.execute("SELECT name, topic FROM bus_subscriptions ORDER BY name").fetchall()
    held = connection.execute(
        "SELECT subscription, key, count(*), max(sequence), min(published) FROM bus_messages GROUP BY subscription, key"
    )
    return subscriptions, [Held(*row) for row in held]


def add_subscription(connection: sqlite3.Connection, name: str, topic: str) -> None:
    connection.execute("INSERT OR REPLACE INTO bus_subscriptions VALUES (?, ?)", (name, topic))


def remove_subscription(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM bus_messages WHERE subscription = ?", (name,))
    connection.execute("DELETE FROM bus_subscriptions WHERE name = ?", (name,))


def store(connection: sqlite3.Connection, subscription: str, messages: Iterable[tuple[int, Message]]) -> None:
    connection.executemany(
        "INSERT INTO bus_messages VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (subscription, m.ordering_key, sequence, m.message_id, m.publish_time, _encode(m.attributes), m.data)
            for sequence, m in messages
        ),
    )


def load(
    connection: sqlite3.Connection, subscription: str, key: str, after: int, most: int, most_bytes: int
) -> tuple[Sequence[tuple[int, Message]], bool]:
    """The messages after ``after``, at most ``most`` and about ``most_bytes``, and whether there are more."""
    found: list[tuple[int, Message]] = []
    size = 0
    rows = connection.execute(
        "SELECT sequence, id, published, attributes, data FROM bus_messages "
        "WHERE subscription = ? AND key = ? AND sequence > ? ORDER BY sequence",
        (subscription, key, after),
    )
    for sequence, message_id, published, attributes, data in rows:
        if len(found) == most or (found and size + len(data) > most_bytes):
            rows.close()
            return found, True
        found.append((sequence, Message(data, _decode(attributes), key, message_id, published)))
        size += len(data)
    return found, False


def forget(connection: sqlite3.Connection, acknowledged: Mapping[tuple[str, str], int]) -> None:
    """Removes what was acknowledged: per subscription and key everything up to a sequence."""
    connection.executemany(
        "DELETE FROM bus_messages WHERE subscription = ? AND key = ? AND sequence <= ?",
        ((subscription, key, sequence) for (subscription, key), sequence in acknowledged.items()),
    )
