"""The messages of the output plugin ``pgoutput``, protocol version 1, with values as text.

A transaction is ``Begin``, its rows, ``Commit``; transactions come whole and in the order of their commits. A table is described by
a ``Table`` message before its first row in every reading.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal

_EPOCH_US = 946_684_800_000_000
"""PostgreSQL counts microseconds from 2000-01-01."""

_begin = struct.Struct("!qqI").unpack_from
_commit = struct.Struct("!Bqqq").unpack_from
_int32 = struct.Struct("!I").unpack_from
_int16 = struct.Struct("!H").unpack_from
_attribute = struct.Struct("!Ii").unpack_from
_truncate = struct.Struct("!IB").unpack_from


class Unchanged:
    """The value of a large column that an update did not touch: the log does not hold it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged()

Value = bytes | None | Unchanged
Row = list[Value]


@dataclass(frozen=True, slots=True)
class Begin:
    """``lsn``: where the transaction's commit record begins; what positions are made of, with ``shift`` added."""

    lsn: int
    time_ns: int
    xid: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """``end``: just behind the commit record."""

    lsn: int
    end: int


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: int
    modifier: int


@dataclass(frozen=True, slots=True)
class Table:
    """How a table looked when the rows that follow were written."""

    id: int
    schema: str
    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A row written or deleted. ``old``: the row before, as far as the log holds it; of an update only if it holds it."""

    op: Literal["i", "u", "d"]
    table: int
    old: Row | None
    new: Row | None


@dataclass(frozen=True, slots=True)
class Truncate:
    tables: tuple[int, ...]


Message = Begin | Commit | Table | Change | Truncate


class UnknownMessage(ValueError):
    """Not a message of this protocol."""


def decode(data: bytes) -> Message | None:
    """One message; None for those that say nothing about rows (origins, type names, logical messages).

    Raises:
        UnknownMessage: Of a kind that this protocol version does not have.
    """
    kind = data[:1]
    if kind == b"I":
        return Change("i", _int32(data, 1)[0], None, _row(data, 6)[0])
    if kind == b"U":
        old = None
        at = 5
        if data[at : at + 1] in (b"K", b"O"):
            old, at = _row(data, at + 1)
        return Change("u", _int32(data, 1)[0], old, _row(data, at + 1)[0])
    if kind == b"D":
        return Change("d", _int32(data, 1)[0], _row(data, 6)[0], None)
    if kind == b"B":
        lsn, time_us, xid = _begin(data, 1)
        return Begin(lsn, (time_us + _EPOCH_US) * 1_000, xid)
    if kind == b"C":
        _, lsn, end, _ = _commit(data, 1)
        return Commit(lsn, end)
    if kind == b"R":
        return _table(data)
    if kind == b"T":
        count, _ = _truncate(data, 1)
        return Truncate(struct.unpack_from(f"!{count}I", data, 6))
    if kind in (b"O", b"Y", b"M"):
        return None
    raise UnknownMessage(f"pgoutput sent a message of the unknown kind {kind!r}")


def _row(data: bytes, at: int) -> tuple[Row, int]:
    """The row that begins at ``at``, and where it ends."""
    (count,) = _int16(data, at)
    at += 2
    row: Row = []
    for _ in range(count):
        kind = data[at]
        at += 1
        if kind == 0x74:  # t
            (length,) = _int32(data, at)
            at += 4
            row.append(data[at : at + length])
            at += length
        elif kind == 0x6E:  # n
            row.append(None)
        elif kind == 0x75:  # u
            row.append(UNCHANGED)
        else:
            raise UnknownMessage(f"pgoutput sent a value of the unknown kind {chr(kind)!r}")
    return row, at


def _table(data: bytes) -> Table:
    (number,) = _int32(data, 1)
    schema, at = _text(data, 5)
    name, at = _text(data, at)
    (count,) = _int16(data, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        column, at = _text(data, at + 1)
        columns.append(Column(column, *_attribute(data, at)))
        at += 8
    return Table(number, schema or "pg_catalog", name, tuple(columns))


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(0, at)
    return data[at:end].decode(), end + 1
