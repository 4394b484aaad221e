"""Source change events: what a source publishes on ``{source}-change``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Element(msgspec.Struct, omit_defaults=True, gc=False):
    """A node, or a relation ``(startId)-[…]->(endId)``. Its type, for a relation, is its first label."""

    id: str
    labels: list[str]
    properties: dict[str, Any] = {}
    startId: str | None = None
    endId: str | None = None
    startSource: str | None = None
    endSource: str | None = None


class Origin(msgspec.Struct, omit_defaults=True, gc=False):
    """Where a change comes from. ``position`` rises within (``db``, ``partition``), compared as text."""

    db: str
    table: Literal["node", "rel"]
    ts_ns: int
    lsn: int = 0
    partition: str | None = None
    position: str | None = None
    key: str | None = None
    tx: str | None = None


class Payload(msgspec.Struct, omit_defaults=True, gc=False):
    source: Origin
    before: Element | None = None
    after: Element | None = None


class SourceChange(msgspec.Struct, omit_defaults=True, gc=False):
    """One change of one element: insert, update, delete, or truncate (every id that begins with ``before.id``)."""

    op: Literal["i", "u", "d", "t"]
    payload: Payload
    reactivatorStart_ns: int = 0
    reactivatorEnd_ns: int = 0
    metadata: dict[str, Any] | None = None


encode = msgspec.json.Encoder().encode
decode_changes = msgspec.json.Decoder(list[SourceChange]).decode
decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_change = msgspec.json.Decoder(SourceChange).decode
