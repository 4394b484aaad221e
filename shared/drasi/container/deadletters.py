"""Messages and items that can never succeed: recorded, counted, out of the way."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import msgspec

MOST = 10_000
"""So many are listed; of older ones only the number is known (their content stays in the log as long as that is kept)."""


class Letter(msgspec.Struct, array_like=True):
    """One dead letter; its content is a document of the log.

    Attributes:
        element: Id of the element concerned, if that much can be read.
        superseded: A later change of the element was applied: handing the letter in again would undo that.
    """

    id: str
    source: str
    position: str | None
    at_ns: int
    entry: int
    error: str
    size: int
    element: str | None = None
    superseded: bool = False
    control: bool = False


def letter_id(where: str, position: str | None, data: bytes) -> str:
    """The same for the same item, however often it is recorded."""
    hasher = blake2b(where.encode(), digest_size=12)
    hasher.update(b"\0" + position.encode() if position else b"\1" + data)
    return hasher.hexdigest()


class DeadLetters:
    """Letters by id, in the order of their arrival."""

    def __init__(self) -> None:
        self._letters: dict[str, Letter] = {}
        self._elements: dict[tuple[str, str], list[str]] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[Letter]:
        return iter(list(self._letters.values()))

    def get(self, letter: str) -> Letter | None:
        return self._letters.get(letter)

    def count(self, source: str) -> int:
        return sum(1 for letter in self._letters.values() if letter.source == source and not letter.control)

    def record(self, letter: Letter) -> bool:
        """Returns whether it is new."""
        if letter.id in self._letters:
            return False
        self._letters[letter.id] = letter
        if letter.element is not None:
            self._elements.setdefault((letter.source, letter.element), []).append(letter.id)
        if len(self._letters) > MOST:
            self.remove(next(iter(self._letters)))
            self.dropped += 1
        return True

    def remove(self, letter: str) -> None:
        found = self._letters.pop(letter, None)
        if found is not None and found.element is not None:
            ids = self._elements[(found.source, found.element)]
            ids.remove(letter)
            if not ids:
                del self._elements[(found.source, found.element)]

    @property
    def concern_elements(self) -> bool:
        return bool(self._elements)

    def applied(self, source: str, element: str) -> None:
        """A change of the element was applied."""
        for letter in self._elements.get((source, element), ()):
            self._letters[letter].superseded = True

    def plain(self) -> tuple[list[Letter], int]:
        return list(self._letters.values()), self.dropped

    def restore(self, letters: list[Letter], dropped: int) -> None:
        for letter in letters:
            self.record(letter)
        self.dropped = dropped
