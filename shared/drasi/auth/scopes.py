"""Scopes: what a token allows (cli-and-api.md section 7)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Final

from drasi.errors import DrasiError

ADMIN: Final = "admin"
RESOURCE_READ: Final = "resource:read"
RESOURCE_WRITE: Final = "resource:write"
SECRET_WRITE: Final = "secret:write"  # noqa: S105 -- a scope
QUERY_DEBUG: Final = "query:debug"
QUERY_READ: Final = "query:read"
QUERY_DELIVER: Final = "query:deliver"
REACTION_DELIVER: Final = "reaction:deliver"
SOURCE_PUBLISH: Final = "source:publish"
SOURCE_READ: Final = "source:read"

PLAIN: Final = frozenset({ADMIN, RESOURCE_READ, RESOURCE_WRITE, SECRET_WRITE, QUERY_DEBUG})
NAMED: Final = frozenset({QUERY_READ, QUERY_DELIVER, REACTION_DELIVER, SOURCE_PUBLISH, SOURCE_READ})
"""Scopes that end in the name of what they are about, or in ``*``: everything of that kind."""

_NAME = re.compile(r"\*|[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?")


class UnknownScope(DrasiError):
    """A word that is no scope."""

    code: ClassVar[str] = "UnknownScope"


def parse(text: str | Iterable[str]) -> frozenset[str]:
    """Scopes of a text (separated by blanks) or of several.

    Raises:
        UnknownScope: With those that there are.
    """
    words = text.split() if isinstance(text, str) else [word for part in text for word in part.split()]
    for word in words:
        if not is_scope(word):
            known = ", ".join([*sorted(PLAIN), *(f"{prefix}:NAME" for prefix in sorted(NAMED))])
            raise UnknownScope(f"'{word[:80]}' is no scope", hint=f"scopes are {known}; NAME may be *")
    return frozenset(words)


def is_scope(word: str) -> bool:
    """Whether it is one of the scopes there are."""
    prefix, _, name = word.rpartition(":")
    return word in PLAIN or (prefix in NAMED and _NAME.fullmatch(name) is not None)


def grants(held: frozenset[str], needed: str) -> bool:
    """Whether a token with the scopes ``held`` may do what ``needed`` allows. ``admin`` may do everything."""
    return needed in held or ADMIN in held or f"{needed.rpartition(':')[0]}:*" in held
