"""What names mean while an expression is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from drasi.engine.codegen.types import Atom


class PlaceName(msgspec.Struct, frozen=True):
    """A name that stands for the element at a place of the pattern."""

    index: int
    kind: str


Binding = Atom | PlaceName
Scope = Mapping[str, Binding]


class Elements(Protocol):
    """How the code at hand reads the elements of the pattern: of the graph as it is, or as it was before the change."""

    def record(self, index: int) -> str:
        """The local that holds the record."""
        ...

    def property(self, index: int, key: str) -> str:
        """The local that holds a property."""
        ...

    def properties(self, index: int) -> str:
        """The local that holds the dictionary of properties."""
        ...

    def value(self, index: int) -> str:
        """Code for the element as a value."""
        ...

    def calculates(self, index: int, key: str) -> None:
        """Told of every property that arithmetic is done with."""
        ...


class Reads(msgspec.Struct):
    """What a query reads of each place: names of properties; ``whole``: everything; ``numbers``: what arithmetic is done with."""

    properties: dict[int, dict[str, None]] = {}
    whole: set[int] = set()
    numbers: dict[tuple[int, str], None] = {}

    def of(self, index: int) -> list[str]:
        return list(self.properties.get(index, ()))


class Recorder:
    """Elements that only notes what is read."""

    def __init__(self) -> None:
        self.reads = Reads()

    def record(self, index: int) -> str:
        return "None"

    def property(self, index: int, key: str) -> str:
        self.reads.properties.setdefault(index, {})[key] = None
        return "None"

    def properties(self, index: int) -> str:
        self.reads.whole.add(index)
        return "None"

    def value(self, index: int) -> str:
        self.reads.whole.add(index)
        return "None"

    def calculates(self, index: int, key: str) -> None:
        self.reads.numbers[index, key] = None
