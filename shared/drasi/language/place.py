"""Places in a query text: line, column, and the line with a caret below."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from drasi.errors import QueryError

_LINE_END = re.compile(r"\r\n|\r|\n")
_WIDEST = 120


def locate(text: str, pos: int) -> tuple[int, int]:
    """The line and column (from 1) of the offset ``pos`` (from 0)."""
    line, start = 1, 0
    for end in _LINE_END.finditer(text):
        if end.end() > pos:
            break
        line, start = line + 1, end.end()
    return line, pos - start + 1


def excerpt(text: str, pos: int) -> str:
    """The line of ``pos`` with a caret below it; of a very long line the part around the place."""
    _, column = locate(text, pos)
    start = pos - column + 1
    found = _LINE_END.search(text, start)
    line = text[start : found.start() if found else len(text)]
    at = min(column - 1, len(line))
    if len(line) > _WIDEST:
        left = max(0, min(at - _WIDEST // 2, len(line) - _WIDEST))
        right = left + _WIDEST
        line, at = ("…" if left else "") + line[left:right] + ("…" if right < len(line) else ""), at - left + (1 if left else 0)
    # Tabs stay, so that the caret stands below its character whatever their width.
    blank = "".join("\t" if character == "\t" else " " for character in line[:at])
    return f"{line}\n{blank}^"


def error_at(
    text: str,
    pos: int,
    detail: str,
    message: str,
    *,
    type: str = "SyntaxError",  # noqa: A002 -- the TCK's word
    phase: str = "compile time",
    hint: str = "",
) -> QueryError:
    """A QueryError about the construct at ``pos``."""
    line, column = locate(text, pos)
    return QueryError(type, detail, message, phase=phase, line=line, column=column, excerpt=excerpt(text, pos), hint=hint)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a person most likely meant, or None."""
    by_lower: dict[str, str] = {}
    for candidate in known:
        by_lower.setdefault(candidate.lower(), candidate)
    found = difflib.get_close_matches(name.lower(), sorted(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
