"""Result events as JSON text (wire.md section 5), where the engine does not write them itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from drasi.messages.changes import SourceChange
from drasi.messages.results import ControlKind

Text = tuple[str, bytes]
"""A row: its id, and its columns as JSON."""

text = msgspec.json.Encoder().encode


class Event(NamedTuple):
    """One result event of one query."""

    query: str
    sequence: int
    data: bytes


def control_event(query: str, sequence: int, time_ms: int, kind: ControlKind) -> bytes:
    return b'{"kind":"control","queryId":%s,"sequence":%d,"sourceTimeMs":%d,"controlSignal":{"kind":"%s"}}' % (
        text(query),
        sequence,
        time_ms,
        kind.encode(),
    )


def rows_event(
    query: str,
    sequence: int,
    time_ms: int,
    *,
    added: Sequence[Text] = (),
    updated: Sequence[tuple[str, bytes, bytes]] = (),
    deleted: Sequence[Text] = (),
) -> bytes:
    """A ``change`` event of rows that are text already; ``updated`` are (row id, before, after)."""
    return (
        b'{"kind":"change","queryId":%s,"sequence":%d,"sourceTimeMs":%d,"addedResults":[%s],"updatedResults":[%s],'
        b'"deletedResults":[%s],"addedRowIds":%s,"deletedRowIds":%s}'
    ) % (
        text(query),
        sequence,
        time_ms,
        b",".join(row for _, row in added),
        b",".join(b'{"before":%s,"after":%s,"rowId":%s}' % (before, after, text(row_id)) for row_id, before, after in updated),
        b",".join(row for _, row in deleted),
        text([row_id for row_id, _ in added]),
        text([row_id for row_id, _ in deleted]),
    )


def tracking(change: SourceChange, enqueued_ns: int, dequeued_ns: int) -> bytes:
    """``metadata.tracking`` of the first change of a cause, as the end of an event: it comes last, and is no part of what replays
    are checked by."""
    source = change.payload.source
    position = b'"position":%b,' % text(source.position) if source.position is not None else b""
    return (
        b',"metadata":{"tracking":{"source":{"seq":%d,%b"source_ns":%d,"reactivatorStart_ns":%d,"reactivatorEnd_ns":%d},'
        b'"query":{"enqueue_ns":%d,"dequeue_ns":%d}}}}'
    ) % (
        source.lsn,
        position,
        source.ts_ns,
        change.reactivatorStart_ns,
        change.reactivatorEnd_ns,
        enqueued_ns,
        dequeued_ns,
    )


def difference(old: dict[str, bytes], new: Iterable[Text]) -> tuple[list[Text], list[tuple[str, bytes, bytes]], list[Text]]:
    """What was added, updated and deleted between two results, by row id, in the order of the ids."""
    now = dict(new)
    added = [(row_id, now[row_id]) for row_id in sorted(now.keys() - old.keys())]
    deleted = [(row_id, old[row_id]) for row_id in sorted(old.keys() - now.keys())]
    updated = [(row_id, old[row_id], now[row_id]) for row_id in sorted(now.keys() & old.keys()) if now[row_id] != old[row_id]]
    return added, updated, deleted
