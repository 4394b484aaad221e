"""``Firestore``: a collection that equals the query's result, exactly once (connectors.md section 9.2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import BaseRoute

from drasi.errors import DrasiError
from drasi.messages.results import ChangeEvent, ControlEvent, ResultEvent
from drasi.project import HOW, project_of
from drasi.reactions.configuration import choose, ignored
from drasi.reactions.firestore_rows import InvalidConfiguration, Layout, RowFailure, instant, valid_id
from drasi.reactions.port import Confirm, DeliveryFailed, Finding, Reaction, ReactionContext, ReactionKind
from drasi.reactions.rows import RowChange, context, row_changes
from drasi.templates import TemplateError, parse

if TYPE_CHECKING:
    from google.cloud.firestore_v1.types import Write

    from drasi.firestore.client import FirestoreClient

COMMIT_BYTES: Final = 3_500_000
"""Of one commit: the emulator's requests end at 4 MiB, the cloud's at 10."""
COMMIT_WRITES: Final = 450

_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class InvalidTarget(DrasiError):
    """A property that no collection can be kept with."""

    code = "InvalidValue"


@dataclass(frozen=True, slots=True)
class _State:
    """The document of a query's sequence. ``whole``: a copy of the result at it was finished."""

    sequence: int = 0
    whole: bool = False
    version: datetime | None = None


@dataclass(slots=True)
class _Plan:
    """What is to be written: the last word on each document.

    Attributes:
        sets: Document id → the row it is for, and its fields.
        deletes: Document id → the row that leaves it.
    """

    sets: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    deletes: dict[str, str] = field(default_factory=dict)


