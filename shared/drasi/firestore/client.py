"""One database of Firestore: the calls we need, and what they fail with said in our words.

The asynchronous client is used as it comes from the API's definition. The handwritten one on top of it takes the emulator's address
from the process's environment only, retries what must be tried once, and hides how many calls a method makes.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.api_core.exceptions import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    GoogleAPICallError,
    InternalServerError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServiceUnavailable,
    Unauthenticated,
    Unknown,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport
from google.cloud.firestore_v1.types import (
    BatchGetDocumentsRequest,
    CommitRequest,
    Cursor,
    Document,
    DocumentMask,
    ListenRequest,
    ListenResponse,
    Precondition,
    RunAggregationQueryRequest,
    RunQueryRequest,
    StructuredAggregationQuery,
    StructuredQuery,
    Value,
    Write,
)

from drasi.errors import DrasiError

T = TypeVar("T")
Fields = Mapping[str, "bytes | str | int"]
"""What a document holds."""

DEADLINE_S = 30.0
MOST_WRITES = 500
"""Of one commit."""

_TRANSIENT = (Aborted, Cancelled, DeadlineExceeded, InternalServerError, ResourceExhausted, ServiceUnavailable, Unknown)
_ERRORS = (GoogleAPICallError, GoogleAuthError, grpc.aio.AioRpcError, grpc.aio.UsageError)
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    # gRPC's own repetitions would turn the success of a conditional write into its failure.
    ("grpc.enable_retries", 0),
    # An emulator that comes back is found within seconds, not after minutes of backing off.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
]


class FirestoreUnavailable(DrasiError):
    """Firestore did not answer in time, refuses, or cannot be reached. A write may have happened or not."""

    code = "FirestoreUnavailable"
    retryable = True


class Refused(DrasiError):
    """The condition of a write does not hold; nothing of its commit was written."""

    code = "Refused"


@dataclass(frozen=True, slots=True)
class Found:
    """A document as it was read.

    Attributes:
        path: Below the database's root.
        created: When it was created, by the server's clock.
        updated: Its version: the condition of a write that is to replace just this one.
    """

    path: str
    fields: dict[str, Any]
    created: datetime
    updated: datetime

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]


class FirestoreClient:
    """One project's database, or the emulator's.

    Made by whoever runs the process, within its event loop, shared by all stores, and closed by who made it.

    Args:
        project: The project's id.
        database: The database's id.
        emulator: ``host:port`` of the emulator; None: Google's.
        deadline_s: Of one request.
        patience_s: How long a request that may be repeated is tried again when it fails for a while.
        interceptors: Of the channel (metering).

    Attributes:
        connection: Counts the connections lost so far: a server that came back may have forgotten everything.
        guard: Awaited before every commit leaves; raises to keep it from leaving (``drasi.firestore.presence``).
    """

    def __init__(
        self,
        project: str,
        *,
        database: str = "(default)",
        emulator: str | None = None,
        deadline_s: float = DEADLINE_S,
        patience_s: float = 10.0,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> None:
        self.project = project
        self.database = database
        self.emulator = emulator
        self.deadline_s = deadline_s
        self.connection = 0
        self.guard: Callable[[], Awaitable[None]] | None = None
        self._patience_s = patience_s
        self._interceptors = list(interceptors)
        self._name = f"projects/{project}/databases/{database}"
        self._root = f"{self._name}/documents"
        self._channel: grpc.aio.Channel | None = None
        self._made: FirestoreAsyncClient | None = None
        self._watching: asyncio.Task[None] | None = None
        self._lost: set[asyncio.Future[None]] = set()
        metadata = [("google-cloud-resource-prefix", self._name), ("x-goog-request-params", f"database={self._name}")]
        self._metadata = (*metadata, ("authorization", "Bearer owner")) if emulator else tuple(metadata)
        self._closed = False

    @classmethod
    def of(
        cls,
        project: str,
        variables: Mapping[str, str] | None = None,
        *,
        database: str = "(default)",
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> FirestoreClient:
        """As the environment says: ``FIRESTORE_EMULATOR_HOST`` names the emulator."""
        variables = os.environ if variables is None else variables
        emulator = variables.get("FIRESTORE_EMULATOR_HOST") or None
        return cls(project, database=database, emulator=emulator, interceptors=interceptors)

    def beside(self, database: str) -> FirestoreClient:
        """A client of another database of the same project."""
        return FirestoreClient(
            self.project,
            database=database,
            emulator=self.emulator,
            deadline_s=self.deadline_s,
            patience_s=self._patience_s,
            interceptors=self._interceptors,
        )

    # --- reading ---

    async def read(self, paths: Sequence[str], *, fields: Sequence[str] | None = None) -> tuple[dict[str, Found], datetime]:
        """The documents there are among ``paths``, and when it was so by the server's clock.

        Args:
            fields: Only these.
        """
        request = BatchGetDocumentsRequest(database=self._name, documents=[f"{self._root}/{path}" for path in paths])
        if fields is not None:
            request.mask = DocumentMask(field_paths=fields)

        async def attempt() -> tuple[dict[str, Found], datetime]:
            found: dict[str, Found] = {}
            when: datetime | None = None
            async for response in await self._api().batch_get_documents(request=request, **self._call()):
                when = response.read_time
                if response.found.name:
                    document = self._found(response.found)
                    found[document.path] = document
            if when is None:
                raise ServiceUnavailable("the answer was empty")  # type: ignore[no-untyped-call]
            return found, when

        return await self._patiently("read", attempt)

    async def query(
        self,
        collection: str,
        *,
        first: str | None = None,
        beyond: str | None = None,
        limit: int | None = None,
        fields: Sequence[str] | None = None,
        equal: tuple[str, str] | None = None,
        weigh: Callable[[Found], int] | None = None,
        most: int = 0,
    ) -> list[Found]:
        """Documents of a collection in the order of their ids.

        Args:
            collection: Its path.
            first, beyond: Ids from ``first`` to just before ``beyond``.
            fields: Only these; empty: ids alone.
            equal: A field, and the text it must have.
            weigh, most: It ends before the document with which the weights go beyond ``most``, but has one at least.
        """
        parent, _, name = collection.rpartition("/")
        wanted = StructuredQuery(
            from_=[StructuredQuery.CollectionSelector(collection_id=name)],
            order_by=[StructuredQuery.Order(field=StructuredQuery.FieldReference(field_path="__name__"), direction="ASCENDING")],
        )
        if first is not None:
            wanted.start_at = Cursor(values=[Value(reference_value=f"{self._root}/{collection}/{first}")], before=True)
        if beyond is not None:
            wanted.end_at = Cursor(values=[Value(reference_value=f"{self._root}/{collection}/{beyond}")], before=True)
        if limit is not None:
            wanted.limit = limit
        if fields is not None:
            names = [StructuredQuery.FieldReference(field_path=field) for field in fields or ("__name__",)]
            wanted.select = StructuredQuery.Projection(fields=names)
        if equal is not None:
            wanted.where = StructuredQuery.Filter(
                field_filter=StructuredQuery.FieldFilter(
                    field=StructuredQuery.FieldReference(field_path=equal[0]), op="EQUAL", value=Value(string_value=equal[1])
                )
            )
        request = RunQueryRequest(parent=f"{self._root}/{parent}" if parent else self._root, structured_query=wanted)

        async def attempt() -> list[Found]:
            found: list[Found] = []
            weight = 0
            stream: Any = await self._api().run_query(request=request, **self._call())
            async for response in stream:
                if response.document.name:
                    document = self._found(response.document)
                    weight += weigh(document) if weigh is not None else 0
                    if found and weight > most:
                        stream.cancel()
                        break
                    found.append(document)
            return found

        return await self._patiently("read", attempt)

    async def documents(
        self, wanted: StructuredQuery, *, parent: str = "", at: datetime | None = None
    ) -> tuple[list[Document], datetime]:
        """Documents with all their fields, and the instant they were read at.

        Args:
            parent: The path of the document whose collections are meant; empty: the root.
            at: As of then.
        """
        request = RunQueryRequest(parent=f"{self._root}/{parent}" if parent else self._root, structured_query=wanted, read_time=at)

        async def attempt() -> tuple[list[Document], datetime]:
            found: list[Document] = []
            when = at
            async for response in await self._api().run_query(request=request, **self._call()):
                when = when or response.read_time
                if response.document.name:
                    found.append(response.document)
            if when is None:
                raise ServiceUnavailable("the answer was empty")  # type: ignore[no-untyped-call]
            return found, when

        return await self._patiently("read", attempt)

    async def whole(self, paths: Sequence[str], *, at: datetime | None = None) -> tuple[dict[str, Document], datetime]:
        """The documents there are among ``paths``, as the API has them, and when it was so.

        Args:
            at: As of then.
        """
        names = [f"{self._root}/{path}" for path in paths]
        request = BatchGetDocumentsRequest(database=self._name, documents=names, read_time=at)

        async def attempt() -> tuple[dict[str, Document], datetime]:
            found: dict[str, Document] = {}
            when: datetime | None = None
            async for response in await self._api().batch_get_documents(request=request, **self._call()):
                when = response.read_time
                if response.found.name:
                    found[response.found.name[len(self._root) + 1 :]] = response.found
            if when is None:
                raise ServiceUnavailable("the answer was empty")  # type: ignore[no-untyped-call]
            return found, when

        return await self._patiently("read", attempt)

    async def listen(self, requests: AsyncIterator[ListenRequest]) -> AsyncGenerator[ListenResponse, None]:
        """One stream of changes, as the API has it; close it when it is not read to its end.

        Raises:
            FirestoreUnavailable: It broke, or cannot be opened.
        """
        routing = ("google-cloud-resource-prefix", self._name)
        stream: Any = None
        try:
            stream = await self._api().listen(requests=requests, retry=None, timeout=None, metadata=[*self._metadata, routing])
            async for response in stream:
                if not isinstance(response, ListenResponse):
                    # The emulator mixes up answers when it has many; gRPC then hands on what it could not read.
                    raise ServiceUnavailable("an answer cannot be read")  # type: ignore[no-untyped-call]
                yield response
        except _ERRORS as error:
            raise self._told("listen", error) from error
        finally:
            if stream is not None:
                stream.cancel()

    async def ids(
        self, collection: str, *, first: str | None = None, beyond: str | None = None, limit: int | None = None
    ) -> list[str]:
        return [found.id for found in await self.query(collection, first=first, beyond=beyond, limit=limit, fields=())]

    async def count(self, collection: str) -> int:
        """How many documents a collection has; a read for each thousand."""
        parent, _, name = collection.rpartition("/")
        counting = StructuredAggregationQuery(
            structured_query=StructuredQuery(from_=[StructuredQuery.CollectionSelector(collection_id=name)]),
            aggregations=[StructuredAggregationQuery.Aggregation(count=StructuredAggregationQuery.Aggregation.Count(), alias="n")],
        )
        request = RunAggregationQueryRequest(
            parent=f"{self._root}/{parent}" if parent else self._root, structured_aggregation_query=counting
        )

        async def attempt() -> int:
            total = 0
            async for response in await self._api().run_aggregation_query(request=request, **self._call()):
                total += int(response.result.aggregate_fields["n"].integer_value)
            return total

        return await self._patiently("count", attempt)

    # --- writing ---

    def create(self, path: str, fields: Fields) -> Write:
        """A write that needs the document to be absent."""
        return Write(update=self._document(path, fields), current_document=Precondition(exists=False))

    def set(self, path: str, fields: Fields, *, over: Found | datetime | None = None) -> Write:
        """A write of the whole document; with ``over`` only in place of that version."""
        updated = over.updated if isinstance(over, Found) else over
        condition = Precondition(update_time=updated) if updated is not None else None
        return Write(update=self._document(path, fields), current_document=condition)

    def delete(self, path: str, *, over: datetime | None = None, must_exist: bool = False) -> Write:
        condition = Precondition(update_time=over) if over is not None else Precondition(exists=True) if must_exist else None
        return Write(delete=f"{self._root}/{path}", current_document=condition)

    async def commit(self, writes: Sequence[Write], *, once: bool = False, deadline_s: float | None = None) -> list[datetime]:
        """Makes the writes together or not at all, and returns the versions they gave.

        Args:
            once: It is not tried again, whatever happens.

        Raises:
            Refused: A condition does not hold. (Without ``once`` it may have held, and an earlier attempt have succeeded unseen.)
            FirestoreUnavailable: It may have happened or not.
        """
        request = CommitRequest(database=self._name, writes=writes)

        async def attempt() -> list[datetime]:
            if self.guard is not None:
                await self.guard()
            response = await self._api().commit(request=request, **self._call(deadline_s))
            return [result.update_time for result in response.write_results]

        if not once:
            return await self._patiently("write", attempt)
        try:
            return await attempt()
        except _ERRORS as error:
            raise self._told("write", error) from error

    async def delete_all(self, collection: str, ids: Iterable[str], *, size: int = MOST_WRITES) -> None:
        """Deletes documents of a collection, some hundred in a commit; what is not there is no error."""
        writes: list[Write] = []
        for each in ids:
            writes.append(self.delete(f"{collection}/{each}"))
            if len(writes) == size:
                await self.commit(writes)
                writes = []
        if writes:
            await self.commit(writes)

    async def clear(self, collection: str) -> None:
        """Deletes every document of a collection."""
        while ids := await self.ids(collection, limit=MOST_WRITES):
            await self.delete_all(collection, ids)

    # --- the connection ---

    @property
    def root(self) -> str:
        """The name of the database's root: documents' names begin with it."""
        return self._root

    @property
    def connected(self) -> bool:
        """Whether the connection is up at this moment."""
        channel = self._channel
        return channel is not None and channel.get_state() is grpc.ChannelConnectivity.READY

    async def disconnected(self) -> None:
        """Returns when a connection is lost."""
        self._api()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost.add(future)
        try:
            await future
        finally:
            self._lost.discard(future)

    async def close(self) -> None:
        self._closed = True
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
        channel, self._channel = self._channel, None
        self._made = None
        if channel is not None:
            await channel.close()

    def _api(self) -> FirestoreAsyncClient:
        if self._closed:
            raise FirestoreUnavailable(f"the connection to {self.where} is closed", hint="the process is stopping")
        if self._made is None:
            try:
                self._channel = self._connect()
            except GoogleAuthError as error:
                raise self._told("connect", error) from error
            self._made = FirestoreAsyncClient(transport=FirestoreGrpcAsyncIOTransport(channel=self._channel))
            self._watching = asyncio.create_task(self._watch(self._channel), name="connection to Firestore")
        return self._made

    def _connect(self) -> grpc.aio.Channel:
        if self.emulator:
            return grpc.aio.insecure_channel(self.emulator, options=_OPTIONS, interceptors=self._interceptors)
        return FirestoreGrpcAsyncIOTransport.create_channel(options=_OPTIONS, interceptors=self._interceptors)

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        while True:
            state = channel.get_state()
            await channel.wait_for_state_change(state)
            if state is grpc.ChannelConnectivity.READY:
                self.connection += 1
                for future in self._lost:
                    if not future.done():
                        future.set_result(None)

    # --- one call ---

    def _call(self, deadline_s: float | None = None) -> dict[str, Any]:
        """Of one attempt; the generated client's own retry is off everywhere."""
        return {"retry": None, "timeout": self.deadline_s if deadline_s is None else deadline_s, "metadata": self._metadata}

    async def _patiently(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        end = time.monotonic() + self._patience_s
        pause = 0.05
        while True:
            try:
                return await attempt()
            except _ERRORS as error:
                if not isinstance(error, _TRANSIENT) or time.monotonic() + pause > end:
                    raise self._told(what, error) from error
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 -- jitter
            pause = min(pause * 2, 2.0)

    @property
    def where(self) -> str:
        """What it is a client of, for people."""
        return f"Firestore's emulator at {self.emulator}" if self.emulator else f"Firestore, {self._name}"

    def _told(self, what: str, error: BaseException) -> DrasiError:
        text = getattr(error, "message", None) or str(error) or type(error).__name__
        if what == "write" and isinstance(error, (AlreadyExists, FailedPrecondition, NotFound)):
            return Refused(f"{self.where}: {text}")
        hint = "it is tried again"
        if isinstance(error, (PermissionDenied, Unauthenticated, GoogleAuthError)):
            hint = "give the service account the role roles/datastore.user"
        elif isinstance(error, (NotFound, FailedPrecondition)):
            hint = f"create the database '{self.database}' in native mode, or name another"
        elif isinstance(error, ResourceExhausted):
            hint = "see the project's quota; it is tried again"
        elif self.emulator:
            hint = "see whether the emulator runs; it is tried again"
        return FirestoreUnavailable(f"cannot {what} at {self.where}: {text}", hint=hint)

    # --- documents ---

    def _document(self, path: str, fields: Fields) -> Document:
        return Document(name=f"{self._root}/{path}", fields={name: _value(value) for name, value in fields.items()})

    def _found(self, document: Document) -> Found:
        fields = {name: _plain(value) for name, value in document.fields.items()}
        return Found(document.name[len(self._root) + 1 :], fields, document.create_time, document.update_time)


def _value(value: bytes | str | int) -> Value:
    if isinstance(value, bytes):
        return Value(bytes_value=value)
    return Value(string_value=value) if isinstance(value, str) else Value(integer_value=value)


def _plain(value: Value) -> Any:
    kind = Value.pb(value).WhichOneof("value_type")
    if kind == "map_value":
        return {name: _plain(item) for name, item in value.map_value.fields.items()}
    return getattr(value, kind) if kind in ("bytes_value", "string_value", "integer_value") else None


_ESCAPED = str.maketrans({"%": "%25", "/": "%2F"})


def document_id(name: str) -> str:
    """A document's id for any name: reversible, prefixes stay prefixes, no ``/`` and nothing reserved (``.``, ``__x__``)."""
    escaped = name.translate(_ESCAPED)
    return f"%{ord(escaped[0]):02X}{escaped[1:]}" if escaped[:1] in (".", "_") else escaped


def name_of(identifier: str) -> str:
    """What ``document_id`` was made of."""
    for escape, character in (("%2F", "/"), ("%2E", "."), ("%5F", "_"), ("%25", "%")):
        identifier = identifier.replace(escape, character)
    return identifier
