"""Which types a value can have at run time, as far as the query text tells."""

from __future__ import annotations

from typing import Any

import msgspec

Types = frozenset[str]

NULL: Types = frozenset({"null"})
BOOL: Types = frozenset({"bool"})
INT: Types = frozenset({"int"})
FLOAT: Types = frozenset({"float"})
STRING: Types = frozenset({"str"})
LIST: Types = frozenset({"list"})
MAP: Types = frozenset({"map"})
NODE: Types = frozenset({"node"})
RELATION: Types = frozenset({"relation"})
NUMBER: Types = INT | FLOAT
LOGICAL: Types = BOOL | NULL
PROPERTY: Types = NULL | BOOL | NUMBER | STRING | LIST | MAP
ANY: Types = PROPERTY | NODE | RELATION

_PYTHON = {bool: BOOL, int: INT, float: FLOAT, str: STRING, list: LIST, dict: MAP, type(None): NULL}


class Atom(msgspec.Struct, frozen=True):
    """A value in generated code: a local name or a literal, safe to repeat.

    ``bound``: no integer it can be is greater, either way; None: not known.
    """

    code: str
    types: Types = ANY
    bound: int | None = None


def types_of(value: Any) -> Types:
    return _PYTHON[type(value)]


TRUE = Atom("True", BOOL)
FALSE = Atom("False", BOOL)
NONE = Atom("None", NULL)