class FirestoreReaction:
    """Every commit carries the query's sequence document with a condition on its version, so nothing is written twice, late, or by
    two instances; the last commit of an event moves the sequence. What the document does not follow on is made up for by writing
    the result anew.
    """

    delivers = True

    def __init__(self, given: ReactionContext) -> None:
        properties = given.properties
        self._id = given.id
        self._reader = given.reader
        self._report = given.report
        self._leave_out = given.leave_out
        self._project = str(properties.get("project") or "")
        self._database = str(properties.get("database") or "(default)")
        self._layouts: dict[str, Layout] = {}
        self._collections: dict[str, str] = {}
        for query_id in given.queries:
            value = choose(query_id, given.queries, properties).value or {}
            self._layouts[query_id] = Layout.of(value)
            self._collections[query_id] = _collection(str(value.get("collection") or properties["collection"]), query_id)
        self._states: dict[str, _State] = {}
        self._client: FirestoreClient | None = None

    async def start(self) -> None:
        try:
            from drasi.firestore.client import FirestoreClient
        except ImportError as error:
            raise InvalidTarget(f"{error.name} is not installed", hint="pip install 'drasi[gcp]'") from error
        project = project_of(self._project)
        if not project:
            raise InvalidTarget("nobody said in which project the collection is", hint=HOW)
        await self.close()
        self._client = FirestoreClient.of(project, database=self._database)

    def notice(self, query_id: str, events: bytes) -> None:
        """It delivers."""

    def routes(self) -> Sequence[BaseRoute]:
        return ()

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def deliver(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm) -> None:
        try:
            state = await self._state(query_id)
            follows = event.sequence == state.sequence + 1 or _may_jump(event)
            if not state.whole or (event.sequence > state.sequence and not follows):
                await self.resync(query_id)
                state = await self._state(query_id)
                if event.sequence > state.sequence:
                    raise DeliveryFailed(
                        f"the result that was read is older ({state.sequence}) than event {event.sequence}", retryable=True
                    )
            if event.sequence > state.sequence:
                await self._apply(query_id, event, done)
        except DeliveryFailed:
            raise
        except DrasiError as error:
            # A query that is not there may come; a commit that was refused was another instance's.
            raise DeliveryFailed(error.message, retryable=True, hint=error.hint) from error
        if isinstance(event, ChangeEvent):
            for change in row_changes(event):
                if change.row_id not in done:
                    confirm(change.row_id)

    async def resync(self, query_id: str) -> int:
        """Makes the collection equal to the query's result, and returns the result's sequence."""
        state = await self._state(query_id)
        view = await self._reader.view(query_id)
        event = ChangeEvent(
            query_id, view.sequence, view.timestamp, [row.data for row in view.rows], addedRowIds=[row.row_id for row in view.rows]
        )
        plan = _Plan()
        for change in row_changes(event):
            try:
                identity, fields = self._document(query_id, event, change)
            except DeliveryFailed as error:
                if not await self._leave_out(event, error):
                    raise
                continue
            if identity in plan.sets:
                self._duplicate(query_id)
            plan.sets[identity] = (change.row_id, fields)
        for identity in await self._owned(query_id):
            if identity not in plan.sets:
                plan.deletes[identity] = ""
        await self._commit(query_id, plan, state, _State(view.sequence, whole=True))
        return view.sequence

    async def _apply(self, query_id: str, event: ResultEvent, done: Collection[str]) -> None:
        state = await self._state(query_id)
        plan = _Plan()
        if isinstance(event, ControlEvent):
            if event.controlSignal.kind in ("bootstrapStarted", "deleted"):
                plan.deletes = dict.fromkeys(await self._owned(query_id), "")
        else:
            for change in row_changes(event):
                if change.row_id not in done:
                    self._note(query_id, event, change, plan)
            await self._respect_owners(query_id, plan)
        await self._commit(query_id, plan, state, _State(event.sequence, whole=True))

    def _note(self, query_id: str, event: ChangeEvent, change: RowChange, plan: _Plan) -> None:
        left = taken = None
        if change.before is not None:
            try:
                left = self._layouts[query_id].document_id(change.before, change.row_id)
            except RowFailure:
                left = None  # It never became a document.
        if change.after is not None:
            taken, fields = self._document(query_id, event, change)
            other = plan.sets.get(taken)
            if other is not None and other[0] != change.row_id:
                raise DeliveryFailed(
                    "DuplicateKey: another row of the same event has the same key",
                    retryable=False,
                    row_id=other[0],
                    hint="choose keyField so that every row has its own",
                )
            plan.sets[taken] = (change.row_id, fields)
        if left is not None and left != taken:
            plan.deletes[left] = change.row_id

    def _document(self, query_id: str, event: ChangeEvent, change: RowChange) -> tuple[str, dict[str, Any]]:
        layout = self._layouts[query_id]
        row = change.after or {}
        metadata = {
            "sequence": {"integerValue": str(event.sequence)},
            "rowId": {"stringValue": change.row_id},
            "updatedAt": instant(event.sourceTimeMs),
            "owner": {"stringValue": self._owner(query_id)},
        }
        try:
            return layout.document_id(row, change.row_id), layout.document(row, context(self._id, event, change), metadata)
        except RowFailure as error:
            raise DeliveryFailed(error.message, retryable=False, row_id=change.row_id, hint=error.hint) from None

    async def _respect_owners(self, query_id: str, plan: _Plan) -> None:
        """With keys, a document may be another row's: that one's is not deleted, and taking it is said."""
        layout = self._layouts[query_id]
        for identity in [identity for identity in plan.deletes if identity in plan.sets]:
            # Left by one row and taken by another within the event.
            if not layout.metadata or not layout.key:
                del plan.deletes[identity]
        if not layout.key or not layout.metadata:
            return
        collection = self._collections[query_id]
        identities = list(dict.fromkeys([*plan.deletes, *plan.sets]))
        for start in range(0, len(identities), COMMIT_WRITES):
            paths = [f"{collection}/{identity}" for identity in identities[start : start + COMMIT_WRITES]]
            found, _ = await self._firestore.read(paths, fields=[_field_path(layout.metadata)])
            for path, document in found.items():
                identity = path.rpartition("/")[2]
                metadata = document.fields.get(layout.metadata)
                owner = metadata.get("rowId") if isinstance(metadata, dict) else None
                leaving = plan.deletes.get(identity)
                taking = plan.sets.get(identity)
                if leaving is not None and owner != leaving:
                    del plan.deletes[identity]
                    leaving = None
                if taking is not None and owner not in (None, taking[0]) and leaving is None:
                    self._duplicate(query_id)
        for identity in [identity for identity in plan.deletes if identity in plan.sets]:
            del plan.deletes[identity]

    def _duplicate(self, query_id: str) -> None:
        text = f"two rows of '{query_id}' have one key, and the later one stands in the collection"
        self._report(f"DuplicateKey:{query_id}", f"{text}; choose keyField so that every row has its own")

    async def _owned(self, query_id: str) -> list[str]:
        """The ids of this query's documents; without a metadata field everything in the collection is taken for its."""
        layout, collection = self._layouts[query_id], self._collections[query_id]
        if not layout.metadata:
            return await self._firestore.ids(collection)
        from google.cloud.firestore_v1.types import StructuredQuery, Value

        parent, _, name = collection.rpartition("/")
        wanted = StructuredQuery(
            select=StructuredQuery.Projection(fields=[StructuredQuery.FieldReference(field_path="__name__")]),
            from_=[StructuredQuery.CollectionSelector(collection_id=name)],
            where=StructuredQuery.Filter(
                field_filter=StructuredQuery.FieldFilter(
                    field=StructuredQuery.FieldReference(field_path=f"{_field_path(layout.metadata)}.owner"),
                    op="EQUAL",
                    value=Value(string_value=self._owner(query_id)),
                )
            ),
        )
        documents, _ = await self._firestore.documents(wanted, parent=parent)
        return [document.name.rpartition("/")[2] for document in documents]

    async def _commit(self, query_id: str, plan: _Plan, before: _State, after: _State) -> None:
        """Writes the plan; in several commits if it must be, of which the last moves the sequence."""
        writes = [self._delete(query_id, identity) for identity in plan.deletes]
        writes += [self._set(query_id, identity, fields) for identity, (_, fields) in plan.sets.items()]
        parts = _parts(writes)
        state = before
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            # In between the collection is no copy of any result; if this ends here, the result is written anew.
            target = after if last else _State(state.sequence, whole=False)
            state = await self._commit_part(query_id, part, state, target)

    async def _commit_part(self, query_id: str, part: Sequence[Write], before: _State, after: _State) -> _State:
        path = self._state_path(query_id)
        fields: dict[str, bytes | str | int] = {
            "sequence": after.sequence,
            "whole": int(after.whole),
            "owner": self._owner(query_id),
        }
        client = self._firestore
        guard = client.set(path, fields, over=before.version) if before.version is not None else client.create(path, fields)
        # Whatever happens, what is stored counts.
        self._states.pop(query_id, None)
        versions = await client.commit([*part, guard], once=True)
        state = _State(after.sequence, after.whole, versions[-1])
        self._states[query_id] = state
        return state

    async def _state(self, query_id: str) -> _State:
        state = self._states.get(query_id)
        if state is None:
            path = self._state_path(query_id)
            found, _ = await self._firestore.read([path])
            document = found.get(path)
            if document is None:
                state = _State()
            elif document.fields.get("owner") != self._owner(query_id):
                raise DeliveryFailed(
                    f"{path} is of another reaction", retryable=False, hint="give one of the two reactions another name"
                )
            else:
                state = _State(int(document.fields["sequence"]), bool(document.fields["whole"]), document.updated)
            self._states[query_id] = state
        return state

    def _set(self, query_id: str, identity: str, fields: dict[str, Any]) -> Write:
        from google.cloud.firestore_v1.types import Document, DocumentMask, Write
        from google.protobuf.json_format import ParseDict

        layout = self._layouts[query_id]
        message = Document.pb()()
        ParseDict({"name": f"{self._firestore.root}/{self._collections[query_id]}/{identity}", "fields": fields}, message)
        write = Write(update=Document.wrap(message))
        if layout.merge:
            write.update_mask = DocumentMask(field_paths=[_field_path(name) for name in fields])
        return write

    def _delete(self, query_id: str, identity: str) -> Write:
        return self._firestore.delete(f"{self._collections[query_id]}/{identity}")

    def _state_path(self, query_id: str) -> str:
        return f"_drasi/{valid_id(f'{self._id}-{query_id}')}"

    def _owner(self, query_id: str) -> str:
        return f"{self._id}/{query_id}"

    @property
    def _firestore(self) -> FirestoreClient:
        if self._client is None:
            raise DeliveryFailed("the reaction is closed", retryable=True)
        return self._client


