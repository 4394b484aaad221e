"""Kinds of source and reaction for tests of manifests: what they may hold does not change with the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drasi.reactions.port import Finding, ReactionKind
from drasi.resources.resource import SOURCE
from drasi.sources.port import SourceKind


def _no_source(context: Any) -> Any:
    raise AssertionError("no test of manifests starts a source")


HARBOUR = SourceKind(
    name="Harbour",
    aliases=("harbour",),
    schema={
        "type": "object",
        "required": ["host", "tables"],
        "properties": {
            "host": {"type": "string", "minLength": 1},
            "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 5432},
            "ssl": {"type": "boolean", "default": False},
            "mode": {"enum": ["fast", "safe"]},
            "tables": {"type": "array", "items": {"type": "string"}},
            "password": {"type": "string"},
            "options": {"type": "object", "properties": {"depth": {"type": "number"}}},
            "tides": {"type": "object"},
        },
    },
    make=_no_source,
    not_yet=frozenset({"tides"}),
)
FOREIGN = SourceKind(name="PostgreSQL", aliases=("postgres",))


def _check(value: Any) -> list[Finding]:
    if value is None or (isinstance(value, Mapping) and "added" in value):
        return []
    return [Finding("InvalidTemplate", "added.body", "the template ends early", 1, 3, "{{x", "close it with }}")]


HORN = ReactionKind(
    name="Horn",
    aliases=("horn",),
    schema={"type": "object", "properties": {"loud": {"type": "boolean"}, "adaptiveVolume": {"type": "integer"}}},
    check=_check,
    make=_no_source,
)
SIGNALR = ReactionKind(name="SignalR")
STORE = ReactionKind(name="SyncDaprStateStore")


def registry(kind: str) -> Mapping[str, SourceKind | ReactionKind]:
    """Stands for the registries of the built-in kinds."""
    sources: list[SourceKind | ReactionKind] = [HARBOUR, FOREIGN]
    reactions: list[SourceKind | ReactionKind] = [HORN, SIGNALR, STORE]
    return {entry.name: entry for entry in (sources if kind == SOURCE else reactions)}
