"""What the checker can know of a value's type before any data is there: enough to refuse what must fail."""

from __future__ import annotations

import msgspec


class Type(msgspec.Struct, frozen=True):
    """A static type. ``item`` is the items' type of a list, None when unknown or no list."""

    name: str
    item: Type | None = None

    def __str__(self) -> str:
        """As it reads in a sentence: ``a string``, ``an integer``."""
        if self.name in ("anything", "null"):
            return self.name
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"


ANY = Type("anything")
NULL = Type("null")
BOOLEAN = Type("boolean")
INTEGER = Type("integer")
FLOAT = Type("float")
NUMBER = Type("number")
STRING = Type("string")
LIST = Type("list")
MAP = Type("map")
NODE = Type("node")
RELATION = Type("relation")
PATH = Type("path")
DATE = Type("date")
TIME = Type("time")
LOCAL_TIME = Type("localtime")
DATE_TIME = Type("datetime")
LOCAL_DATE_TIME = Type("localdatetime")
DURATION = Type("duration")

NUMBERS = frozenset({"integer", "float", "number"})
TEMPORALS = frozenset({"date", "time", "localtime", "datetime", "localdatetime", "duration"})
ELEMENTS = frozenset({"node", "relation"})


def list_of(item: Type | None) -> Type:
    return Type("list", None if item in (None, ANY) else item)


def unite(types: list[Type]) -> Type:
    """The narrowest type that covers all of ``types``; null fits everywhere."""
    known = [type_ for type_ in types if type_ != NULL]
    if not known:
        return NULL if types else ANY
    first = known[0]
    if all(type_ == first for type_ in known):
        return first
    if all(type_.name in NUMBERS for type_ in known):
        return NUMBER
    if all(type_.name == "list" for type_ in known):
        return LIST
    return ANY


def certainly_not(type_: Type, accepted: frozenset[str]) -> bool:
    """Whether no value of ``type_`` but null is of an ``accepted`` type."""
    if type_ in (ANY, NULL) or type_.name in accepted:
        return False
    return not (type_.name in NUMBERS and accepted & NUMBERS and (type_.name == "number" or "number" in accepted))
