"""One graph and the queries that share it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drasi.container.build import Build, Reconciliation
from drasi.container.chunks import Chunks
from drasi.container.labels import NOTHING, Wanted
from drasi.container.query import Definition, Query
from drasi.engine import Engine
from drasi.engine.changes import Change
from drasi.messages.changes import SourceChange

Key = tuple[tuple[tuple[str, Wanted | None], ...], bool]
"""Queries with an equal key share a graph: sources with the labels that bound what is seen of them, and whether changes are
evaluated one by one or by transactions."""


def key_of(definition: Definition) -> Key:
    return tuple(sorted(definition.wanted.items(), key=lambda item: item[0])), definition.transaction


class Group:
    """One graph.

    Attributes:
        queries: All that belong here, also those that wait, or are stopped.
        held: Labels whose elements are all in the graph, in their newest state.
        builds: What is being read.
        following: The labels of ``held`` and ``builds`` together: elements with these get every change.
        waiting: Changes of a transaction that has not ended; empty between entries.
    """

    __slots__ = ("builds", "chunks", "engine", "following", "held", "key", "number", "queries", "reading", "waiting")

    def __init__(self, number: int, key: Key, engine: Engine) -> None:
        self.number = number
        self.key = key
        self.engine = engine
        self.queries: dict[str, Query] = {}
        self.held: dict[str, Wanted] = {}
        self.builds: dict[int, Build] = {}
        self.reading: dict[str, Reconciliation] = {}
        self.following: dict[str, Wanted] = {}
        self.waiting: list[tuple[SourceChange, Change]] = []
        self.chunks = Chunks(f"graph/{number}", engine.CHUNKS, engine.dump)
        engine.watch(self.chunks.touch)

    @property
    def transaction(self) -> bool:
        return self.key[1]

    def builds_of(self, source: str) -> list[Build]:
        return [build for build in self.builds.values() if build.source == source]

    def missing(self, query: Query) -> Iterator[tuple[str, Wanted]]:
        """Labels of a query that are neither held nor being read."""
        assert query.definition is not None
        for source, needs in query.definition.needs.items():
            missing = needs - self.held.get(source, NOTHING)
            for build in self.builds_of(source):
                missing = missing - build.wanted
            if missing:
                yield source, missing

    def ready(self, query: Query) -> bool:
        """Whether everything the query wants is held, and nothing of it is being renewed."""
        assert query.definition is not None
        return all(
            self.held.get(source, NOTHING) >= needs
            and not any(build.renew and build.wanted & needs for build in self.builds_of(source))
            for source, needs in query.definition.needs.items()
        )

    def begin(self, build: Build) -> None:
        self.builds[build.number] = build
        self.reading.setdefault(build.source, Reconciliation())
        self.follow()

    def end(self, build: Build) -> None:
        """All of it is in the graph."""
        self.held[build.source] = self.held.get(build.source, NOTHING) | build.wanted
        self.abandon(build)

    def abandon(self, build: Build) -> None:
        del self.builds[build.number]
        if not self.builds_of(build.source):
            del self.reading[build.source]
        self.follow()

    def shrink(self) -> dict[str, Wanted]:
        """Some query left: labels that no one wants any more are neither held nor read.

        Returns:
            Per source, what is still followed, where that became less.
        """
        wanted: dict[str, Wanted] = {}
        for query in self.queries.values():
            if query.definition is not None:
                for source, needs in query.definition.needs.items():
                    wanted[source] = wanted.get(source, NOTHING) | needs
        before = self.following
        for number, build in list(self.builds.items()):
            if not build.wanted & wanted.get(build.source, NOTHING):
                del self.builds[number]
        for source in [source for source in self.reading if not self.builds_of(source)]:
            del self.reading[source]
        self.held = {source: held & wanted.get(source, NOTHING) for source, held in self.held.items()}
        self.follow()
        return {
            source: self.following.get(source, NOTHING)
            for source in before
            if not self.following.get(source, NOTHING) >= before[source]
        }

    def follow(self) -> None:
        following = dict(self.held)
        for build in self.builds.values():
            following[build.source] = following.get(build.source, NOTHING) | build.wanted
        self.following = following

    def plain(self) -> list[Any]:
        sources, transaction = self.key
        return [
            self.number,
            [[source, wanted.plain() if wanted is not None else None] for source, wanted in sources],
            transaction,
            {source: held.plain() for source, held in self.held.items()},
            [build.plain() for build in self.builds.values()],
            {source: reading.plain() for source, reading in self.reading.items()},
        ]

    @classmethod
    def of(cls, plain: list[Any], engine: Engine) -> Group:
        number, sources, transaction, held, builds, reading = plain
        key = tuple((source, Wanted.of(wanted) if wanted is not None else None) for source, wanted in sources)
        self = cls(number, (key, transaction), engine)
        self.held = {source: Wanted.of(labels) for source, labels in held.items()}
        self.builds = {build.number: build for build in map(Build.of, builds)}
        self.reading = {source: Reconciliation.of(content) for source, content in reading.items()}
        self.follow()
        return self
