"""Result events as JSON text (wire.md section 5), where the engine does not write them itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from drasi.messages.changes import SourceChange
from drasi.messages.results import ControlKind

Text = tuple[str, bytes]
"""A row: its id, and its columns as JSON."""

text = msgspec.json.Encoder().encode


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


class _Source(msgspec.Struct, omit_defaults=True, gc=False):
    seq: int
    source_ns: int
    reactivatorStart_ns: int  # noqa: N815 -- the wire's name
    reactivatorEnd_ns: int  # noqa: N815
    position: str | None = None


class _Query(msgspec.Struct, gc=False):
    enqueue_ns: int
    dequeue_ns: int


class _Tracking(msgspec.Struct, gc=False):
    source: _Source
    query: _Query


def tracking(change: SourceChange, enqueued_ns: int, dequeued_ns: int) -> bytes:
    """``metadata.tracking`` of the first change of a cause, as the end of an event: it comes last, and is no part of what replays
    are checked by."""
    origin = change.payload.source
    source = _Source(origin.lsn, origin.ts_ns, change.reactivatorStart_ns, change.reactivatorEnd_ns, origin.position)
    return b',"metadata":{"tracking":%b}}' % text(_Tracking(source, _Query(enqueued_ns, dequeued_ns)))


def difference(old: dict[str, bytes], new: Iterable[Text]) -> tuple[list[Text], list[tuple[str, bytes, bytes]], list[Text]]:
    """What was added, updated and deleted between two results, by row id, in the order of the ids."""
    now = dict(new)
    added = [(row_id, now[row_id]) for row_id in sorted(now.keys() - old.keys())]
    deleted = [(row_id, old[row_id]) for row_id in sorted(old.keys() - now.keys())]
    updated = [(row_id, old[row_id], now[row_id]) for row_id in sorted(now.keys() & old.keys()) if now[row_id] != old[row_id]]
    return added, updated, deleted
