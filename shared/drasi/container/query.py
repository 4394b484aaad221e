"""One continuous query in the state of a container."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import msgspec

from drasi.container.labels import Wanted
from drasi.errors import DrasiError, QueryError
from drasi.plan import Compiled, compile_query

State = Literal["bootstrapping", "running", "stopped", "failed"]

_MARK_EVERY = 256
_MOST_MARKS = 4096


class InvalidSpec(DrasiError):
    """The spec of a query cannot be run by this release."""

    code = "InvalidSpec"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a query's spec (resources.md section 5) means, compiled.

    Attributes:
        wanted: Per source, the labels that bound what the query sees; None where it wants what its text names.
        needs: Per source, the labels its elements must have been read of.
    """

    compiled: Compiled
    wanted: dict[str, Wanted | None]
    needs: dict[str, Wanted]
    transaction: bool
    fail_on_row_error: bool


@dataclass(slots=True)
class Query:
    """A query and where it stands.

    Attributes:
        spec: As it was configured, as JSON.
        sequence: The last one given to an event.
        timestamp: ``sourceTimeMs`` of the last event.
        group: Number of the graph it is evaluated over; None when it cannot run.
        frozen: The rows of a stopped query, as they last were: id → JSON. None: it has no result to go on from.
        rows: How many there are.
        marks: (sequence, entry) now and then: where in the log events are found.
    """

    id: str
    version: int
    spec: bytes
    sequence: int
    state: State = "bootstrapping"
    timestamp: int = 0
    group: int | None = None
    frozen: dict[str, bytes] | None = None
    error: str = ""
    since_ns: int = 0
    rows: int = 0
    marks: list[tuple[int, int]] = field(default_factory=list)
    definition: Definition | None = None

    def mark(self, sequence: int, entry: int) -> None:
        if self.marks and sequence - self.marks[-1][0] < _MARK_EVERY:
            return
        self.marks.append((sequence, entry))
        if len(self.marks) > _MOST_MARKS:
            del self.marks[1::2]

    def plain(self) -> list[Any]:
        """All but the definition, which the spec gives again."""
        return [getattr(self, each.name) for each in fields(self)[:-1]]

    @classmethod
    def of(cls, plain: list[Any]) -> Query:
        query = cls(*plain)
        query.marks = [(sequence, entry) for sequence, entry in query.marks]
        return query


def define(spec: bytes) -> Definition:
    """Reads and compiles a spec, given as JSON.

    Raises:
        InvalidSpec: It cannot be run by this release.
        QueryError: Its text cannot.
    """
    content = msgspec.json.decode(spec)
    sources = content.get("sources") or {}
    subscriptions = sources.get("subscriptions") or []
    for what in ("joins", "middleware"):
        if sources.get(what):
            raise InvalidSpec(f"spec.sources.{what} is not built yet in this version", hint=f"leave out {what}")
    text = content.get("query")
    if not isinstance(text, str):
        raise InvalidSpec("spec.query is required")
    if not subscriptions:
        raise InvalidSpec("spec.sources.subscriptions needs at least one source")
    compiled = compile_query(
        text,
        language=str(content.get("queryLanguage") or "Cypher").lower(),
        parameters=content.get("parameters") or {},
        column_names=content.get("columnNames") or "short",
    )
    named = Wanted(compiled.node_labels, compiled.relation_types)
    wanted: dict[str, Wanted | None] = {}
    for subscription in subscriptions:
        if subscription.get("pipeline"):
            raise InvalidSpec("spec.sources.subscriptions[].pipeline is not built yet in this version", hint="leave it out")
        nodes, relations = subscription.get("nodes"), subscription.get("relations")
        wanted[subscription["id"]] = Wanted(_labels(nodes), _labels(relations)) if nodes or relations else None
    return Definition(
        compiled,
        wanted,
        {source: named if labels is None else labels for source, labels in wanted.items()},
        content.get("consistency") == "transaction",
        content.get("onRowError") == "fail",
    )


def _labels(subscribed: Any) -> frozenset[str]:
    return frozenset(label["sourceLabel"] for label in subscribed or ())


_KEPT = ("view", "onRowError", "mode", "container", "storageProfile")


def rebuild_needed(old: bytes, new: bytes) -> bool:
    """Whether the answer may differ between two specs (cli-and-api.md section 5.3)."""
    before, after = msgspec.json.decode(old), msgspec.json.decode(new)
    for name in _KEPT:
        before.pop(name, None)
        after.pop(name, None)
    return bool(before != after)


def reason(error: Exception) -> str:
    """For the status: what stopped a query, and what to do."""
    if isinstance(error, QueryError):
        return str(error)
    if isinstance(error, DrasiError):
        return f"{error.message} ({error.hint})" if error.hint else error.message
    return f"a defect in the evaluation stopped the query: {type(error).__name__}: {error}"
