"""What a container knows after an entry, and the events of the entry under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drasi.container import events as wire
from drasi.container.deadletters import DeadLetters, Letter, letter_id
from drasi.container.entry import Derived, digest
from drasi.container.group import Group
from drasi.container.query import Query, reason
from drasi.container.settings import Settings
from drasi.container.watermarks import Watermarks
from drasi.engine import Delete, Diff, Engine
from drasi.engine.changes import Change
from drasi.engine.events import encode_event
from drasi.engine.graph import Record
from drasi.messages.changes import Origin, SourceChange
from drasi.messages.results import ControlKind
from drasi.values import to_json


@dataclass(slots=True)
class Outcome:
    """What one entry gave.

    Attributes:
        runs: The events, by query.
        letters: New dead letters with their content.
        completed: Nonces of items sent in fragments whose last one came with this entry.
        replayed: Per dead letter handed in again, the status to answer.
    """

    number: int
    runs: list[Derived] = field(default_factory=list)
    letters: list[tuple[Letter, bytes]] = field(default_factory=list)
    completed: set[bytes] = field(default_factory=set)
    replayed: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Run:
    """Consecutive events of one query in one entry, with and without their metadata."""

    query: str
    first: int
    bodies: list[bytes] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)


class State:
    """The state proper, without the rules by which it changes.

    Attributes:
        engine: Makes the engine of a new graph.
        number: The last entry applied.
        at_ns, at_ms: Its instant.
        version: The highest semantic version among the entries.
        uncarried: Events that no entry carries yet, by (entry, query, first sequence), oldest first.
        retired: The last sequences of queries that are gone.
        ordered: Per query and source, when the bus took the last order that was followed, and the numbers of all that it took
            then; also of those that are gone.
        fragments: Per origin, slices of an item that is not complete.
        latest: Per source, the time of its last change and the instant of that entry.
        horizon_ms: How far the clock may go in the entry under way.
        ahead: Per source, the latest time (ns) that went beyond that.
        outcome: Of the entry under way.
    """

    def __init__(self, settings: Settings, engine: Callable[[], Engine]) -> None:
        self.settings = settings
        self.engine = engine
        self.number = 0
        self.at_ns = 0
        self.at_ms = 0
        self.version = 0
        self.queries: dict[str, Query] = {}
        self.retired: dict[str, int] = {}
        self.ordered: dict[str, tuple[int, list[str]]] = {}
        self.groups: dict[int, Group] = {}
        self.watermarks = Watermarks()
        self.letters = DeadLetters()
        self.uncarried: dict[tuple[int, str, int], Derived] = {}
        self.uncarried_bytes = 0
        self.fragments: dict[str, tuple[bytes, list[bytes]]] = {}
        self.latest: dict[str, tuple[int, int]] = {}
        self.horizon_ms = 0
        self.ahead: dict[str, int] = {}
        self.next_number = 1
        self.by_source: dict[str, list[Group]] = {}
        self.outcome = Outcome(0)
        self._runs: dict[str, _Run] = {}
        self._ended: list[_Run] = []

    def take_number(self) -> int:
        number = self.next_number
        self.next_number += 1
        return number

    def index(self) -> None:
        """Groups came or went."""
        self.by_source = {}
        for group in self.groups.values():
            for source, _ in group.key[0]:
                self.by_source.setdefault(source, []).append(group)

    # --- events ---

    def emit(self, results: Iterable[tuple[str, Diff]], cause: SourceChange | None = None, enqueued_ns: int = 0) -> None:
        """Differences become events."""
        ending = wire.tracking(cause, enqueued_ns, self.at_ns) if cause is not None else None
        for name, diff in results:
            query = self.queries[name]
            query.sequence += 1
            query.timestamp = diff.time
            for _, before, after in diff.changes:
                if before is None:
                    query.rows += 1
                elif after is None:
                    query.rows -= 1
            self._append(query, encode_event(diff, name, query.sequence), ending)

    def control(self, query: Query, kind: ControlKind) -> None:
        query.sequence += 1
        query.timestamp = self.at_ms
        self._append(query, wire.control_event(query.id, query.sequence, query.timestamp, kind), None)

    def rows(self, query: Query, time_ms: int, **rows: Any) -> None:
        query.sequence += 1
        query.timestamp = time_ms
        self._append(query, wire.rows_event(query.id, query.sequence, time_ms, **rows), None)

    def _append(self, query: Query, body: bytes, ending: bytes | None) -> None:
        sequence = query.sequence
        run = self._runs.get(query.id)
        if run is None or sequence != run.first + len(run.events):
            if run is not None:
                self._ended.append(run)
            run = self._runs[query.id] = _Run(query.id, sequence)
            query.mark(sequence, self.number)
        run.bodies.append(body)
        run.events.append(body if ending is None else body[:-1] + ending)

    def close_runs(self) -> None:
        """The entry ends: its events are waiting to be carried by another."""
        for run in (*self._ended, *self._runs.values()):
            derived = Derived(self.number, run.query, run.first, digest(run.bodies), run.events)
            self.outcome.runs.append(derived)
            self.uncarried[derived.key] = derived
            self.uncarried_bytes += derived.size
        self._ended.clear()
        self._runs.clear()

    # --- the clock ---

    def hold_clock(self, group: Group, origin: Origin) -> None:
        """A change dated far in the future must not make every timer fire: its time counts only so far."""
        group.engine.clock = self.horizon_ms
        self.ahead[origin.db] = max(origin.ts_ns, self.ahead.get(origin.db, 0))

    # --- failures ---

    def fail(self, group: Group) -> None:
        """Queries whose evaluation broke are stopped (the engine has let go of them); nobody else notices."""
        failed = sorted(group.engine.failed.items())
        group.engine.failed.clear()
        for name, error in failed:
            self.stop_failed(self.queries[name], error)

    def check_row_errors(self, group: Group) -> None:
        """Queries that are to stop when a row cannot be evaluated."""
        for query in list(group.queries.values()):
            if query.state == "running" and query.definition is not None and query.definition.fail_on_row_error:
                errors = group.engine.errors(query.id)
                if errors:
                    query.frozen = dict(self.texts(query, group))
                    group.engine.remove(query.id)
                    first = errors[0]
                    self.stop_failed(query, f"{first.type}: {first.detail}: {first.message} (onRowError: fail)")

    def stop_failed(self, query: Query, error: Exception | str) -> None:
        query.state = "failed"
        query.error = error if isinstance(error, str) else reason(error)
        query.since_ns = self.at_ns
        self.control(query, "stopped")

    def texts(self, query: Query, group: Group) -> list[wire.Text]:
        """The rows of a query as text, in the order of their ids."""
        rows = [(row.id, to_json(dict(row)).encode()) for row in group.engine.rows(query.id)]
        rows.sort()
        return rows

    # --- dead letters ---

    def record(
        self, where: str, position: str | None, data: bytes, error: str, element: str | None = None, *, control: bool = False
    ) -> None:
        """Something can never succeed."""
        letter = Letter(
            letter_id(where, position, data), where, position, self.at_ns, self.number, error, len(data), element, control=control
        )
        if self.letters.record(letter):
            self.outcome.letters.append((letter, data))

    # --- deletions that no source sent ---

    def delete_all(
        self, group: Group, elements: Sequence[Record], time_ms: int, cause: SourceChange | None, enqueued_ns: int = 0
    ) -> None:
        """Elements leave a graph: in one difference per query, or one for each where a change caused it."""
        gone = sorted((element.source, element.id, element.labels) for element in elements)
        deletes: list[Change] = [Delete(source, id_, labels, time_ms) for source, id_, labels in gone]
        if not deletes:
            return
        for step in [deletes] if group.transaction or cause is None else [[delete] for delete in deletes]:
            results = group.engine.apply_transaction(step)
            if results:
                self.emit(results, cause, enqueued_ns)
        if group.engine.failed:
            self.fail(group)
