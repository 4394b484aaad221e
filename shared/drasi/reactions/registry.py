"""The kinds of reaction: the built-in ones, and those of packages (entry-point group ``drasi.reactions``).

A package's entry point is a ``ReactionKind``, or a function without arguments that returns one. It may bring a kind that is known
by name only, or replace a built-in one.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from drasi.reactions.port import ReactionKind

GROUP = "drasi.reactions"

_BUILT = {
    "Log": "drasi.reactions.log",
    "Http": "drasi.reactions.http",
    "SSE": "drasi.reactions.sse",
    "Debug": "drasi.reactions.debug",
    "StoredProc": "drasi.reactions.storedproc.kind",
    "PubSub": "drasi.reactions.pubsub",
    "Firestore": "drasi.reactions.firestore",
}
"""Kind → the module whose ``KIND`` it is."""

_KNOWN: dict[str, tuple[str, ...]] = {
    "SignalR": (),
    "Result": (),
    "EventGrid": ("eventgrid",),
    "EventBridge": (),
    "StorageQueue": (),
    "Debezium": (),
    "Gremlin": (),
    "storedproc-mysql": (),
    "storedproc-mssql": (),
    "Dataverse": (),
    "MCP": ("mcp",),
    "SyncVectorStore": (),
    "PostDaprPubSub": (),
    "SyncDaprStateStore": (),
    "File": ("file",),
    "Grpc": ("grpc",),
    "Loki": ("loki",),
    "RabbitMQ": ("rabbitmq",),
    "AwsSqs": ("aws-sqs",),
    "AzureStorage": ("azure-storage",),
    "Platform": ("platform",),
    "Dashboard": ("dashboard",),
    "Profiler": ("profiler",),
    "Application": ("application",),
}
"""Kinds that are known by name, with their aliases, and not built yet."""


@cache
def kinds() -> Mapping[str, ReactionKind]:
    """Every kind by its name."""
    found = {name: ReactionKind(name, aliases) for name, aliases in _KNOWN.items()}
    for module in _BUILT.values():
        kind = importlib.import_module(module).KIND
        found[kind.name] = kind
    for point in entry_points(group=GROUP):
        loaded = point.load()
        kind = loaded if isinstance(loaded, ReactionKind) else loaded()
        found[kind.name] = kind
    return found


def find(word: str) -> ReactionKind | None:
    """The kind of this name or alias; surrounding blanks are ignored."""
    word = word.strip()
    kind = kinds().get(word)
    if kind is not None:
        return kind
    return next((kind for kind in kinds().values() if word in kind.aliases), None)
