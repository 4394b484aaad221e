"""Container control messages: what management and the clock send on ``{container}-control``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class ControlMessage(msgspec.Struct, omit_defaults=True):
    """Wire.md section 3.3; and ``forget``, ours alone: ``source`` was deleted, its positions begin anew if it comes again, and with
    ``elements`` everything of it goes; and ``reread``: changes of ``source`` may be lost, it is read again."""

    kind: Literal["configure", "delete", "start", "stop", "tick", "bootstrap", "forget", "reread"]
    queryId: str | None = None
    version: int | None = None
    spec: dict[str, Any] | None = None
    sequenceFrom: int | None = None
    ts_ns: int | None = None
    reason: str | None = None
    source: str | None = None
    elements: bool = False


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(ControlMessage).decode
