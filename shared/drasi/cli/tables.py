"""Aligned columns of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns two blanks apart, each as wide as its widest cell."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[index]) for row in cells)]) for index, name in enumerate(columns)]
    lines = [columns, *cells]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def cell(value: Any) -> str:
    """A value in one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.replace("\n", " ")
    if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
        return "; ".join(f"{name}: {item}" for name, item in value.items()).replace("\n", " ")
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode() if value else ""
    return str(value)
