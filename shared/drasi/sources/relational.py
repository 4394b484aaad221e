"""Properties that sources of tables share (connectors.md section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
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
