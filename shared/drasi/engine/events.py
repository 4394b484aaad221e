"""Differences → the wire form of result events (wire.md section 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from drasi.engine.identity import row_id
from drasi.engine.results import Diff, Shape
from drasi.values.json import to_wire

_encode = msgspec.json.Encoder().encode
_PLAIN = frozenset({int, str, bool, type(None)})


def encode_event(diff: Diff, query_id: str, sequence: int, metadata: bytes | None = None) -> bytes:
    """The JSON of a ``change`` event.

    Args:
        diff: What changed; its rows are in the order of their ids, so equal differences have equal bytes.
        query_id: Whose answer.
        sequence: The event's number.
        metadata: JSON of the event's ``metadata``, left out when None.
    """
    shape = diff.shape
    encoder = shape.encoder
    if encoder is None:
        encoder = shape.encoder = _RowEncoder(shape)
    added, added_ids, updated, deleted, deleted_ids = [], [], [], [], []
    for identity, before, after in diff.changes:
        name = encoder.id(identity)
        if before is None:
            assert after is not None
            added.append(encoder.row(after))
            added_ids.append(name)
        elif after is None:
            deleted.append(encoder.row(before))
            deleted_ids.append(name)
        else:
            updated.append(b'{"before":%b,"after":%b%b,"rowId":%b}' % (encoder.row(before), encoder.row(after), encoder.keys, name))
    return (
        b'{"kind":"change","queryId":%b,"sequence":%d,"sourceTimeMs":%d,"addedResults":[%b],"addedRowIds":[%b],'
        b'"updatedResults":[%b],"deletedResults":[%b],"deletedRowIds":[%b]%b}'
        % (
            _encode(query_id),
            sequence,
            diff.time,
            b",".join(added),
            b",".join(added_ids),
            b",".join(updated),
            b",".join(deleted),
            b",".join(deleted_ids),
            b"" if metadata is None else b',"metadata":' + metadata,
        )
    )


class _RowEncoder:
    """Rows of one query."""

    __slots__ = ("_columns", "_text", "keys")

    def __init__(self, shape: Shape) -> None:
        self._columns = shape.columns
        self._text: Callable[[Any], str] = shape.text
        keys = shape.grouping_keys
        self.keys = b"" if keys is None else b',"groupingKeys":' + _encode(keys)

    def id(self, identity: Any) -> bytes:
        return _encode(row_id(self._text(identity)))

    def row(self, values: tuple[Any, ...]) -> bytes:
        for value in values:
            kind = value.__class__
            if kind not in _PLAIN and not (kind is float and value - value == 0.0):
                values = tuple(map(to_wire, values))
                break
        return _encode(dict(zip(self._columns, values, strict=True)))
