"""The kind ``SQLite``."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec
from starlette.routing import BaseRoute

from drasi.errors import DrasiError
from drasi.messages.changes import Origin as ChangeOrigin
from drasi.messages.changes import Payload, SourceChange
from drasi.sources.pauses import Pauses
from drasi.sources.port import SnapshotEnd, SnapshotHeader, SnapshotLine, SnapshotRequest, SourceContext, SourceKind
from drasi.sources.relational import RELATIONAL, Problems, wanted
from drasi.sources.sqlite import snapshot
from drasi.sources.sqlite.mapping import position_after, position_text
from drasi.sources.sqlite.origin import Batch, Configuration, Origin, Position, Replaced

T = TypeVar("T")

_STATE = "position"
_DECIMALS = "decimals"
_decode = msgspec.json.Decoder(Position).decode


class SQLiteSource:
    """Watches one database file.

    A crash between publication and the state repeats the same changes with the same positions; a crash between the state and the
    database repeats nothing, and what the state says is published is removed with the next.
    """

    def __init__(self, context: SourceContext) -> None:
        self._context = context
        self._configuration = _configuration(context)
        self._poll_s = context.schedule_s or context.properties.get("pollIntervalMs", 200) / 1_000
        self._origin = Origin(self._configuration)
        self._stored: str | None = None
        self._position = Position(0, "", [])
        self._mark: str | None = None
        self._pauses = Pauses(context.sleep)
        self._moved = asyncio.Condition()
        self._problems = Problems(context.report)
        self._failures = 0
        self._closed = False
        self._unsettled = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"drasi-sqlite {context.id}")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"drasi-sqlite-snapshot {context.id}")

    async def start(self) -> None:
        self._stored = await self._context.state.get(_STATE)
        stored = _decode(self._stored) if self._stored is not None else None
        installed = await self._in_thread(lambda: self._origin.install(stored))
        self._problems.show(installed.problems)
        if installed.lost is not None:
            self._context.report("PositionLost", f"{installed.lost}; queries read it again")
            # Asked for before the new position is kept: a crash in between asks once more.
            await self._context.renew(installed.lost)
        await self._see_how_decimals_are_written(stored is not None and installed.lost is None)
        if installed.position != stored:
            await self._keep(installed.position)
        self._position = installed.position
        self._mark = None
        self._unsettled = False
        self._context.report("PositionLost", None)
        await self._tell()

    async def _see_how_decimals_are_written(self, known: bool) -> None:
        decimals, before = self._configuration.decimals, await self._context.state.get(_DECIMALS)
        if before == decimals:
            return
        if known and before is not None:
            await self._context.renew(f"decimals are written as {decimals}")
        await self._context.state.put(_DECIMALS, decimals, expected=before)

    async def run(self) -> None:
        while True:
            try:
                if not await self._step():
                    await self._pauses.pause(self._poll_s)
                if self._failures:
                    self._failures = 0
                    for code in ("OriginUnavailable", "BusUnavailable", "StateUnavailable"):
                        self._context.report(code, None)
            except Replaced:
                await self.start()
            except DrasiError as error:
                if not error.retryable:
                    raise
                self._failures += 1
                self._context.report(error.code, error.message + (f"; {error.hint}" if error.hint else ""))
                await self._pauses.after(self._failures)

    async def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        now = self._context.now_ns()
        part = await asyncio.get_running_loop().run_in_executor(self._reader, snapshot.read_part, self._configuration, request)
        if part.nulls:
            self._context.report("NullKey", f"{part.nulls} rows have NULL in their key and are left out of the snapshot")
        yield SnapshotHeader(position_after(part.position), now)
        for element in part.elements:
            yield element
        yield SnapshotEnd(len(part.elements), part.cursor)

    async def mark(self) -> SourceChange | None:
        """Waits until what is captured now is published."""
        newest = await asyncio.get_running_loop().run_in_executor(self._reader, snapshot.newest, self._configuration)
        self.wake()
        async with self._moved:
            await self._moved.wait_for(lambda: self._position.position >= newest)
        origin = ChangeOrigin(self._context.id, "node", self._context.now_ns(), newest, position=position_after(newest))
        return SourceChange("u", Payload(origin))

    def wake(self) -> None:
        self._pauses.wake()

    def routes(self) -> Sequence[BaseRoute]:
        return ()

    async def deprovision(self) -> None:
        await self._in_thread(self._origin.remove)
        self._unsettled = False

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._origin.interrupt()
        if self._unsettled and self._origin.is_open:
            stored = self._position
            with contextlib.suppress(DrasiError, Replaced):
                await self._in_thread(lambda: self._origin.settle(stored))
        await self._in_thread(self._origin.close)
        for executor in (self._writer, self._reader):
            await asyncio.to_thread(executor.shutdown)

    async def _step(self) -> bool:
        """One poll and what follows from it; whether more is waiting."""
        stored, now = self._position, self._context.now_ns()
        if self._mark is not None:
            stored = msgspec.structs.replace(stored, marks=[self._mark])
        batch = await self._in_thread(lambda: self._origin.poll(stored, self._context.wanted, now))
        if batch is None:
            return False
        if batch.problems is not None:
            self._problems.show(batch.problems)
        await self._publish(batch)
        return batch.more

    async def _publish(self, batch: Batch) -> None:
        if batch.last == self._position.position:
            return
        for letter in batch.letters:
            await self._context.dead_letter(position_text(letter.number), letter.content, letter.error)
        if batch.changes:
            await self._context.publish(batch.changes)
        mark = secrets.token_hex(4)
        known = self._position.marks if self._mark is None else [self._mark]
        stored = Position(batch.last, self._position.token, [*known, mark], batch.digest)
        await self._keep(stored)
        await self._tell()
        if batch.more:
            text = "so many changes came at once that they are evaluated in parts, maybe inside a transaction"
            self._context.report("TransactionSplit", text)
        # Until this has succeeded for certain, the database may hold either mark.
        self._mark = None
        self._unsettled = True
        await self._in_thread(lambda: self._origin.settle(stored))
        self._mark = mark
        self._unsettled = False

    async def _keep(self, position: Position) -> None:
        value = msgspec.json.encode(position).decode()
        await self._context.state.put(_STATE, value, expected=self._stored)
        self._stored = value
        self._position = position

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)


def _configuration(context: SourceContext) -> Configuration:
    properties = context.properties
    return Configuration(
        source_id=context.id,
        path=Path(properties["path"]),
        wanted=wanted(properties),
        decimals=properties.get("decimals", "float"),
        page_size=properties.get("pageSize", 1_000),
        stop_when_lost=properties.get("onPositionLost", "rebootstrap") == "stop",
    )


KIND = SourceKind(
    name="SQLite",
    aliases=("sqlite",),
    schema={
        "type": "object",
        "required": ["path"],
        "properties": {
            "path": {"type": "string", "format": "path", "minLength": 1, "description": "The database file"},
            **RELATIONAL,
            "pollIntervalMs": {"type": "integer", "minimum": 1, "default": 200},
            "restApi": {"type": "object", "description": "Of Drasi Server; ignored"},
        },
    },
    make=SQLiteSource,
    defaults={"foreignKeys": "none", "decimals": "float", "pageSize": 1000, "pollIntervalMs": 200, "onPositionLost": "rebootstrap"},
    ignored=frozenset({"restApi"}),
)
