"""Reading a query: its whole result, its tail, and what can come instead of them (wire.md section 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from drasi.errors import DrasiError
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


class QueryNotFound(DrasiError):
    """No such query (404): it may come later."""

    code: ClassVar[str] = "QueryNotFound"


class QueryUnavailable(DrasiError):
    """The query's container cannot answer now."""

    code: ClassVar[str] = "QueryUnavailable"
    retryable: ClassVar[bool] = True


class Gone(DrasiError):
    """The events asked for are trimmed (410).

    Attributes:
        requested: The sequence after which events were asked for.
        earliest, latest: Sequences of the events that are there.
    """

    code: ClassVar[str] = "Gone"

    def __init__(self, requested: int, earliest: int, latest: int) -> None:
        super().__init__(
            f"the events after {requested} are trimmed; those from {earliest} to {latest} are there",
            hint="read the query's result again, and go on from its sequence",
        )
        self.requested = requested
        self.earliest = earliest
        self.latest = latest


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

    # A reader may also have ``async def status(self, query_id: str) -> Mapping[str, Any]``: the query's status
    # (cli-and-api.md section 6). The Debug page shows it where it is there.