def _parts(writes: Sequence[Write]) -> list[list[Write]]:
    """At least one, each small enough for a commit."""
    parts: list[list[Write]] = [[]]
    size = 0
    for write in writes:
        length = type(write).pb(write).ByteSize()
        if parts[-1] and (size + length > COMMIT_BYTES or len(parts[-1]) == COMMIT_WRITES):
            parts.append([])
            size = 0
        parts[-1].append(write)
        size += length
    return parts


def _may_jump(event: ResultEvent) -> bool:
    return isinstance(event, ControlEvent) and event.controlSignal.kind == "bootstrapStarted"


def _field_path(name: str) -> str:
    if _SIMPLE.fullmatch(name):
        return name
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _collection(template: str, query_id: str) -> str:
    try:
        path = parse(template).render({"queryId": query_id, "query_id": query_id}).strip("/")
    except TemplateError as error:
        raise InvalidTarget(f"collection: {error.message}", hint=error.hint) from None
    parts = path.split("/")
    if len(parts) % 2 == 0 or not all(parts):
        raise InvalidTarget(f"'{path}' is no path of a collection", hint="write it like results-{{queryId}} or ports/p1/results")
    return path


_MEMBERS: Final = ("keyField", "fields", "template", "merge", "metadataField", "collection")


def check(value: Any) -> list[Finding]:
    """Checks one query's configuration."""
    if value is None:
        return []
    if not isinstance(value, Mapping):
        return [Finding("InvalidQueryConfig", "", f"must be a mapping of {', '.join(_MEMBERS)}")]
    found = [ignored(str(name), _MEMBERS) for name in value if name not in _MEMBERS]
    try:
        Layout.of(value)
    except InvalidConfiguration as error:
        code = "InvalidTemplate" if error.path.startswith("template.") else "InvalidQueryConfig"
        found.append(Finding(code, error.path, error.message, hint=error.hint))
    if value.get("collection") is not None:
        try:
            _collection(str(value["collection"]), "q")
        except InvalidTarget as invalid:
            found.append(Finding("InvalidQueryConfig", "collection", invalid.message, hint=invalid.hint))
    return found


def _make(given: ReactionContext) -> Reaction:
    return FirestoreReaction(given)


KIND = ReactionKind(
    "Firestore",
    schema={
        "type": "object",
        "required": ["collection"],
        "properties": {
            "project": {"type": "string", "description": "The installation's if not given"},
            "database": {"type": "string", "default": "(default)"},
            "collection": {"type": "string", "minLength": 1, "description": "A template over queryId: results-{{queryId}}"},
        },
    },
    check=check,
    make=_make,
)
