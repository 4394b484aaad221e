"""What a kind of reaction must do, and what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from starlette.routing import BaseRoute

from drasi.errors import DrasiError
from drasi.messages.reading import QueryReader
from drasi.messages.results import ChangeEvent, ResultEvent


class DeliveryFailed(DrasiError):
    """A row, or a whole event, that the target did not take.

    Attributes:
        retryable: Whether the same delivery can succeed later (of this instance, not of the class).
        row_id: The row that failed; None: the event as a whole.
        retry_after_s: What the target asked for.
    """

    code: ClassVar[str] = "DeliveryFailed"

    def __init__(
        self, message: str, *, retryable: bool, row_id: str | None = None, retry_after_s: float | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable  # type: ignore[misc]  # the target's answer decides, not the class
        self.row_id = row_id
        self.retry_after_s = retry_after_s


class Confirm(Protocol):
    """Called with a row's id when the target has confirmed that row; it is then never delivered again."""

    def __call__(self, row_id: str, /) -> None: ...


LeaveOut = Callable[[ChangeEvent, DeliveryFailed], Awaitable[bool]]
"""From the result as one event, and the failure of one of its rows."""


async def _keep_all(event: ChangeEvent, failed: DeliveryFailed) -> bool:
    return False


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
        leave_out: For a row of a copy of the result (``resync``) that the target can never take: whether the user wants such rows
            given up (it is then a dead letter). If not, the copy fails with it.
    """

    id: str
    properties: Mapping[str, Any]
    queries: Mapping[str, Any]
    reader: QueryReader
    report: Callable[[str, str | None], None]
    status: Callable[[], Mapping[str, Any]]
    leave_out: LeaveOut = field(default=_keep_all)


class Reaction(Protocol):
    """One reaction of one kind.

    The delivery loop (``delivery.py``, the same for all kinds) keeps order, state, retries and dead letters; a kind only delivers
    one event. Kinds that serve readers instead (SSE, Debug) answer ``routes`` and have ``delivers = False``.

    A kind may also have ``reads(path, query) -> Collection[str] | None``: for a path below the reaction and its query string, the
    ids of the queries whose rows the answer may hold, so that a token for them suffices; None, or no such method: all of them.
    """

    delivers: bool

    async def start(self) -> None: ...

    def notice(self, query_id: str, events: bytes) -> None:
        """What was pushed for a query: the JSON array of its events as it came, possibly with repeats and gaps. Never blocks.

        A kind that serves readers is woken by it; one that delivers has nothing to do here.
        """
        ...

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

    # A kind that notes in its target what is done may also have ``async def forget(self, query_id: str) -> None``, for a query that
    # is the reaction's no more. It is called before ``start`` or after ``close``, and may fail.
    # A kind that keeps a copy of the result may also have ``async def resync(self, query_id: str) -> int``: it makes the copy equal
    # to the query's result and returns the result's sequence. It is called where all rows would be delivered as added.


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, or ignored, in the configuration of a reaction (resources.md section 9).

    Attributes:
        code: ``InvalidQueryConfig`` or ``InvalidTemplate`` (errors), ``IgnoredField`` (a warning).
        path: From the thing checked: ``added.body`` of one configuration, ``queries.q.added.body`` of a whole spec.
        line, column: From 1, inside the text meant (the template, or the configuration); 0: no place.
        excerpt: That line with a caret below the place; may be empty.
    """

    code: str
    path: str
    message: str
    line: int = 0
    column: int = 0
    excerpt: str = ""
    hint: str = ""

    @property
    def warning(self) -> bool:
        return self.code == "IgnoredField"


@dataclass(frozen=True, slots=True)
class ReactionKind:
    """A kind as the registry knows it.

    Attributes:
        schema: JSON Schema of ``spec.properties``; None: unchecked.
        check: Checks one query's configuration, already parsed (a mapping, or None): what it finds; None: unchecked.
            ``drasi.reactions.configuration.check_reaction`` does it for a whole spec, the texts included.
        make: Builds a reaction; None for kinds known by name only (``NoImplementation``).
    """

    name: str
    aliases: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    check: Callable[[Any], list[Finding]] | None = None
    make: Callable[[ReactionContext], Reaction] | None = None
