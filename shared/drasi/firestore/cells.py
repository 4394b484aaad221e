"""Values that are replaced only by who has read them: one document each, with parts where a value is too large for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from google.cloud.firestore_v1.types import Write

from drasi.errors import DrasiError
from drasi.firestore import blobs
from drasi.firestore.blobs import Torn
from drasi.firestore.client import FirestoreClient, FirestoreUnavailable, Found, Refused

LARGEST = blobs.COMMIT_BYTES
_READS = 5


class ValueTooLarge(DrasiError):
    """The value is beyond what one commit carries; nothing was written."""

    code = "ValueTooLarge"


class Changed(DrasiError):
    """Something else is stored than what the writer had read; nothing was written."""

    code = "Changed"
    retryable = True


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as it was read or written.

    Attributes:
        version: The condition of a write in its place.
        nonce: Of the writing; ``parts`` how many documents beside the head it has.
    """

    path: str
    data: bytes
    version: datetime
    created: datetime | None
    nonce: bytes
    parts: int

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]


class Cells:
    """Reads and replaces values. A write costs one commit of one document, whatever was read before."""

    def __init__(self, client: FirestoreClient) -> None:
        self.client = client

    async def get(self, path: str) -> Cell | None:
        for _ in range(_READS):
            found, _ = await self.client.read([path])
            if path not in found:
                return None
            try:
                (cell,) = await self._cells([found[path]])
            except Torn:
                # Replaced between the head and its parts.
                continue
            return cell
        raise FirestoreUnavailable(f"{path} has no parts", hint="it changes too often, or somebody deleted them")

    async def all(
        self, collection: str, *, first: str | None = None, beyond: str | None = None, equal: tuple[str, str] | None = None
    ) -> list[Cell]:
        """The cells of a collection (with ids from ``first`` to before ``beyond``), in the order of their ids."""
        for _ in range(_READS):
            found = await self.client.query(collection, first=first, beyond=beyond, equal=equal)
            try:
                return await self._cells(found)
            except Torn:
                continue
        raise FirestoreUnavailable(
            f"{collection} has documents without parts", hint="it changes too often, or somebody deleted them"
        )

    async def put(self, path: str, data: bytes, *, over: Cell | None, also: Sequence[Write] = (), **fields: str) -> Cell:
        """Writes a value in place of ``over`` (None: of nothing), with other writes in the same commit.

        Raises:
            Changed, ValueTooLarge, FirestoreUnavailable
        """
        if len(data) > LARGEST:
            raise ValueTooLarge(f"{path} would have {len(data)} bytes; the most is {LARGEST}")
        client = self.client
        nonce = blobs.new_nonce()
        content = {**blobs.head_fields(data, nonce), **fields}
        head = client.create(path, content) if over is None else client.set(path, content, over=over.version)
        (writes,) = blobs.commits(client, path, head, data, nonce)
        place = len(writes) - 1
        if over is not None:
            writes += [client.delete(blobs.part_path(path, over.nonce, number)) for number in range(over.parts)]
        try:
            versions = await client.commit([*writes, *also])
        except Refused as error:
            # An attempt before the last may have succeeded without an answer.
            found, _ = await client.read([path], fields=["nonce"])
            if path not in found or found[path].fields.get("nonce") != nonce:
                raise Changed(f"{path} is not what was read") from error
            version = found[path].updated
        else:
            version = versions[place]
        return Cell(path, data, version, None, nonce, int(content.get("parts", 0)))

    async def delete(self, cell: Cell) -> None:
        """Deletes what was read.

        Raises:
            Changed, FirestoreUnavailable
        """
        client = self.client
        parts = [client.delete(blobs.part_path(cell.path, cell.nonce, number)) for number in range(cell.parts)]
        try:
            await client.commit([client.delete(cell.path, over=cell.version), *parts])
        except Refused as error:
            found, _ = await client.read([cell.path], fields=["nonce"])
            if cell.path in found:
                raise Changed(f"{cell.path} is not what was read") from error

    async def _cells(self, heads: Sequence[Found]) -> list[Cell]:
        datas = await blobs.contents(self.client, heads)
        return [
            Cell(head.path, data, head.updated, head.created, head.fields["nonce"], head.fields.get("parts", 0))
            for head, data in zip(heads, datas, strict=True)
        ]
