"""What a change makes of an answer: rows and differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from drasi.engine.identity import row_id

Change = tuple[Any, tuple[Any, ...] | None, tuple[Any, ...] | None]
"""(identity, row before, row after) of the result."""


class Row(dict[str, Any]):
    """A row of the result: column → value. Its ``id`` is the same for its whole life, and in every process."""

    __slots__ = ("_identity",)

    _identity: Any
    # Of the query the row belongs to: each has a class of its own, made by Shape.
    _text: ClassVar[Any]

    @property
    def id(self) -> str:
        text: str = self._text(self._identity)
        return row_id(text)


class UpdatedRow(msgspec.Struct, frozen=True, gc=False):
    """A row that stays the same row and changed. ``grouping_keys``: columns that are keys, when the last projection aggregates."""

    before: Row
    after: Row
    grouping_keys: tuple[str, ...] | None


class Shape:
    """What all rows of a query have in common.

    Attributes:
        columns: Names, in order.
        grouping_keys: Columns that are grouping keys when the last projection aggregates, else None.
        text: The function identity → text that row ids are made of.
        row: Makes a row of (identity, values).
        wire: Makes a row for the JSON encoder, once somebody has asked for that.
    """

    __slots__ = ("columns", "grouping_keys", "row", "text", "wire")

    def __init__(self, columns: tuple[str, ...], grouping_keys: tuple[str, ...] | None, text: Callable[[Any], str]) -> None:
        self.columns = columns
        self.grouping_keys = grouping_keys
        self.text = text
        self.row = _row_maker(columns, text)
        self.wire: Any = None


def _row_maker(columns: tuple[str, ...], text: Callable[[Any], str]) -> Callable[[Any, Sequence[Any]], Row]:
    # A literal with constant keys is the fastest way to a dictionary.
    entries = ", ".join(f"{name!r}: values[{i}]" for i, name in enumerate(columns))
    source = f"def row(identity, values):\n    row = Row({{{entries}}})\n    row._identity = identity\n    return row\n"
    space: dict[str, Any] = {"Row": type("Row", (Row,), {"__slots__": (), "_text": staticmethod(text)})}
    exec(source, space)  # noqa: S102 -- our own text
    maker: Callable[[Any, Sequence[Any]], Row] = space["row"]
    return maker


class Diff(msgspec.Struct, gc=False):
    """The difference one cause made: rows added, updated, deleted, each list in the order of the row ids.

    Rows are made when they are first asked for.

    Attributes:
        shape: What the rows have in common.
        changes: The rows as tuples, in the order of the row ids: what the wire form is made from.
        time: Event time of the cause, in ms since the epoch.
    """

    shape: Shape
    changes: list[Change]
    time: int
    _rows: tuple[list[Row], list[UpdatedRow], list[Row]] | None = None

    @property
    def added(self) -> list[Row]:
        return (self._rows or self._make())[0]

    @property
    def updated(self) -> list[UpdatedRow]:
        return (self._rows or self._make())[1]

    @property
    def deleted(self) -> list[Row]:
        return (self._rows or self._make())[2]

    def _make(self) -> tuple[list[Row], list[UpdatedRow], list[Row]]:
        added: list[Row] = []
        updated: list[UpdatedRow] = []
        deleted: list[Row] = []
        row = self.shape.row
        keys = self.shape.grouping_keys
        for identity, before, after in self.changes:
            if before is None:
                assert after is not None
                added.append(row(identity, after))
            elif after is None:
                deleted.append(row(identity, before))
            else:
                updated.append(UpdatedRow(row(identity, before), row(identity, after), keys))
        self._rows = (added, updated, deleted)
        return self._rows

    def __repr__(self) -> str:
        return f"Diff(time={self.time}, added={self.added!r}, updated={self.updated!r}, deleted={self.deleted!r})"


def difference(shape: Shape, changes: list[Change], time: int) -> Diff:
    """The Diff of changes in any order."""
    if len(changes) > 1:
        text = shape.text
        changes.sort(key=lambda change: row_id(text(change[0])))
    return Diff(shape, changes, time)


class RowError(NamedTuple):
    """A row (or a group) that cannot be computed now and is therefore absent; it comes back by itself.

    Attributes:
        type: ``TypeError``, ``ArithmeticError`` … (the TCK's words).
        detail: ``InvalidArgumentValue``, ``DivisionByZero`` …
        message: What happened, for a person.
        elements: ``(source, id)`` of the elements of the row; empty for a row behind an aggregate.
    """

    type: str
    detail: str
    message: str
    elements: tuple[tuple[str, str], ...]
