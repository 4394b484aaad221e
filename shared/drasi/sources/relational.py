"""What sources of tables share: their properties (connectors.md section 3.1), what these ask for, and what stands in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NAMES: Mapping[str, Any] = {"type": "array", "items": {"type": "string", "minLength": 1}}

RELATIONAL: Mapping[str, Any] = {
    "tables": {**NAMES, "description": "Tables to watch; none given: all"},
    "tableKeys": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["table", "keyColumns"],
            "properties": {"table": {"type": "string"}, "keyColumns": NAMES},
        },
    },
    "foreignKeys": {"type": "string", "enum": ["none", "all"], "default": "none"},
    "relations": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["type", "table", "columns", "references"],
            "properties": {
                "type": {"type": "string", "minLength": 1},
                "table": {"type": "string"},
                "columns": NAMES,
                "references": {"type": "string"},
                "referencedColumns": NAMES,
            },
        },
    },
    "decimals": {"type": "string", "enum": ["float", "string"], "default": "float"},
    "pageSize": {"type": "integer", "minimum": 1, "default": 1000},
    "onPositionLost": {"type": "string", "enum": ["rebootstrap", "stop"], "default": "rebootstrap"},
}
"""Schemas of their properties, by name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the properties ask for. ``tables`` empty: all."""

    tables: tuple[str, ...] = ()
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    foreign_keys: bool = False
    relations: tuple[Mapping[str, Any], ...] = ()


def wanted(properties: Mapping[str, Any]) -> Wanted:
    """Reads it from properties."""
    keys = {entry["table"]: tuple(entry["keyColumns"]) for entry in properties.get("tableKeys") or ()}
    return Wanted(
        tables=tuple(properties.get("tables") or ()),
        keys=keys,
        foreign_keys=properties.get("foreignKeys", "none") == "all",
        relations=tuple(properties.get("relations") or ()),
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps a table or a relation from being captured; the others are."""

    code: str
    text: str


class Problems:
    """Those that a source's status shows.

    Args:
        report: Shows a text under a code; None takes it away.
    """

    def __init__(self, report: Callable[[str, str | None], None]) -> None:
        self._report = report
        self._shown: set[str] = set()

    def show(self, problems: Iterable[Problem]) -> None:
        """Shows these, and no earlier ones."""
        texts: dict[str, str] = {}
        for problem in problems:
            texts[problem.code] = f"{texts[problem.code]}; {problem.text}" if problem.code in texts else problem.text
        for code in self._shown - texts.keys():
            self._report(code, None)
        for code, text in texts.items():
            self._report(code, text)
        self._shown = set(texts)
