"""What a change makes of an answer: rows and differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from drasi.engine.identity import row_id

Change = tuple[Any, tuple[Any, ...] | None, tuple[Any, ...] | None]
"""(identity, row before, row after) of the result."""


class Row(dict[str, Any]):
    """A row of the result: column → value. Its ``id`` is the same for its whole life, and in every process."""

    __slots__ = ("_identity", "_text")

    def __init__(self, columns: Iterable[tuple[str, Any]], identity: Any, text: Callable[[Any], str]) -> None:
        super().__init__(columns)
        self._identity = identity
        self._text = text

    @property
    def id(self) -> str:
        return row_id(self._text(self._identity))


class UpdatedRow(NamedTuple):
    """A row that stays the same row and changed. ``grouping_keys``: columns that are keys, when the last projection aggregates."""

    before: Row
    after: Row
    grouping_keys: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Shape:
    """What all rows of a query have in common."""

    columns: tuple[str, ...]
    grouping_keys: tuple[str, ...] | None
    text: Callable[[Any], str]

    def row(self, identity: Any, values: Sequence[Any]) -> Row:
        return Row(zip(self.columns, values, strict=True), identity, self.text)


class Diff:
    """The difference one cause made: rows added, updated, deleted, each list in the order of the row ids.

    Rows are made when they are first asked for.

    Attributes:
        time: Event time of the cause, in ms since the epoch.
    """

    __slots__ = ("_changes", "_rows", "_shape", "time")

    def __init__(self, shape: Shape, changes: list[Change], time: int) -> None:
        if len(changes) > 1:
            changes.sort(key=lambda change: row_id(shape.text(change[0])))
        self._shape = shape
        self._changes = changes
        self._rows: tuple[list[Row], list[UpdatedRow], list[Row]] | None = None
        self.time = time

    @property
    def added(self) -> list[Row]:
        return (self._rows or self._make())[0]

    @property
    def updated(self) -> list[UpdatedRow]:
        return (self._rows or self._make())[1]

    @property
    def deleted(self) -> list[Row]:
        return (self._rows or self._make())[2]

    @property
    def changes(self) -> list[Change]:
        """The rows as tuples, in the order of the row ids: what the wire form is made from."""
        return self._changes

    @property
    def shape(self) -> Shape:
        return self._shape

    def _make(self) -> tuple[list[Row], list[UpdatedRow], list[Row]]:
        added: list[Row] = []
        updated: list[UpdatedRow] = []
        deleted: list[Row] = []
        row = self._shape.row
        for identity, before, after in self._changes:
            if before is None:
                assert after is not None
                added.append(row(identity, after))
            elif after is None:
                deleted.append(row(identity, before))
            else:
                updated.append(UpdatedRow(row(identity, before), row(identity, after), self._shape.grouping_keys))
        self._rows = (added, updated, deleted)
        return self._rows

    def __repr__(self) -> str:
        return f"Diff(time={self.time}, added={self.added!r}, updated={self.updated!r}, deleted={self.deleted!r})"


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
