"""The durable memory of sources, in Firestore: a document for each text."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from drasi.firestore.cells import Cells, Changed, ValueTooLarge
from drasi.firestore.client import FirestoreClient, FirestoreUnavailable, document_id
from drasi.firestore.compared import ComparedCells
from drasi.sources.port import StateConflict
from drasi.statefile import StateUnavailable


class FirestoreState:
    """``State`` of one source. Moving a position on costs one commit of one document, and no read."""

    def __init__(self, client: FirestoreClient, source_id: str, root: str = "drasi/installation") -> None:
        self._client = client
        self._source_id = source_id
        self._cells = ComparedCells(Cells(client))
        self._collection = f"{root}/drasi-sources/{document_id(source_id)}/drasi-source-state"

    async def get(self, name: str) -> str | None:
        with self._call():
            data = await self._cells.get(f"{self._collection}/{document_id(name)}")
            return None if data is None else data.decode()

    async def put(self, name: str, value: str, *, expected: str | None) -> None:
        before = None if expected is None else expected.encode()
        with self._call():
            try:
                await self._cells.put(f"{self._collection}/{document_id(name)}", value.encode(), expected=before)
            except Changed as error:
                raise StateConflict(
                    f"{name} of source {self._source_id} is not what was read: another process writes it too"
                ) from error

    async def clear(self) -> None:
        with self._call():
            self._cells.forget()
            await self._client.clear(self._collection)
            await self._client.clear(f"{self._collection}-parts")

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        try:
            yield
        except (FirestoreUnavailable, ValueTooLarge) as error:
            raise StateUnavailable(error.message, hint=error.hint) from error
