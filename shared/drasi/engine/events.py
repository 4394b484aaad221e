"""Differences → the wire form of result events (wire.md section 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from drasi.engine.identity import row_id
from drasi.engine.results import Diff
from drasi.values.json import to_wire

_encode = msgspec.json.Encoder().encode
_PLAIN = frozenset({int, str, bool, type(None)})


class _Updated(msgspec.Struct, omit_defaults=True, gc=False):
    before: dict[str, Any]
    after: dict[str, Any]
    groupingKeys: tuple[str, ...] | None = None  # noqa: N815 -- the wire's name
    rowId: str = ""  # noqa: N815


class _Event(msgspec.Struct, tag_field="kind", tag="change", gc=False):
    queryId: str  # noqa: N815
    sequence: int
    sourceTimeMs: int  # noqa: N815
    addedResults: list[dict[str, Any]]  # noqa: N815
    addedRowIds: list[str]  # noqa: N815
    updatedResults: list[_Updated]  # noqa: N815
    deletedResults: list[dict[str, Any]]  # noqa: N815
    deletedRowIds: list[str]  # noqa: N815


def encode_event(diff: Diff, query_id: str, sequence: int) -> bytes:
    """The JSON of a ``change`` event.

    Args:
        diff: What changed; its rows are in the order of their ids, so equal differences have equal bytes.
        query_id: Whose answer.
        sequence: The event's number.
    """
    shape = diff.shape
    row = shape.wire
    if row is None:
        row = shape.wire = _wire_row(shape.columns)
    text = shape.text
    changes = diff.changes
    if len(changes) == 1:
        # Most differences are one row that was updated.
        ((identity, before, after),) = changes
        if before is not None and after is not None:
            updated = _Updated(row(before), row(after), shape.grouping_keys, row_id(text(identity)))
            return _encode(_Event(query_id, sequence, diff.time, [], [], [updated], [], []))
    event = _Event(query_id, sequence, diff.time, [], [], [], [], [])
    for identity, before, after in changes:
        name = row_id(text(identity))
        if before is None:
            assert after is not None
            event.addedResults.append(row(after))
            event.addedRowIds.append(name)
        elif after is None:
            event.deletedResults.append(row(before))
            event.deletedRowIds.append(name)
        else:
            event.updatedResults.append(_Updated(row(before), row(after), shape.grouping_keys, name))
    return _encode(event)


def _wire_row(columns: tuple[str, ...]) -> Callable[[tuple[Any, ...]], dict[str, Any]]:
    """Makes a row as the encoder takes it."""
    entries = ", ".join(f"{name!r}: v{i}" for i, name in enumerate(columns))
    lines = ["def row(values):", "    " + "".join(f"v{i}, " for i in range(len(columns))) + "= values"]
    for i in range(len(columns)):
        lines += [
            f"    kind = v{i}.__class__",
            f"    if kind not in PLAIN and (kind is not float or v{i} - v{i} != 0.0): v{i} = to_wire(v{i})",
        ]
    space: dict[str, Any] = {"PLAIN": _PLAIN, "to_wire": to_wire}
    exec("\n".join([*lines, f"    return {{{entries}}}"]), space)  # noqa: S102 -- our own text
    maker: Callable[[tuple[Any, ...]], dict[str, Any]] = space["row"]
    return maker
