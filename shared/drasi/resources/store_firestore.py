"""Resources in Firestore: a document each, and one for each of its last versions, written in one commit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec
from google.cloud.firestore_v1.types import Write

from drasi.firestore import blobs
from drasi.firestore.cells import Cell, Cells, Changed, ValueTooLarge
from drasi.firestore.client import FirestoreClient, FirestoreUnavailable, document_id
from drasi.resources.resource import Resource
from drasi.resources.store import KEPT_VERSIONS, Conflict, StoreUnavailable

_BEYOND = "\U0010ffff"


class _Head(msgspec.Struct):
    """What is stored of one kind and name: the last version given, and the resource if it was not deleted."""

    version: int = 0
    resource: Resource | None = None


_encode = msgspec.json.Encoder().encode
_decode_head = msgspec.json.Decoder(_Head).decode
_decode = msgspec.json.Decoder(Resource).decode


class FirestoreResourceStore:
    """A ``ResourceStore`` below one document.

    Args:
        client: Stays open when the store is closed.
        root: The document.
    """

    def __init__(self, client: FirestoreClient, root: str = "drasi/installation") -> None:
        self._client = client
        self._cells = Cells(client)
        self._heads = f"{root}/drasi-resources"
        self._versions = f"{root}/drasi-resource-versions"
        self._notes = f"{root}/drasi-notes"
        self._closed = False

    async def get(self, kind: str, name: str) -> Resource | None:
        with self._call():
            _, head = await self._head(kind, name)
            return head.resource

    async def of_kind(self, kind: str) -> list[Resource]:
        with self._call():
            cells = await self._cells.all(self._heads, first=f"{kind}:", beyond=f"{kind}:{_BEYOND}")
        stored = [_decode_head(cell.data).resource for cell in cells]
        return sorted((resource for resource in stored if resource is not None), key=lambda resource: resource.name)

    async def put(self, resource: Resource, *, expected: int | None = None) -> Resource:
        with self._call():
            while True:
                cell, head = await self._head(resource.kind, resource.name)
                _expect(head, expected)
                stored = msgspec.structs.replace(resource, version=head.version + 1)
                body = _encode(stored)
                also = [self._version(stored, body)]
                if stored.version > KEPT_VERSIONS:
                    also.append(self._client.delete(self._version_path(stored.kind, stored.name, stored.version - KEPT_VERSIONS)))
                with contextlib.suppress(Changed):
                    await self._replace(resource.kind, resource.name, cell, _Head(stored.version, stored), also)
                    return _decode(body)

    async def revise(self, resource: Resource) -> None:
        with self._call():
            while True:
                cell, head = await self._head(resource.kind, resource.name)
                if head.resource is None or head.version != resource.version:
                    return
                also = [self._version(resource, _encode(resource))]
                with contextlib.suppress(Changed):
                    await self._replace(resource.kind, resource.name, cell, _Head(head.version, resource), also)
                    return

    async def delete(self, kind: str, name: str, *, expected: int | None = None) -> Resource | None:
        with self._call():
            while True:
                cell, head = await self._head(kind, name)
                _expect(head, expected)
                if head.resource is None:
                    return None
                with contextlib.suppress(Changed):
                    await self._replace(kind, name, cell, _Head(head.version), [])
                    return head.resource

    async def versions(self, kind: str, name: str) -> list[Resource]:
        with self._call():
            begin = f"{kind}:{document_id(name)}~"
            cells = await self._cells.all(self._versions, first=begin, beyond=f"{begin}{_BEYOND}")
            return [_decode(cell.data) for cell in reversed(cells)]

    async def note(self, name: str) -> str | None:
        with self._call():
            cell = await self._cells.get(f"{self._notes}/{document_id(name)}")
            return None if cell is None else cell.data.decode()

    async def set_note(self, name: str, text: str | None) -> None:
        path = f"{self._notes}/{document_id(name)}"
        with self._call():
            while True:
                cell = await self._cells.get(path)
                with contextlib.suppress(Changed):
                    if text is not None:
                        await self._cells.put(path, text.encode(), over=cell)
                    elif cell is not None:
                        await self._cells.delete(cell)
                    return

    async def close(self) -> None:
        self._closed = True

    async def _head(self, kind: str, name: str) -> tuple[Cell | None, _Head]:
        cell = await self._cells.get(f"{self._heads}/{kind}:{document_id(name)}")
        return cell, _Head() if cell is None else _decode_head(cell.data)

    async def _replace(self, kind: str, name: str, over: Cell | None, head: _Head, also: list[Write]) -> None:
        await self._cells.put(f"{self._heads}/{kind}:{document_id(name)}", _encode(head), over=over, also=also)

    def _version(self, resource: Resource, body: bytes) -> Write:
        if len(body) > blobs.PART_BYTES:
            raise ValueTooLarge(
                f"{resource.path} has {len(body)} bytes; the most is {blobs.PART_BYTES}", hint="spread it over several resources"
            )
        path = self._version_path(resource.kind, resource.name, resource.version)
        return self._client.set(path, blobs.head_fields(body, blobs.new_nonce()))

    def _version_path(self, kind: str, name: str, version: int) -> str:
        return f"{self._versions}/{kind}:{document_id(name)}~{version:010d}"

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailable("the store is closed", hint="the process is stopping")
        try:
            yield
        except FirestoreUnavailable as error:
            raise StoreUnavailable(error.message, hint=error.hint) from error


def _expect(head: _Head, expected: int | None) -> None:
    if expected is not None and expected != (head.version if head.resource is not None else 0):
        raise Conflict
