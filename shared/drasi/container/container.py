"""A query container: one state machine over one log, and what serves it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from drasi.bus.port import Bus
from drasi.container.port import SnapshotReader
from drasi.container.settings import Settings
from drasi.log.port import Log
from drasi.messages.envelope import Message
from drasi.messages.results import ResultEvent
from drasi.reactions.port import View


class Container:
    """Keeps the answers of continuous queries, exactly, over one log.

    Any number of instances may run on one log, in this process or in others.

    Args:
        name: The container's id; its control topic is ``{name}-control``.
        log: This instance's handle of the log. The container closes it.
        bus: Result events are published on it.
        snapshots: Reads the sources.
        clock: Nanoseconds since the epoch; gives entries their instant, and nothing else.
    """

    def __init__(
        self,
        name: str,
        log: Log,
        bus: Bus,
        snapshots: SnapshotReader,
        *,
        clock: Callable[[], int] = time.time_ns,
        settings: Settings | None = None,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Restores the state (newest snapshot, then the log), publishes what may be unpublished, and begins to accept."""
        raise NotImplementedError

    async def changes(self, message: Message) -> int:
        """Takes a message of a change topic (``drasi-type`` changes or marker).

        Returns:
            An HTTP status: 204 when it is committed and its results are published, or it is a duplicate or a recorded dead letter;
            429 or 503: deliver it again.
        """
        raise NotImplementedError

    async def control(self, message: Message) -> int:
        """Takes a message of the control topic. The same answers."""
        raise NotImplementedError

    def view(self, query_id: str) -> View:
        """A query's rows right after one sequence. Raises QueryNotFound, QueryUnavailable."""
        raise NotImplementedError

    def events(self, query_id: str, after: int) -> AsyncIterator[ResultEvent]:
        """Events after+1, after+2 … for ever, or to the event ``deleted``. Raises Gone, QueryNotFound, QueryUnavailable."""
        raise NotImplementedError

    def events_json(self, query_id: str, after: int) -> AsyncIterator[tuple[int, bytes]]:
        """The same as (sequence, JSON text), without decoding."""
        raise NotImplementedError

    async def read_events(self, query_id: str, after: int, limit: int) -> list[ResultEvent]:
        """The events there are after ``after``, at most ``limit``; returns at once. Same errors."""
        raise NotImplementedError

    async def read_events_json(self, query_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        raise NotImplementedError

    def queries(self) -> Sequence[str]:
        raise NotImplementedError

    def explain(self, query_id: str) -> str:
        """Plan and generated code of a running query. Raises QueryNotFound."""
        raise NotImplementedError

    def query_status(self, query_id: str) -> Mapping[str, Any]:
        """cli-and-api.md section 6, ContinuousQuery; raises QueryNotFound."""
        raise NotImplementedError

    def status(self) -> Mapping[str, Any]:
        """cli-and-api.md section 6, QueryContainer."""
        raise NotImplementedError

    def row_errors(self, query_id: str) -> Sequence[Mapping[str, Any]]:
        raise NotImplementedError

    def dead_letters(self, source: str | None = None) -> Sequence[Mapping[str, Any]]:
        """``id``, ``source``, ``position``, ``at`` (RFC 3339), ``error``, ``entry``, ``size``; newest last."""
        raise NotImplementedError

    async def replay(self, dead_letter: str, *, force: bool = False) -> int:
        """Hands a dead letter to its place again: 204, 404, 409 (a later change of the element was applied), 503."""
        raise NotImplementedError

    async def drop_dead_letter(self, dead_letter: str) -> int:
        raise NotImplementedError

    async def drop_source(self, source: str) -> int:
        """Deletes every element of a source (it was deleted with ``force``): one difference per query."""
        raise NotImplementedError

    def labels(self, source: str) -> tuple[frozenset[str] | None, frozenset[str] | None]:
        """Node labels and relation types that some query wants of a source; None: everything."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it has restored, accepts, and holds its log."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stops accepting, finishes what is committed (evaluation, publication), ends readers, closes the log."""
        raise NotImplementedError
