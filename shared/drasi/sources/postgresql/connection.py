"""Connections to the database: how it is reached, and what its refusals mean."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from drasi.errors import DrasiError
from drasi.sources.port import OriginUnavailable

Connection = AsyncConnection[TupleRow]

CONNECT_S = 10

# What values look like as text, in the stream and in a snapshot alike; and nothing of the server's own limits ends a long read.
_SESSION = (
    "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'UTC'; SET extra_float_digits = 1;"
    " SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmlbinary = 'base64'; SET search_path = pg_catalog;"
    " SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET row_security = off;"
    " SET jit = off; SET default_transaction_read_only = off; SET default_transaction_isolation = 'read committed'"
)
_SINCE = ((140_000, "; SET idle_session_timeout = 0"), (170_000, "; SET transaction_timeout = 0"))


class NotAllowed(DrasiError):
    """The database refuses something that an operator must allow; the hint names the statement."""

    code = "NotAllowed"
    retryable = True


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is. The password never appears in a text."""

    host: str
    port: int
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl_mode: str = "prefer"
    application: str = "drasi"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


def address_of(source_id: str, properties: Mapping[str, Any]) -> Address:
    mode = properties.get("sslMode")
    if mode is None:
        secure = properties.get("ssl")
        mode = "prefer" if secure is None else "require" if secure else "disable"
    return Address(
        host=str(properties["host"]),
        port=int(properties["port"]),
        database=str(properties["database"]),
        user=properties.get("user") or None,
        password=properties.get("password") or None,
        ssl_mode=str(mode),
        application=f"drasi {source_id}",
    )


async def connect(address: Address, *, replication: bool = False) -> Connection:
    """A connection in autocommit mode whose values are written as ``types`` reads them.

    Args:
        address: Where.
        replication: Whether it also takes the commands of the replication protocol.

    Raises:
        OriginUnavailable: The database cannot be reached, or lets nobody in.
        NotAllowed: The user may not replicate.
    """
    options: dict[str, Any] = {"replication": "database"} if replication else {}
    try:
        connection = await AsyncConnection.connect(
            host=address.host,
            port=address.port,
            dbname=address.database,
            user=address.user,
            password=address.password,
            sslmode=address.ssl_mode,
            application_name=address.application,
            connect_timeout=CONNECT_S,
            client_encoding="UTF8",
            autocommit=True,
            prepare_threshold=None,
            **options,
        )
    except psycopg.Error as error:
        raise refused(address, error) from None
    try:
        version = connection.info.server_version
        session = _SESSION + "".join(setting for since, setting in _SINCE if version >= since)
        await connection.execute(session.encode())
    except psycopg.Error as error:
        await connection.close()
        raise refused(address, error) from None
    except asyncio.CancelledError:
        await connection.close()
        raise
    return connection


async def system_of(connection: Connection) -> str:
    """Which database this is: of which installation, which there, and in which of its histories (which part as the last)."""
    cursor = await connection.execute(
        "SELECT system_identifier::text || '/' || d.oid::text || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
        " FROM pg_control_system(), pg_database d WHERE d.datname = current_database()"
    )
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


def statement(text: str, *names: str, **literals: object) -> sql.Composed:
    """SQL with identifiers for its ``{}`` and literals for its ``{name}``."""
    composed = sql.SQL(text)
    return composed.format(*map(sql.Identifier, names), **{name: sql.Literal(value) for name, value in literals.items()})


def refused(address: Address, error: psycopg.Error) -> DrasiError:
    """What an error of the database means to whoever reads the status."""
    state = error.sqlstate or ""
    # A refused connection has no state, only the server's words behind how it was tried.
    text = error.diag.message_primary or str(error).strip().splitlines()[-1].rpartition("FATAL:")[2].strip()
    user = address.user or "the user"
    if state == "42501" or "permission denied to start WAL sender" in text or "must be superuser or replication role" in text:
        if "replication" in text or "WAL sender" in text:
            return NotAllowed(f"{text} (in {address})", hint=f"run: ALTER ROLE {quoted(user)} REPLICATION")
        denied = re.fullmatch(r"permission denied for (table|schema|function) (.+)", text)
        right = {"table": "SELECT ON", "schema": "USAGE ON SCHEMA", "function": "EXECUTE ON FUNCTION"}
        hint = f"run: GRANT {right[denied[1]]} {quoted(denied[2])} TO {quoted(user)}" if denied else f"grant it to {user}"
        return NotAllowed(f"{text} (in {address})", hint=hint)
    if "replication slots are in use" in text:
        hint = "run: ALTER SYSTEM SET max_replication_slots = 20; then restart the server, or drop slots that nobody uses"
        return NotAllowed(f"{text} in {address}", hint=hint)
    if "max_wal_senders" in text:
        return NotAllowed(f"{text} in {address}", hint="run: ALTER SYSTEM SET max_wal_senders = 20; then restart the server")
    if state == "42602" and "slot name" in text:
        return NotAllowed(f"{text} (in {address})", hint="give slotName of lower-case letters, digits and _")
    if state == "22021":
        hint = "correct such values, or move the database to the encoding UTF8"
        return OriginUnavailable(f"a value in {address} is no text: {text}", hint=hint)
    if "pg_hba.conf" in text and "no encryption" in text:
        hint = "set sslMode: require (or prefer), or allow it in pg_hba.conf"
        return OriginUnavailable(f"{address} lets {user} not in: {text}", hint=hint)
    if "does not support SSL" in text:
        hint = "set sslMode: prefer (or disable), or run: ALTER SYSTEM SET ssl = on"
        return OriginUnavailable(f"{address} cannot be reached as sslMode: require wants it: {text}", hint=hint)
    if "pg_hba.conf" in text:
        return OriginUnavailable(f"{address} lets {user} not in: {text}", hint="allow it in pg_hba.conf")
    if state.startswith("28") or "authentication failed" in text or "no password supplied" in text:
        return OriginUnavailable(f"{address} lets {user} not in: {text}", hint="see that user and password are right")
    if state == "3D000" or (state == "" and text.startswith("database ") and text.endswith("does not exist")):
        return OriginUnavailable(f"{address}: {text}", hint="create it, or set the property database right")
    if state == "" and "FATAL:" not in str(error):
        return OriginUnavailable(f"cannot reach {address}: {text}", hint="see that it runs and that host and port are right")
    return OriginUnavailable(f"{address}: {text}" + (f" ({state})" if state else ""))


def quoted(name: str) -> str:
    """An identifier in a statement that is shown to a person: quoted where it must be."""
    plain = name.isidentifier() and name.isascii() and name == name.lower()
    return name if plain else '"' + name.replace('"', '""') + '"'
