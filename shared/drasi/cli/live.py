"""``drasi watch``: the result as it changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from drasi.cli.api import Api, Refused, path_of
from drasi.cli.keys import pressed, waited
from drasi.cli.options import OK, Session
from drasi.cli.queries import not_found
from drasi.cli.tables import cell
from drasi.messages.results import ChangeEvent, ControlEvent, ResultEvent, Row, decode_event
from drasi.resources.resource import CONTINUOUS_QUERY

_MARKED_S = 1.5
_DRAW_S = 0.1


async def watch(session: Session, query: str, after: int | None) -> int:
    """A table on a terminal; elsewhere one unpacked notification a line (wire.md section 6)."""
    params = {"after": after} if after is not None else {}
    async with Api(session) as api:
        try:
            async with api.stream(f"{path_of(CONTINUOUS_QUERY, query)}/watch", **params) as lines:
                if session.on_terminal and session.output == "text":
                    await _draw(session, query, read_events(lines))
                else:
                    async for event in read_events(lines):
                        for notification in unpacked(event, int(time.time() * 1000)):
                            print(msgspec.json.encode(notification).decode(), flush=True)
        except Refused as error:
            raise not_found(error, query) from error
    return OK


async def read_events(lines: AsyncIterator[str]) -> AsyncIterator[ResultEvent]:
    """The events of a JSON array whose items stand on lines of their own."""
    async for line in lines:
        text = line.strip().lstrip("[,").rstrip(",]").strip()
        if text:
            yield decode_event(text)


def unpacked(event: ResultEvent, now_ms: int) -> Iterator[dict[str, Any]]:
    """One notification per row, in the order d, u, i; a control event is one."""
    source = {"queryId": event.queryId, "ts_ms": event.sourceTimeMs}
    if isinstance(event, ControlEvent):
        yield {"op": "x", "ts_ms": now_ms, "seq": event.sequence, "payload": {"source": source, "kind": event.controlSignal.kind}}
        return

    def notification(op: str, row_id: str, **rows: Row) -> dict[str, Any]:
        return {"op": op, "ts_ms": now_ms, "seq": event.sequence, "payload": {"source": source, **rows, "rowId": row_id}}

    for row, row_id in zip(event.deletedResults, event.deletedRowIds, strict=False):
        yield notification("d", row_id, before=row)
    for updated in event.updatedResults:
        if updated.before is None:
            yield notification("i", updated.rowId, after=updated.after)
        else:
            yield notification("u", updated.rowId, before=updated.before, after=updated.after)
    for row, row_id in zip(event.addedResults, event.addedRowIds, strict=False):
        yield notification("i", row_id, after=row)


class LiveRows:
    """The rows of a query by row id, and which of them changed lately."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.sequence = 0
        self.state = ""
        self.changed: dict[str, float] = {}

    def take(self, event: ResultEvent, now: float) -> None:
        """Applies one event."""
        self.sequence = event.sequence
        if isinstance(event, ChangeEvent):
            for row_id in event.deletedRowIds:
                self.rows.pop(row_id, None)
                self.changed.pop(row_id, None)
            for updated in event.updatedResults:
                self.rows[updated.rowId] = updated.after
                self.changed[updated.rowId] = now
            for row, row_id in zip(event.addedResults, event.addedRowIds, strict=False):
                self.rows[row_id] = row
                self.changed[row_id] = now
            return
        self.state = event.controlSignal.kind
        if self.state in ("bootstrapStarted", "deleted"):
            self.rows.clear()
            self.changed.clear()

    def columns(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows.values() for name in row))


async def _draw(session: Session, query: str, events: AsyncIterator[ResultEvent]) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    rows = LiveRows()

    def table() -> Table:
        now = time.monotonic()
        for row_id in [row_id for row_id, at in rows.changed.items() if now - at > _MARKED_S]:
            del rows.changed[row_id]
        state = f", {rows.state}" if rows.state not in ("", "running") else ""
        count = f"{len(rows.rows)} row{'' if len(rows.rows) == 1 else 's'}"
        drawn = Table(title=f"{query}: {count}, sequence {rows.sequence}{state}", caption="q quits", title_justify="left", box=None)
        columns = rows.columns()
        for name in columns:
            drawn.add_column(name, overflow="ellipsis", no_wrap=True)
        height = max(console.height - 5, 1)
        for row_id, row in list(rows.rows.items())[:height]:
            drawn.add_row(*(cell(row.get(name)) for name in columns), style="reverse" if row_id in rows.changed else "")
        if len(rows.rows) > height:
            drawn.caption = f"{len(rows.rows) - height} more rows; q quits"
        return drawn

    console = Console(no_color=not session.color)
    async with pressed("q") as quit_, asyncio.TaskGroup() as group:

        async def follow() -> None:
            async for event in events:
                rows.take(event, time.monotonic())
            quit_.set()

        following = group.create_task(follow())
        with Live(table(), console=console, auto_refresh=False, screen=True) as live:
            while not await waited(quit_, _DRAW_S):
                live.update(table(), refresh=True)
        following.cancel()
