"""The logic of the reaction function for one reaction, independent of the application around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.routing import BaseRoute

from drasi.messages.envelope import Message
from drasi.reactions.port import QueryReader, ReactionKind
from drasi.reactions.state import ReactionState


class ReactionFunction:
    """One reaction at work.

    Args:
        reaction_id: The resource's name.
        kind: From the registry; must have ``make``.
        properties: Resolved and checked.
        queries: ``spec.queries`` as written: text, mapping or None per query.
        reader: View and tail of the queries.
        state: This reaction's durable memory.
        start: ``snapshot``, ``now`` or ``{"sequence": n}`` (resources.md section 7).
        on_failure: ``{"attempts": int, "then": "block" | "skip"}``.
    """

    def __init__(
        self,
        reaction_id: str,
        kind: ReactionKind,
        properties: Mapping[str, Any],
        queries: Mapping[str, Any],
        *,
        reader: QueryReader,
        state: ReactionState,
        start: str | Mapping[str, int] = "snapshot",
        on_failure: Mapping[str, Any] | None = None,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Reads the state and begins to deliver; what fails is retried and shown in the status."""
        raise NotImplementedError

    async def results(self, message: Message) -> int:
        """Takes one message of ``{query}-results``; answers the HTTP status for the bus."""
        raise NotImplementedError

    def routes(self) -> Sequence[BaseRoute]:
        """The kind's own routes, below ``/reactions/{id}``."""
        raise NotImplementedError

    def status(self) -> dict[str, Any]:
        """``available``, ``messages``, ``queries`` {id: {sequence, behind, failing, lastError}}, ``deadLetters``, ``warnings``."""
        raise NotImplementedError

    async def dead_letters(self) -> list[dict[str, Any]]:
        """Without rows, oldest first."""
        raise NotImplementedError

    def resume(self, query_id: str | None = None) -> None:
        """Tries again at once what is blocked or waiting: of one query, or of all."""
        raise NotImplementedError

    async def close(self, drain_s: float = 10.0) -> None:
        """Finishes the events under way, writes the state, stops. Nothing is left running."""
        raise NotImplementedError

    async def forget(self) -> None:
        """Drops the reaction's state; it was deleted. Call after ``close``."""
        raise NotImplementedError
