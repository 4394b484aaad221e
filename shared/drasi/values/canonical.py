"""A short, printable text of a group key: what row ids are made of."""

from __future__ import annotations

import re
from json import dumps

from drasi.values.equivalence import FALSE_KEY, NAN_KEY, TRUE_KEY, GroupKey

_BARE = re.compile(r"[A-Za-z0-9_.\-]+").fullmatch
_CONSTANTS = {TRUE_KEY: "true", FALSE_KEY: "false", NAN_KEY: "NaN"}
_INT64 = 2.0**63


def canonical_text(key: GroupKey) -> str:
    """The text of an equivalence class: one text for each class, another for every other.

    The same in every process and release. 1 and 1.0 are ``1``; strings are in quotes, as in JSON; lists and maps as in
    JSON; a node is ``(source/id)``, a relation ``<source/id>``, a path ``p`` and these in turn.
    """
    if key is None:
        return "null"
    if isinstance(key, str):
        return _quoted(key)
    if isinstance(key, int):
        return str(key)
    if isinstance(key, float):
        return _float(key)
    constant = _CONSTANTS.get(key)
    if constant is not None:
        return constant
    tag, *parts = key
    if tag == "list":
        return "[" + ",".join([canonical_text(part) for part in parts]) + "]"
    if tag == "map":
        return "{" + ",".join([f"{_quoted(name)}:{canonical_text(part)}" for name, part in parts]) + "}"
    if tag == "node":
        return f"({_name(parts[0])}/{_name(parts[1])})"
    if tag == "relation":
        return f"<{_name(parts[0])}/{_name(parts[1])}>"
    # A path: nodes at even places, relations between them.
    steps = [f"<{_name(s)}/{_name(i)}>" if place % 2 else f"({_name(s)}/{_name(i)})" for place, (s, i) in enumerate(parts)]
    return "p" + "".join(steps)


def _float(value: float) -> str:
    if value.is_integer() and -_INT64 <= value < _INT64:
        return str(int(value))
    text = repr(value)
    return {"inf": "Infinity", "-inf": "-Infinity"}.get(text, text)


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    quoted = dumps(text, ensure_ascii=False)
    return quoted if quoted.isprintable() else dumps(text)


def _name(text: str) -> str:
    return text if _BARE(text) else _quoted(text)
