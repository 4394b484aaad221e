"""What the checker asks of a procedure that the host program registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drasi.language import types
from drasi.language.types import Type


class Signature(Protocol):
    """A procedure's face: names and types as ``("name", "STRING?")``."""

    @property
    def arguments(self) -> Sequence[tuple[str, str]]: ...

    @property
    def results(self) -> Sequence[tuple[str, str]]: ...


_TYPES = {
    "STRING": types.STRING,
    "INTEGER": types.INTEGER,
    "FLOAT": types.FLOAT,
    "NUMBER": types.NUMBER,
    "BOOLEAN": types.BOOLEAN,
    "MAP": types.MAP,
    "NODE": types.NODE,
    "RELATIONSHIP": types.RELATION,
    "PATH": types.PATH,
}


def type_named(written: str) -> Type:
    """The type written ``INTEGER?``; what is not known is anything."""
    word = written.strip().rstrip("?").strip().upper()
    return types.LIST if word.startswith("LIST") else _TYPES.get(word, types.ANY)
