"""The library's face: one continuous query in your own process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from drasi.engine.changes import Change
from drasi.engine.engine import Engine, explained
from drasi.engine.results import Diff, Row, RowError
from drasi.errors import QueryError
from drasi.plan.compiled import Compiled, compile_query

_NAME = "query"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Join:
    """A virtual relation between elements with equal values (language.md section 3.3).

    Attributes:
        id: Its type.
        keys: (label, property) pairs, two at least.
    """

    id: str
    keys: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Middleware:
    """One step of a pipeline (middleware.md)."""

    kind: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Procedure:
    """What ``CALL`` calls: a function of its arguments.

    Attributes:
        arguments, results: (name, type) pairs, types as in ``STRING?``.
        call: Arguments → an iterable of tuples, one per result row.
    """

    arguments: Sequence[tuple[str, str]]
    results: Sequence[tuple[str, str]]
    call: Callable[..., Iterable[tuple[Any, ...]]]


class ContinuousQuery:
    """A query whose answer is kept up to date with every change. To be used by one thread at a time.

    Args:
        text: The query, in openCypher or GQL.
        language: ``cypher`` or ``gql``.
        parameters: Values of ``$name`` in the text.
        joins: Virtual relations.
        middleware: What the pipelines are made of.
        pipelines: Source id → names of middleware, in order.
        column_names: Of columns without alias: ``text`` as written, ``short`` as in Drasi's manifests.
        procedures: What ``CALL`` can call, by name.

    Raises:
        QueryError: The text cannot run: ``.type``, ``.phase`` and ``.detail`` in the TCK's words, ``.line``, ``.column``,
            ``.hint``. Type ``NotYet``: it uses something that this version does not build.
    """

    def __init__(
        self,
        text: str,
        language: str = "cypher",
        parameters: Mapping[str, Any] | None = None,
        joins: Sequence[Join] = (),
        middleware: Sequence[Middleware] = (),
        pipelines: Mapping[str, Sequence[str]] | None = None,
        column_names: str = "text",
        procedures: Mapping[str, Procedure] | None = None,
    ) -> None:
        later = {"joins": joins, "middleware": middleware, "pipelines": pipelines, "procedures": procedures}
        for construct, given in later.items():
            if given:
                raise QueryError("NotYet", "NotYet", f"{construct} cannot be given yet")
        self._start(compile_query(text, language=language, parameters=parameters, column_names=column_names))

    def _start(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._engine = Engine()
        self._engine.add(_NAME, compiled)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the result's columns, in order."""
        return self._compiled.columns

    def apply(self, change: Change) -> list[Diff]:
        """Applies one change: an Insert, an Update or a Delete.

        Returns:
            The differences it causes, in order; empty if the answer stays the same.

        Raises:
            ValueError: The change is malformed (what, where); nothing has changed.
        """
        results = self._engine.apply(change)
        if results:
            return [results[0][1]]
        return self._differences(results)

    def apply_transaction(self, changes: Sequence[Change]) -> list[Diff]:
        """Applies many changes as one: one consolidated difference, at the greatest of their times."""
        return self._differences(self._engine.apply_transaction(changes))

    def advance(self, to: int) -> list[Diff]:
        """Moves the clock to ``to`` ms since the epoch; what falls due until then fires, each at its time."""
        return self._differences(self._engine.advance(to))

    def rows(self) -> list[Row]:
        """The present result: a bag, or in order where the query says ORDER BY."""
        return self._engine.rows(_NAME)

    def errors(self) -> list[RowError]:
        """Rows that are absent because they cannot be computed now."""
        return self._engine.errors(_NAME)

    def explain(self) -> str:
        """The plan and the generated code."""
        return explained(self._compiled)

    def snapshot(self) -> bytes:
        """The whole state, for ``restore``."""
        compiled, engine = self._compiled, self._engine
        query = [compiled.text, compiled.language, dict(compiled.parameters), compiled.column_names]
        chunks = [engine.dump(chunk) for chunk in range(engine.CHUNKS)]
        return msgspec.msgpack.encode([_FORMAT, query, chunks, engine.memory()])

    @classmethod
    def restore(cls, data: bytes) -> ContinuousQuery:
        """The query as it was when ``data`` was taken: it goes on as if nothing had happened.

        Raises:
            ValueError: ``data`` is no snapshot, or of a version that this one cannot read.
        """
        try:
            version, query, chunks, memory = msgspec.msgpack.decode(data)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            raise ValueError(f"not a snapshot of a continuous query: {error}") from error
        if version != _FORMAT:
            raise ValueError(f"a snapshot of format {version}; this version reads format {_FORMAT}")
        text, language, parameters, column_names = query
        self = cls.__new__(cls)
        self._compiled = compile_query(text, language=language, parameters=parameters, column_names=column_names)
        self._engine = Engine()
        for chunk in chunks:
            self._engine.load(chunk)
        self._engine.add(_NAME, self._compiled)
        self._engine.restore_memory(memory)
        return self

    def _differences(self, results: list[tuple[str, Diff]]) -> list[Diff]:
        if self._engine.failed:
            # One query alone has nobody to go on for.
            raise self._engine.failed[_NAME]
        return [diff for _, diff in results]
