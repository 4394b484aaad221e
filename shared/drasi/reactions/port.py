"""What a kind of reaction must do, and what it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.routing import BaseRoute

from drasi.messages.results import ResultEvent


@dataclass(frozen=True, slots=True)
class ViewRow:
    data: dict[str, Any]
    row_id: str


@dataclass(frozen=True, slots=True)
class View:
    """A query's whole result at one sequence (wire.md section 7)."""

    sequence: int
    timestamp: int
    state: str
    rows: list[ViewRow]


class QueryReader(Protocol):
    """Reads a query's result and its tail, wherever the query runs (in this process, or over HTTP)."""

    async def view(self, query_id: str) -> View:
        """Raises QueryNotFound (404), or QueryUnavailable (retryable)."""
        ...

    def events(self, query_id: str, after: int) -> AsyncIterator[ResultEvent]:
        """Events after+1, after+2 … without gap, for ever (a reader that stops must close it).

        Raises Gone(requested, earliest, latest) when ``after`` is trimmed, QueryNotFound, QueryUnavailable (retryable)."""
        ...

    async def read_events(self, query_id: str, after: int, limit: int) -> list[ResultEvent]:
        """The events there are after ``after``, at most ``limit``; returns at once. Same errors."""
        ...


class Confirm(Protocol):
    """Called with a row's id when the target has confirmed that row; it is then never delivered again."""

    def __call__(self, row_id: str) -> None: ...


@dataclass(slots=True)
class ReactionContext:
    """What the reaction function gives to a kind.

    Attributes:
        id: The reaction's name.
        properties: Resolved and checked.
        queries: Per query id the parsed configuration (a mapping, or None).
        reader: View and tail of queries.
        report: Sets (or with None removes) a line of the status.
        status: The reaction's per-query delivery status, for pages (`{query: {sequence, behind, failing, lastError}}`).
    """

    id: str
    properties: Mapping[str, Any]
    queries: Mapping[str, Any]
    reader: QueryReader
    report: Callable[[str, str | None], None]
    status: Callable[[], Mapping[str, Any]]


class Reaction(Protocol):
    """One reaction of one kind.

    The delivery loop (``delivery.py``, the same for all kinds) keeps order, state, retries and dead letters; a kind only delivers
    one event. Kinds that serve readers instead (SSE, Debug) answer ``routes`` and have ``delivers = False``.
    """

    delivers: bool

    async def start(self) -> None: ...

    async def deliver(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm) -> None:
        """Delivers the rows of ``event`` that are not in ``done``, in the order d, u, i, calling ``confirm`` after each.

        Raises:
            DeliveryFailed: With ``retryable`` as the target's answer says, ``row_id`` of the row, ``retry_after_s`` if told.
        """
        ...

    def routes(self) -> Sequence[BaseRoute]:
        """HTTP and WebSocket routes below ``/reactions/{id}``."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ReactionKind:
    """A kind as the registry knows it.

    Attributes:
        schema: JSON Schema of ``spec.properties``; None: unchecked.
        check: Checks one query's configuration: (parsed text or None) -> list of (path, message, line, column); None: unchecked.
        make: Builds a reaction; None for kinds known by name only (``NoImplementation``).
    """

    name: str
    aliases: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    check: Callable[[Any], list[tuple[str, str, int, int]]] | None = None
    make: Callable[[ReactionContext], Reaction] | None = None
