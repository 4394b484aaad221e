"""An event is one transaction: its rows' commands, and the note that it is done."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from starlette.routing import BaseRoute

from drasi.messages.results import ChangeEvent, ResultEvent
from drasi.reactions.port import Confirm, DeliveryFailed, ReactionContext
from drasi.reactions.rows import RowChange, context, row_changes
from drasi.reactions.storedproc import commands
from drasi.reactions.storedproc.command import Command
from drasi.templates import RenderError

logger = logging.getLogger("drasi.reactions.storedproc")

_CONNECT_S = 10
_TABLE = (
    "CREATE TABLE IF NOT EXISTS drasi_reaction_state (reaction text, query text, sequence bigint NOT NULL, event text NOT NULL,"
    " PRIMARY KEY (reaction, query))"
)
_RECALL = "SELECT sequence, event FROM drasi_reaction_state WHERE reaction = %s AND query = %s FOR UPDATE"
_RESERVE = "INSERT INTO drasi_reaction_state VALUES (%s, %s, -1, '') ON CONFLICT DO NOTHING"
_NOTE = "UPDATE drasi_reaction_state SET sequence = %s, event = %s WHERE reaction = %s AND query = %s"

_FORGET = "DELETE FROM drasi_reaction_state WHERE reaction = %s AND query = %s"

Connection = AsyncConnection[TupleRow]


class StoredProcReaction:
    """Commands of a PostgreSQL database.

    The table ``drasi_reaction_state`` holds the last event that was done, written in the transaction of its rows: an event that
    comes again does nothing. Where the table is not there and may not be made, an event whose confirmation was lost is done twice.
    Messages hold no values of rows.
    """

    delivers = True

    def __init__(self, given: ReactionContext, target: Mapping[str, Any]) -> None:
        properties = given.properties
        self._id = given.id
        self._report = given.report
        self._target = target
        self._timeout_ms = int(properties.get("commandTimeoutMs") or 30_000)
        self._commands = {query_id: commands.of_query(query_id, given.queries, properties) for query_id in given.queries}
        self._connections: dict[str, Connection] = {}
        self._noted: bool | None = None

    async def start(self) -> None:
        """The database is reached with the first event."""

    def notice(self, query_id: str, events: bytes) -> None:
        """It delivers."""

    def routes(self) -> Sequence[BaseRoute]:
        return ()

    async def close(self) -> None:
        while self._connections:
            _, connection = self._connections.popitem()
            await connection.close()

    async def forget(self, query_id: str) -> None:
        """The reaction, or this query of it, is deleted: whoever has its name later begins anew.

        Raises:
            DeliveryFailed
        """
        try:
            connection = await self._connected(query_id)
            if self._noted:
                await connection.execute(_FORGET, (self._id, query_id))
        except psycopg.Error as error:
            raise _failed(error, f"the database {self._target['host']}") from None
        finally:
            await self.close()

    async def deliver(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm) -> None:
        if not isinstance(event, ChangeEvent):
            return
        held = self._commands[query_id]
        changes = list(row_changes(event))
        left = [change for change in changes if change.row_id not in done]
        wanted = [(change, held[change.entry]) for change in left if change.entry in held]
        if wanted:
            try:
                await self._transaction(query_id, event, changes, wanted)
            except psycopg.Error as error:
                raise _failed(error, f"the database {self._target['host']}") from None
        for change in left:
            confirm(change.row_id)

    async def _transaction(
        self, query_id: str, event: ChangeEvent, changes: Sequence[RowChange], wanted: Sequence[tuple[RowChange, Command]]
    ) -> None:
        connection = await self._connected(query_id)
        key = (self._id, query_id)
        name = _name_of(changes)
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = {self._timeout_ms}".encode())
            if self._noted:
                await connection.execute(_RESERVE, key)
                row = await (await connection.execute(_RECALL, key)).fetchone()
                assert row is not None
                sequence, last = row
                # The parts of a snapshot have one sequence: only the same part again is done already.
                if sequence > event.sequence or (sequence == event.sequence and last == name):
                    return
            for change, command in wanted:
                await self._run(connection, event, change, command)
            if self._noted:
                await connection.execute(_NOTE, (event.sequence, name, *key))

    async def _run(self, connection: Connection, event: ChangeEvent, change: RowChange, command: Command) -> None:
        try:
            statement = command.statement(context(self._id, event, change))
        except RenderError as error:
            what = f"the command for {change.entry} rows cannot be rendered: {error.message}"
            raise DeliveryFailed(what, retryable=False, row_id=change.row_id) from None
        try:
            # Binary, though nobody reads the result: so the protocol of single statements is used with no parameters, too.
            await connection.execute(statement.text.encode(), statement.parameters, binary=True)
        except psycopg.Error as error:
            raise _failed(error, f"the command for {change.entry} rows", change.row_id) from None

    async def _connected(self, query_id: str) -> Connection:
        """A connection for each query: none waits for another's commands."""
        connection = self._connections.get(query_id)
        if connection is not None and not (connection.closed or connection.broken):
            return connection
        try:
            connection = await AsyncConnection.connect(
                **self._target,
                application_name=f"drasi {self._id}",
                connect_timeout=_CONNECT_S,
                client_encoding="UTF8",
                autocommit=True,
                prepare_threshold=None,
            )
        except psycopg.Error as error:
            why = str(error).strip().splitlines()[-1].rpartition("FATAL:")[2].strip()
            raise DeliveryFailed(f"cannot reach the database: {why}", retryable=True) from None
        try:
            if not self._noted:
                self._noted = await self._has_table(connection)
        except (psycopg.Error, asyncio.CancelledError):
            await connection.close()
            raise
        self._connections[query_id] = connection
        return connection

    async def _has_table(self, connection: Connection) -> bool:
        row = await (await connection.execute("SELECT to_regclass('drasi_reaction_state') IS NULL")).fetchone()
        if row == (True,):
            try:
                await connection.execute(_TABLE)
            except psycopg.errors.InsufficientPrivilege:
                self._report(
                    "NotAllowed",
                    f"events may be done twice after a failure, until somebody runs: {_TABLE.replace(' IF NOT EXISTS', '')}",
                )
                return False
        self._report("NotAllowed", None)
        return True


def _name_of(changes: Sequence[RowChange]) -> str:
    """The same for the same rows, and no others."""
    digest = hashlib.blake2b(digest_size=12)
    for change in changes:
        digest.update(f"{change.op}{change.row_id}\n".encode())
    return digest.hexdigest()


def _failed(error: psycopg.Error, what: str, row_id: str | None = None) -> DeliveryFailed:
    """What the failure means. Only messages about the command itself are shown: others may hold values."""
    state = error.sqlstate or ""
    # Without a state the connection broke, unless it is a value that the client itself refuses (a NUL character in a text).
    passing = (
        (not state and not isinstance(error, psycopg.DataError))
        or state[:2] in ("08", "40", "53", "57", "58")
        or state in ("55P03", "25006")
    )
    shown = error.diag.message_primary if state[:2] in ("42", "28", "3D") else None
    text = f"{what}: {type(error).__name__}" + (f" ({state})" if state else "") + (f": {shown}" if shown else "")
    hint = "a procedure that is called here must not end the transaction" if state == "2D000" else ""
    return DeliveryFailed(text, retryable=passing, row_id=row_id, hint=hint)
