"""``Firestore``: documents of some collections (connectors.md section 5.4)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from drasi.errors import DrasiError
from drasi.messages.changes import Element, SourceChange
from drasi.project import HOW, project_of
from drasi.sources.firestore_documents import BadDocument, DocumentReader, path_of, position_text
from drasi.sources.firestore_events import document_json, read_event
from drasi.sources.instants import datetime_to_ns
from drasi.sources.intake import accept, read_body
from drasi.sources.mappings import SCHEMA as MAPPINGS
from drasi.sources.mappings import InvalidMapping, MappingError
from drasi.sources.port import (
    BadRequest,
    OriginUnavailable,
    SnapshotEnd,
    SnapshotHeader,
    SnapshotLine,
    SnapshotRequest,
    SourceContext,
    SourceKind,
)
from drasi.sources.pushed import PushedSource

if TYPE_CHECKING:
    from google.cloud.firestore_v1.types import Document

    from drasi.firestore.client import FirestoreClient
    from drasi.sources.firestore_listener import Listener

PAGE = 300
"""Documents of one query."""
PART = 3_000
"""Documents of one part."""
_LARGEST_BODY = 12_000_000
"""A document has 1 MiB, and the event it and the one before, which base64 and JSON swell."""

_ALL = -1


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a snapshot goes on: the pattern, the document, and how many of its elements are done (all: ``_ALL``)."""

    pattern: int = 0
    name: str = ""
    done: int = _ALL


