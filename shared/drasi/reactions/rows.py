"""The rows of an event, one by one: their order, identity, and what templates see of them (wire.md sections 6 and 8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from drasi.messages.results import ChangeEvent, Row, UpdatedRow

Op = Literal["i", "u", "d"]

OPERATION: Final[dict[Op, str]] = {"i": "ADD", "u": "UPDATE", "d": "DELETE"}
ENTRY: Final[dict[Op, str]] = {"i": "added", "u": "updated", "d": "deleted"}
"""The member of a per-query configuration that is for the operation."""


@dataclass(frozen=True, slots=True)
class RowChange:
    op: Op
    row_id: str
    before: Row | None = None
    after: Row | None = None
    grouping_keys: list[str] | None = None

    @property
    def operation(self) -> str:
        return OPERATION[self.op]

    @property
    def entry(self) -> str:
        return ENTRY[self.op]


def row_changes(event: ChangeEvent) -> Iterator[RowChange]:
    """The rows in the order of delivery: d, u, i. Rows of foreign events, which carry no ids, get one from their place."""
    for index, row in enumerate(event.deletedResults):
        yield RowChange("d", _id(event.deletedRowIds, index, "d"), before=row)
    fresh: list[RowChange] = []
    for index, item in enumerate(event.updatedResults):
        row_id = item.rowId or f"u{index}"
        if item.before is None:
            fresh.append(RowChange("i", row_id, after=item.after))
        else:
            yield RowChange("u", row_id, item.before, item.after, item.groupingKeys)
    for index, row in enumerate(event.addedResults):
        yield RowChange("i", _id(event.addedRowIds, index, "i"), after=row)
    yield from fresh


def _id(ids: list[str], index: int, op: Op) -> str:
    return ids[index] if index < len(ids) else f"{op}{index}"


def idempotency_key(reaction_id: str, query_id: str, sequence: int, row_id: str) -> str:
    """The same on every retry of the same row, and of no other."""
    return f"{reaction_id}/{query_id}/{sequence}/{row_id}"


def context(reaction_id: str, event: ChangeEvent, change: RowChange) -> dict[str, Any]:
    """What templates and commands see of a row."""
    seen: dict[str, Any] = {
        "data": change.before if change.op == "d" else change.after,
        "queryId": event.queryId,
        "query_id": event.queryId,
        "query_name": event.queryId,
        "operation": change.operation,
        "sequence": event.sequence,
        "rowId": change.row_id,
        "timestamp": event.sourceTimeMs,
        "idempotencyKey": idempotency_key(reaction_id, event.queryId, event.sequence, change.row_id),
        "metadata": event.metadata or {},
    }
    if change.after is not None:
        seen["after"] = change.after
    if change.before is not None:
        seen["before"] = change.before
    if change.grouping_keys is not None:
        seen["groupingKeys"] = change.grouping_keys
    return seen


def alone(event: ChangeEvent, change: RowChange) -> bytes:
    """The event with this row only, as JSON."""
    single = ChangeEvent(event.queryId, event.sequence, event.sourceTimeMs, metadata=event.metadata)
    if change.op == "d":
        single.deletedResults, single.deletedRowIds = [change.before or {}], [change.row_id]
    elif change.op == "i":
        single.addedResults, single.addedRowIds = [change.after or {}], [change.row_id]
    else:
        single.updatedResults = [UpdatedRow(change.before, change.after or {}, change.row_id, change.grouping_keys)]
    return msgspec.json.encode(single)
