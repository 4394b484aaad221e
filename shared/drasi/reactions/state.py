"""What a reaction remembers durably, per query: how far it has delivered, and the rows it gave up.

``memory_state.py`` and ``sqlite_state.py`` keep it; the tests' contract holds for both.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

import msgspec

from drasi.errors import DrasiError

Phase = Literal["live", "snapshot", "skip"]


class StateConflict(DrasiError):
    """Somebody else wrote in between: read again, and start from what is stored."""

    code: ClassVar[str] = "StateConflict"
    retryable: ClassVar[bool] = True


class StateUnavailable(DrasiError):
    """The state cannot be read or written now (disk full, file locked)."""

    code: ClassVar[str] = "StateUnavailable"
    retryable: ClassVar[bool] = True


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the deliveries of one query are (wire.md section 8).

    Attributes:
        sequence: ``live``, ``skip``: the last event done. ``snapshot``: the sequence of the result that is being delivered.
        done: Rows already done of what comes next.
        phase: ``snapshot``: the rows of a whole result are being delivered as added; ``skip``: the rows of a bootstrap are being
            left out (``start: now``).
        after: ``snapshot``: the row (in the order of row ids) up to which all are done.
    """

    sequence: int
    done: tuple[str, ...] = ()
    phase: Phase = "live"
    after: str = ""


class DeadLetter(msgspec.Struct, frozen=True):
    """A row that was given up, with everything needed to deliver it again.

    Attributes:
        id: The row's idempotency key.
        event: The event with that row alone (JSON).
        at_ms: When it was given up.
    """

    id: str
    query_id: str
    sequence: int
    row_id: str
    event: msgspec.Raw
    error: str
    at_ms: int

    def summary(self) -> dict[str, Any]:
        """Without the row."""
        return {"id": self.id, "query": self.query_id, "position": str(self.sequence), "error": self.error, "at": self.at_ms}


class ReactionState(Protocol):
    """The memory of one reaction. Every method raises StateUnavailable when it cannot do its work."""

    async def queries(self) -> list[str]:
        """The queries of which something is remembered."""
        ...

    async def get(self, query_id: str) -> Progress | None: ...

    async def put(self, query_id: str, progress: Progress, *, expected: Progress | None) -> None:
        """Replaces ``expected`` (None: nothing is there) durably. Raises StateConflict if something else is stored."""
        ...

    async def forget(self, query_id: str) -> None:
        """Drops progress and dead letters of a query."""
        ...

    async def add_dead_letter(self, letter: DeadLetter) -> None:
        """Records it; the same id again changes nothing."""
        ...

    async def dead_letters(self) -> list[DeadLetter]:
        """Oldest first."""
        ...

    async def count_dead_letters(self) -> int: ...

    async def drop_dead_letter(self, letter_id: str) -> bool:
        """False: it was not there."""
        ...


encode_progress = msgspec.json.Encoder().encode
decode_progress = msgspec.json.Decoder(Progress).decode
