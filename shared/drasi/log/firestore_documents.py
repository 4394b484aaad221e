"""The documents beside a log, in Firestore: blobs by name."""

from __future__ import annotations

from collections.abc import Sequence

from drasi.firestore import blobs
from drasi.firestore.blobs import Torn
from drasi.firestore.client import FirestoreClient, FirestoreUnavailable, document_id, name_of

_READS = 5
BEYOND = "\U0010ffff"
"""After every id with the same beginning."""


class Documents:
    """Blobs of one collection, ids made of their names."""

    def __init__(self, client: FirestoreClient, collection: str) -> None:
        self._client = client
        self.collection = collection

    async def put(self, name: str, data: bytes) -> None:
        client = self._client
        path = f"{self.collection}/{document_id(name)}"
        nonce = blobs.new_nonce()
        head = client.set(path, blobs.head_fields(data, nonce))
        for writes in blobs.commits(client, path, head, data, nonce):
            await client.commit(writes)

    async def get(self, name: str) -> bytes | None:
        path = f"{self.collection}/{document_id(name)}"
        for _ in range(_READS):
            found, _ = await self._client.read([path])
            if path not in found:
                return None
            try:
                (data,) = await blobs.contents(self._client, [found[path]])
            except Torn:
                # Replaced between the head and its parts.
                continue
            return data
        raise FirestoreUnavailable(f"{path} has no parts", hint="somebody deleted them")

    async def names(self, prefix: str, *, first: str | None = None, limit: int | None = None) -> list[str]:
        """Names that begin with ``prefix``, from ``first`` on, in byte order."""
        begin = document_id(first if first is not None else prefix) or None
        beyond = document_id(prefix) + BEYOND if prefix else None
        ids = await self._client.ids(self.collection, first=begin, beyond=beyond, limit=limit)
        return sorted((name_of(each) for each in ids), key=str.encode)

    async def drop(self, names: Sequence[str]) -> None:
        if not names:
            return
        ids = sorted((document_id(name) for name in names), key=str.encode)
        await self._client.delete_all(self.collection, ids)
        # Parts of any writing of these names, also of one that was replaced or never finished.
        dropped = set(ids)
        parts = f"{self.collection}-parts"
        found = await self._client.ids(parts, first=ids[0], beyond=max(f"{each}~{BEYOND}" for each in ids))
        await self._client.delete_all(parts, [each for each in found if each.rsplit("~", 2)[0] in dropped])

    async def clear(self) -> None:
        await self._client.clear(self.collection)
        await self._client.clear(f"{self.collection}-parts")
