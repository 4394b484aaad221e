"""Container control messages: what management and the clock send on ``{container}-control``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class ControlMessage(msgspec.Struct, omit_defaults=True):
    kind: Literal["configure", "delete", "start", "stop", "tick", "bootstrap"]
    queryId: str | None = None
    version: int | None = None
    spec: dict[str, Any] | None = None
    sequenceFrom: int | None = None
    ts_ns: int | None = None
    reason: str | None = None


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(ControlMessage).decode
