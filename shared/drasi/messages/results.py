"""Result events: what a query publishes on ``{query}-results``, and the tail of its log."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

ControlKind = Literal["bootstrapStarted", "bootstrapCompleted", "running", "stopped", "deleted"]

Row = dict[str, Any]


class UpdatedRow(msgspec.Struct, omit_defaults=True):
    """A row that stays the same row (``rowId``) and changed its columns. ``before`` None: Drasi's new group, treat as added."""

    before: Row | None
    after: Row
    rowId: str = ""
    groupingKeys: list[str] | None = None


class ControlSignal(msgspec.Struct):
    kind: ControlKind


class ChangeEvent(msgspec.Struct, tag_field="kind", tag="change"):
    """The difference that one cause made to a query's answer."""

    queryId: str
    sequence: int
    sourceTimeMs: int
    addedResults: list[Row] = []
    updatedResults: list[UpdatedRow] = []
    deletedResults: list[Row] = []
    addedRowIds: list[str] = []
    deletedRowIds: list[str] = []
    metadata: dict[str, Any] | None = None


class ControlEvent(msgspec.Struct, tag_field="kind", tag="control"):
    queryId: str
    sequence: int
    sourceTimeMs: int
    controlSignal: ControlSignal
    metadata: dict[str, Any] | None = None


ResultEvent = ChangeEvent | ControlEvent

encode = msgspec.json.Encoder().encode
decode_event = msgspec.json.Decoder(ResultEvent).decode
decode_events = msgspec.json.Decoder(list[ResultEvent]).decode
