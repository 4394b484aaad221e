"""Functions of strings, all in code points (language.md section 8.3)."""

from __future__ import annotations

from typing import Any

from drasi.engine.functions.arguments import integer, string
from drasi.values.errors import invalid_value, out_of_range


def to_upper(text: Any) -> str | None:
    """In capitals, by Unicode."""
    return None if text is None else string("toUpper", text).upper()


def to_lower(text: Any) -> str | None:
    """In small letters, by Unicode."""
    return None if text is None else string("toLower", text).lower()


def trim(text: Any) -> str | None:
    """Without white space at both ends."""
    return None if text is None else string("trim", text).strip()


def trim_left(text: Any) -> str | None:
    """Without white space at the beginning."""
    return None if text is None else string("lTrim", text).lstrip()


def trim_right(text: Any) -> str | None:
    """Without white space at the end."""
    return None if text is None else string("rTrim", text).rstrip()


def left(text: Any, count: Any) -> str | None:
    """The first ``count`` code points."""
    if text is None or count is None:
        return None
    return string("left", text)[: _count("left", count)]


def right(text: Any, count: Any) -> str | None:
    """The last ``count`` code points."""
    if text is None or count is None:
        return None
    whole = string("right", text)
    return whole[max(0, len(whole) - _count("right", count)) :]


def substring(text: Any, start: Any, count: Any = 2**63 - 1) -> str | None:
    """``count`` code points from ``start``, as far as there are any."""
    if text is None or start is None or count is None:
        return None
    whole = string("substring", text)
    begin = _count("substring", start)
    return whole[begin : begin + _count("substring", count)]


def replace(text: Any, find: Any, by: Any) -> str | None:
    """With ``by`` for every ``find``; an empty ``find`` finds nothing."""
    if text is None or find is None or by is None:
        return None
    whole, old, new = string("replace", text), string("replace", find), string("replace", by)
    return whole.replace(old, new) if old else whole


def split(text: Any, delimiter: Any) -> list[str] | None:
    """The parts between the delimiters: a string, or a list of strings that split in turn; an empty one into characters."""
    if text is None or delimiter is None:
        return None
    parts = [string("split", text)]
    if type(delimiter) is not str and type(delimiter) is not list:
        raise invalid_value("split()", "a string or a list of strings", delimiter)
    for one in delimiter if type(delimiter) is list else [delimiter]:
        by = string("split", one)
        parts = [piece for part in parts for piece in (part.split(by) if by else part)]
    return parts


def _count(name: str, value: Any) -> int:
    if integer(name, value) < 0:
        raise out_of_range(f"{name}() takes no negative number ({value})")
    return value  # type: ignore[no-any-return]
