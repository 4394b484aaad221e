"""Unpacked notifications: one message per row (wire.md section 6), put together from bytes so that a row is encoded once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from drasi.messages.results import ControlSignal, ResultEvent
from drasi.reactions.rows import Op

encode = msgspec.json.Encoder().encode


class RawUpdate(msgspec.Struct):
    """An item of ``updatedResults`` whose rows stay JSON."""

    after: msgspec.Raw
    before: msgspec.Raw = msgspec.Raw(b"null")
    rowId: str = ""  # noqa: N815 -- the wire's name


class RawEvent(msgspec.Struct):
    """A result event, change or control, whose rows stay JSON."""

    queryId: str  # noqa: N815
    sequence: int
    sourceTimeMs: int = 0  # noqa: N815
    addedResults: list[msgspec.Raw] = []  # noqa: N815
    updatedResults: list[RawUpdate] = []  # noqa: N815
    deletedResults: list[msgspec.Raw] = []  # noqa: N815
    addedRowIds: list[str] = []  # noqa: N815
    deletedRowIds: list[str] = []  # noqa: N815
    controlSignal: ControlSignal | None = None  # noqa: N815
    reference: str | None = None


class RawRow(NamedTuple):
    op: Op
    row_id: str
    before: bytes | None
    after: bytes | None


decode_raw_events = msgspec.json.Decoder(list[RawEvent]).decode


def raw_event(event: ResultEvent) -> RawEvent:
    """The same event with its rows as JSON."""
    return msgspec.json.decode(msgspec.json.encode(event), type=RawEvent)


def raw_rows(event: RawEvent) -> Iterator[RawRow]:
    """In the order of delivery: d, u, i."""
    for index, row in enumerate(event.deletedResults):
        yield RawRow("d", event.deletedRowIds[index] if index < len(event.deletedRowIds) else f"d{index}", one_line(row), None)
    fresh: list[RawRow] = []
    for index, item in enumerate(event.updatedResults):
        row_id = item.rowId or f"u{index}"
        before = one_line(item.before)
        if before == b"null":
            fresh.append(RawRow("i", row_id, None, one_line(item.after)))
        else:
            yield RawRow("u", row_id, before, one_line(item.after))
    for index, row in enumerate(event.addedResults):
        yield RawRow("i", event.addedRowIds[index] if index < len(event.addedRowIds) else f"i{index}", None, one_line(row))
    yield from fresh


def one_line(row: msgspec.Raw | bytes) -> bytes:
    """JSON without line breaks (a foreign publisher may indent)."""
    text = bytes(row)
    return msgspec.json.format(text, indent=-1) if b"\n" in text or b"\r" in text else text


def of_rows(event: RawEvent, now_ms: int) -> Iterator[tuple[RawRow, bytes]]:
    """The rows of a change event with their notifications ``d``, ``u``, ``i``."""
    head = b',"ts_ms":%d,"seq":%d,"payload":{"source":{"queryId":%b,"ts_ms":%d}' % (
        now_ms,
        event.sequence,
        encode(event.queryId),
        event.sourceTimeMs,
    )
    for row in raw_rows(event):
        _, row_id, before, after = row
        if before is None:
            yield row, b'{"op":"i"%b,"after":%b,"rowId":%b}}' % (head, after or b"null", encode(row_id))
        elif after is None:
            yield row, b'{"op":"d"%b,"before":%b,"rowId":%b}}' % (head, before, encode(row_id))
        else:
            yield row, b'{"op":"u"%b,"before":%b,"after":%b,"rowId":%b}}' % (head, before, after, encode(row_id))


def of_control(event: RawEvent, now_ms: int) -> bytes:
    """``x``."""
    kind = event.controlSignal.kind if event.controlSignal is not None else ""
    return b'{"op":"x","ts_ms":%d,"seq":%d,"payload":{"source":{"queryId":%b,"ts_ms":%d},"kind":%b}}' % (
        now_ms,
        event.sequence,
        encode(event.queryId),
        event.sourceTimeMs,
        encode(kind),
    )


def header(sequence: int, now_ms: int) -> bytes:
    """``h``: a result at ``sequence`` follows."""
    return b'{"op":"h","ts_ms":%d,"seq":%d}' % (now_ms, sequence)


def reload(query_id: str, source_ms: int, row: bytes, row_id: str, now_ms: int) -> bytes:
    """``r``: one row of that result."""
    return b'{"op":"r","ts_ms":%d,"payload":{"source":{"queryId":%b,"ts_ms":%d},"after":%b,"rowId":%b}}' % (
        now_ms,
        encode(query_id),
        source_ms,
        row,
        encode(row_id),
    )
