"""The kinds of source: the built-in ones, and those of packages (entry-point group ``drasi.sources``).

A package's entry point is a ``SourceKind``, or a function without arguments that returns one. It may bring a kind that is known
by name only, or replace a built-in one.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from drasi.sources.port import SourceKind

GROUP = "drasi.sources"

_BUILT = {
    "SQLite": "drasi.sources.sqlite.source",
    "PostgreSQL": "drasi.sources.postgresql.kind",
    "Http": "drasi.sources.http",
    "Mock": "drasi.sources.mock",
    "Application": "drasi.sources.application",
    "PubSub": "drasi.sources.pubsub",
    "Firestore": "drasi.sources.firestore",
    "Debezium": "drasi.sources.debezium",
}
"""Kind → the module whose ``KIND`` it is."""

_KNOWN: dict[str, tuple[str, ...]] = {
    "MySQL": ("mysql",),
    "SQLServer": ("mssql",),
    "Oracle": ("oracle",),
    "CosmosGremlin": (),
    "Dataverse": ("dataverse",),
    "EventHub": (),
    "Kubernetes": ("kubernetes",),
    "Neo4j": ("neo4j",),
    "Kafka": ("kafka",),
    "Grpc": ("grpc",),
    "Query": (),
    "Platform": ("platform",),
    "HereTraffic": (),
    "Open511": (),
    "GtfsRt": (),
    "CloudflareRadar": (),
    "RisLive": (),
    "Hyperliquid": (),
    "SuiDeepBook": (),
}
"""Kinds that are known by name, with their aliases, and not built yet."""

_PUSHED = frozenset({"Grpc"})


@cache
def kinds() -> Mapping[str, SourceKind]:
    """Every kind by its name."""
    found = {name: SourceKind(name, aliases, pushed=name in _PUSHED) for name, aliases in _KNOWN.items()}
    for module in _BUILT.values():
        kind = importlib.import_module(module).KIND
        found[kind.name] = kind
    for point in entry_points(group=GROUP):
        loaded = point.load()
        kind = loaded if isinstance(loaded, SourceKind) else loaded()
        found[kind.name] = kind
    return found


def find(word: str) -> SourceKind | None:
    """The kind of this name or alias; surrounding blanks are ignored."""
    word = word.strip()
    kind = kinds().get(word)
    if kind is not None:
        return kind
    return next((kind for kind in kinds().values() if word in kind.aliases), None)