class FirestoreSource(PushedSource):
    """``POST /`` takes the CloudEvents that Eventarc posts; they come again and out of order, and the documents' own update times
    order the changes of each. With ``listen`` it also asks Firestore for changes itself; what comes both ways counts once.
    """

    def __init__(self, context: SourceContext) -> None:
        super().__init__(context, partition=None)
        if not context.properties.get("collections"):
            raise InvalidMapping(f"source {context.id} needs collections")
        self._reader = DocumentReader(context.id, context.properties)
        self._mapped = bool(context.properties.get("mappings"))
        self._made: FirestoreClient | None = None
        self._read_ns = 0
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Nothing is made: a trigger is the installation's, and a listener finds its place.

        Raises:
            OriginUnavailable: Firestore cannot be read now.
        """
        if not self.context.properties.get("listen", True):
            return
        client = self._client()
        if self._listener is None:
            from drasi.sources.firestore_listener import Listener

            self._listener = Listener(self.context, self._reader, lambda: client, self._documents, self._look, mapped=self._mapped)
        await self._listener.start()

    async def run(self) -> None:
        if self._listener is None:
            await super().run()
        else:
            await self._listener.run()

    async def mark(self) -> SourceChange | None:
        """Behind the marker nothing older comes: the listener is as far as the snapshot."""
        if self._listener is not None:
            await self._listener.reached(self._read_ns)
        return None

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/", self.take, methods=["POST"])]

    async def take(self, request: Request) -> Response:
        body = await read_body(request, _LARGEST_BODY)
        if isinstance(body, Response):
            return body
        headers = {name.lower(): value for name, value in request.headers.items()}
        identity = headers.get("ce-id") or hashlib.blake2b(body, digest_size=12).hexdigest()
        content = {"subject": headers.get("ce-subject", ""), "type": headers.get("ce-type", "")}
        return await accept(
            self.context,
            lambda: self._reader.changes(read_event(headers, body)),
            identity=identity,
            content=content,
            bad=(BadDocument, MappingError),
        )

    async def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        """One part: queries at one read time, which is its position. With mappings there is none."""
        if self._mapped:
            yield SnapshotHeader("", self.context.now_ns())
            yield SnapshotEnd(0)
            return
        cursor = _read_cursor(request.cursor)
        read_at: Any = None
        headed = False
        count = documents = 0
        for pattern in range(cursor.pattern, len(self._reader.collections.patterns)):
            name, done = (cursor.name, cursor.done) if pattern == cursor.pattern else ("", _ALL)
            more = True
            while more:
                page, read_at = await self._page(pattern, name, read_at, inclusive=done != _ALL)
                if not headed:
                    headed = True
                    position = datetime_to_ns(read_at)
                    self._read_ns = max(self._read_ns, position)
                    yield SnapshotHeader(position_text(position), position)
                if self._listener is not None:
                    await self._listener.served(page, read_at)
                more = len(page) == PAGE
                for document in page:
                    elements = self._elements(document, pattern, request)
                    skipped = done if document.name == name else 0
                    for index, element in enumerate(elements[skipped:], start=skipped):
                        if request.limit is not None and count == request.limit:
                            yield SnapshotEnd(count, _cursor(pattern, document.name, index))
                            return
                        count += 1
                        yield element
                    name, done = document.name, _ALL
                    documents += 1
                if more and documents >= PART:
                    yield SnapshotEnd(count, _cursor(pattern, name, _ALL))
                    return
        yield SnapshotEnd(count)

    async def _documents(self, pattern: int, at: datetime | None) -> AsyncIterator[tuple[list[Document], datetime]]:
        """All documents of the query behind a pattern, page by page."""
        name = ""
        while True:
            page, at = await self._page(pattern, name, at, inclusive=False)
            yield page, at
            if len(page) < PAGE:
                return
            name = page[-1].name

    async def _look(self, paths: Sequence[str], at: datetime | None) -> tuple[dict[str, Document], datetime]:
        try:
            client = self._client()
            found, when = await client.whole(paths, at=at)
            if at is None and client.emulator is not None:
                found, _ = await client.whole(paths, at=when)
            return found, when
        except DrasiError as error:
            raise OriginUnavailable(error.message, hint=error.hint) from error

    async def close(self) -> None:
        client, self._made = self._made, None
        if client is not None:
            await client.close()

    def _elements(self, document: Document, pattern: int, request: SnapshotRequest) -> list[Element]:
        from google.cloud.firestore_v1.types import Document

        path = path_of(document.name)
        if self._reader.collections.first(path) != pattern:
            return []
        found = self._reader.elements(path, document_json(Document.serialize(document)).get("fields", {}))
        if not request.nodes and not request.relations:
            return found
        return [
            element
            for element in found
            if (set(element.labels) & (request.nodes if element.startId is None else request.relations))
        ]

    async def _page(self, pattern: int, after: str, at: Any, *, inclusive: bool) -> tuple[list[Document], Any]:
        from google.cloud.firestore_v1.types import Cursor, StructuredQuery, Value

        collection, parent, fixed = self._reader.collections.query(pattern)
        wanted = StructuredQuery(
            from_=[StructuredQuery.CollectionSelector(collection_id=collection, all_descendants=not fixed)],
            order_by=[StructuredQuery.Order(field=StructuredQuery.FieldReference(field_path="__name__"), direction="ASCENDING")],
            limit=PAGE,
        )
        if after:
            wanted.start_at = Cursor(values=[Value(reference_value=after)], before=inclusive)
        try:
            client = self._client()
            page, when = await client.documents(wanted, parent=parent, at=at)
            if at is None and client.emulator is not None:
                # The emulator says an instant after that of its reading.
                page, _ = await client.documents(wanted, parent=parent, at=when)
            return page, when
        except DrasiError as error:
            raise OriginUnavailable(error.message, hint=error.hint) from error

    def _client(self) -> FirestoreClient:
        if self._made is None:
            try:
                from drasi.firestore.client import FirestoreClient
            except ImportError as error:
                raise OriginUnavailable(f"{error.name} is not installed", hint="pip install 'drasi[gcp]'") from error
            properties = self.context.properties
            project = project_of(properties.get("project"))
            if not project:
                raise OriginUnavailable(f"nobody said in which project source {self.context.id} reads", hint=HOW)
            self._made = FirestoreClient.of(project, database=str(properties.get("database") or "(default)"))
        return self._made


def _cursor(pattern: int, name: str, done: int) -> str:
    return msgspec.json.encode(_Cursor(pattern, name, done)).decode()


def _read_cursor(text: str | None) -> _Cursor:
    if text is None:
        return _Cursor()
    try:
        return msgspec.json.decode(text, type=_Cursor)
    except msgspec.MsgspecError:
        raise BadRequest("the cursor is none of this source") from None


def _make(context: SourceContext) -> FirestoreSource:
    return FirestoreSource(context)


KIND = SourceKind(
    name="Firestore",
    schema={
        "type": "object",
        "required": ["collections"],
        "properties": {
            "project": {"type": "string", "description": "The installation's if not given"},
            "database": {"type": "string", "default": "(default)"},
            "collections": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "description": "Ids (at any depth) or paths: ships, ports/*/berths",
            },
            "references": {"type": "string", "enum": ["relation", "string"], "default": "relation"},
            "parents": {"type": "boolean", "default": False, "description": "A relation CHILD_OF to the parent document"},
            "mappings": MAPPINGS,
            "listen": {"type": "boolean", "default": True, "description": "Asks Firestore for changes; else CloudEvents alone"},
        },
    },
    make=_make,
    pushed=True,
)
