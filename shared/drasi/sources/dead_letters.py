"""Changes of a source that can never succeed: kept with their error, and counted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from drasi.sources.port import State, StateConflict

_NAME = "deadLetters"
_MOST = 1_000
_MOST_BYTES = 3_000_000


class DeadLetter(msgspec.Struct, frozen=True):
    """``id`` follows from source, position and content: recording one twice keeps one."""

    id: str
    position: str
    error: str
    at: str
    content: dict[str, Any]


class _Kept(msgspec.Struct, frozen=True):
    total: int = 0
    letters: list[DeadLetter] = []


_decode = msgspec.json.Decoder(_Kept).decode


class DeadLetters:
    """The newest thousand dead letters of one source (3 MB of them at most), in its state.

    Attributes:
        total: How many there were in all.
    """

    def __init__(self, source_id: str, state: State) -> None:
        self._source_id = source_id
        self._state = state
        self._stored: str | None = None
        self._kept = _Kept()

    @property
    def total(self) -> int:
        return self._kept.total

    async def load(self) -> None:
        self._stored = await self._state.get(_NAME)
        self._kept = _decode(self._stored) if self._stored else _Kept()

    async def add(self, position: str, content: Mapping[str, Any], error: str, now_ns: int) -> None:
        digest = hashlib.blake2b(f"{self._source_id}\0{position}\0".encode(), digest_size=12)
        digest.update(msgspec.json.encode(dict(content), order="deterministic"))
        at = datetime.fromtimestamp(now_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        letter = DeadLetter(digest.hexdigest(), position, error, at, dict(content))
        while not any(kept.id == letter.id for kept in self._kept.letters):
            kept = _Kept(self._kept.total + 1, _newest([*self._kept.letters, letter]))
            value = msgspec.json.encode(kept).decode()
            try:
                await self._state.put(_NAME, value, expected=self._stored)
            except StateConflict:
                await self.load()
                continue
            self._stored, self._kept = value, kept

    def list(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [msgspec.to_builtins(letter) for letter in self._kept.letters]


def _newest(letters: list[DeadLetter]) -> list[DeadLetter]:
    """What fits into one value of every store."""
    last = letters[-1]
    if len(msgspec.json.encode(last)) > _MOST_BYTES:
        size = len(msgspec.json.encode(last.content))
        letters = [*letters[:-1], msgspec.structs.replace(last, content={"omitted": f"{size} bytes"})]
    begin = max(0, len(letters) - _MOST)
    sizes = [len(msgspec.json.encode(letter)) + 1 for letter in letters[begin:]]
    total = sum(sizes)
    while total > _MOST_BYTES:
        total -= sizes[0]
        del sizes[0]
    return letters[len(letters) - len(sizes) :]
