"""A reaction's state in memory: for tests, and for what may be lost with the process."""

from __future__ import annotations

from drasi.reactions.state import DeadLetter, Progress, StateConflict


class MemoryState:
    """``ReactionState`` of one reaction."""

    def __init__(self) -> None:
        self._progress: dict[str, Progress] = {}
        self._letters: dict[str, DeadLetter] = {}

    async def queries(self) -> list[str]:
        return sorted(self._progress)

    async def get(self, query_id: str) -> Progress | None:
        return self._progress.get(query_id)

    async def put(self, query_id: str, progress: Progress, *, expected: Progress | None) -> None:
        if self._progress.get(query_id) != expected:
            raise StateConflict(f"the delivery state of '{query_id}' was written by another instance")
        self._progress[query_id] = progress

    async def forget(self, query_id: str) -> None:
        self._progress.pop(query_id, None)
        self._letters = {key: letter for key, letter in self._letters.items() if letter.query_id != query_id}

    async def add_dead_letter(self, letter: DeadLetter) -> None:
        self._letters.setdefault(letter.id, letter)

    async def dead_letters(self) -> list[DeadLetter]:
        return list(self._letters.values())

    async def count_dead_letters(self) -> int:
        return len(self._letters)

    async def drop_dead_letter(self, letter_id: str) -> bool:
        return self._letters.pop(letter_id, None) is not None
