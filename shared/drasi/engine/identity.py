"""Texts of identities: what a row is called, in every process and release.

A match is named by its elements, a group by its keys' equivalence classes. While short, the name is the text itself; longer ones
are a 128-bit hash of it. The prefix tells the kinds apart: ``e:`` elements, ``g:`` groups, ``h:`` hashed.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from drasi.values.canonical import canonical_text

_LONGEST = 64


def match_text(identity: Any) -> str:
    """``e:source/id|source/id``: the elements of a match, in the order of the pattern's places."""
    if identity.__class__ is not tuple:
        return f"e:{_escape(identity.source)}/{_escape(identity.id)}"
    return "e:" + "|".join([f"{_escape(record.source)}/{_escape(record.id)}" for record in identity])


def group_text(keys: int) -> Callable[[Any], str]:
    """``g:`` and the keys, equal for equivalent ones (1 and 1.0); for groups of ``keys`` keys."""
    if keys == 1:
        return lambda identity: "g:" + canonical_text(identity)
    return lambda identity: "g:" + ",".join([canonical_text(key) for key in identity])


def row_id(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return "h:" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _escape(text: str) -> str:
    if not text.isalnum() and ("%" in text or "/" in text or "|" in text):
        return text.replace("%", "%25").replace("/", "%2F").replace("|", "%7C")
    return text
