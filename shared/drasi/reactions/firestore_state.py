"""Reactions' state in Firestore: a document for the progress of each query, and one for each dead letter."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from hashlib import blake2b

import msgspec

from drasi.firestore.cells import Cells, Changed, ValueTooLarge
from drasi.firestore.client import FirestoreClient, FirestoreUnavailable, document_id, name_of
from drasi.firestore.compared import ComparedCells
from drasi.reactions.state import (
    DeadLetter,
    Progress,
    StateConflict,
    StateUnavailable,
    decode_progress,
    encode_progress,
)

_decode_letter = msgspec.json.Decoder(DeadLetter).decode


class FirestoreState:
    """``ReactionState`` of one reaction. Moving on costs one commit of one document, and no read."""

    def __init__(self, client: FirestoreClient, reaction_id: str, root: str = "drasi/installation") -> None:
        self._client = client
        self._cells = Cells(client)
        self._compared = ComparedCells(self._cells)
        place = f"{root}/drasi-reactions/{document_id(reaction_id)}"
        self._progress = f"{place}/drasi-reaction-progress"
        self._letters = f"{place}/drasi-reaction-letters"

    async def queries(self) -> list[str]:
        with _call():
            return sorted(name_of(each) for each in await self._client.ids(self._progress))

    async def get(self, query_id: str) -> Progress | None:
        with _call():
            data = await self._compared.get(self._path(query_id))
            return None if data is None else decode_progress(data)

    async def put(self, query_id: str, progress: Progress, *, expected: Progress | None) -> None:
        before = None if expected is None else encode_progress(expected)
        with _call():
            try:
                await self._compared.put(self._path(query_id), encode_progress(progress), expected=before)
            except Changed as error:
                raise StateConflict(f"the delivery state of '{query_id}' was written by another instance") from error

    async def forget(self, query_id: str) -> None:
        with _call():
            path = self._path(query_id)
            self._compared.forget(path)
            for cell in [await self._cells.get(path), *await self._cells.all(self._letters, equal=("query", query_id))]:
                if cell is not None:
                    await self._cells.delete(cell)

    async def add_dead_letter(self, letter: DeadLetter) -> None:
        with _call(), contextlib.suppress(Changed):
            await self._cells.put(self._letter(letter.id), msgspec.json.encode(letter), over=None, query=letter.query_id)

    async def dead_letters(self) -> list[DeadLetter]:
        with _call():
            cells = [(cell.created, cell.data) for cell in await self._cells.all(self._letters) if cell.created is not None]
            return [_decode_letter(data) for _, data in sorted(cells, key=lambda cell: cell[0])]

    async def count_dead_letters(self) -> int:
        with _call():
            return await self._client.count(self._letters)

    async def drop_dead_letter(self, letter_id: str) -> bool:
        with _call():
            cell = await self._cells.get(self._letter(letter_id))
            if cell is None:
                return False
            await self._cells.delete(cell)
            return True

    def _path(self, query_id: str) -> str:
        return f"{self._progress}/{document_id(query_id)}"

    def _letter(self, letter_id: str) -> str:
        # The id of a row may be longer than that of a document.
        return f"{self._letters}/{blake2b(letter_id.encode(), digest_size=16).hexdigest()}"


@contextlib.contextmanager
def _call() -> Iterator[None]:
    try:
        yield
    except Changed as error:
        raise StateConflict(error.message) from error
    except (FirestoreUnavailable, ValueTooLarge) as error:
        raise StateUnavailable(error.message, hint=error.hint) from error
