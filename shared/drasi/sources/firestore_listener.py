"""Firestore's own stream of changes: what a listener is told between two of its snapshots becomes changes of documents.

A listener sees what a collection has become, not what it was: after a break it may be told everything anew, or only how many
documents there are. So the documents there are, with their versions and references, are kept in memory; a process that starts reads
them as of the place where the one before it stopped.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from google.api_core.exceptions import FailedPrecondition, InvalidArgument, OutOfRange
from google.cloud.firestore_v1.types import Document, ListenRequest, ListenResponse, StructuredQuery, Target, TargetChange

from drasi.errors import DrasiError
from drasi.messages.changes import SourceChange
from drasi.sources.firestore_documents import BadDocument, DocumentChange, DocumentReader, path_of, position_text
from drasi.sources.firestore_events import document_json
from drasi.sources.firestore_stream import Broken, CollectionTarget, Requests, Told, next_of, targets_of
from drasi.sources.instants import datetime_to_ns
from drasi.sources.mappings import MappingError
from drasi.sources.port import OriginUnavailable, SourceContext, StateConflict

if TYPE_CHECKING:
    from drasi.firestore.client import FirestoreClient

STATE: Final = "listen"
"""Where the place is kept."""
SAVED_EVERY_S: Final = 1.0
SILENCE_S: Final = 60.0
"""After this long without a word the server is asked for one; if it then says nothing, the stream is opened anew."""
EMULATED_SILENCE_S: Final = 3.0
"""The emulator's stream may stop in the middle of an answer."""
REACHED_S: Final = 8.0
_SOME: Final = 300
_EMULATED_MARGIN_NS: Final = 1_000_000_000
_FIRST_PROBE: Final = 1_000
_LONGEST_S: Final = 60.0
_EVENT: Final = "google.cloud.firestore.document.v1."

Load = Callable[[int, datetime | None], AsyncIterator[tuple[list[Document], datetime]]]
"""From a target's pattern and an instant (None: now) to its documents, page by page, and the instant."""

Look = Callable[[Sequence[str], datetime | None], Awaitable[tuple[dict[str, Document], datetime]]]
"""From paths and an instant (None: now) to the documents there are, and when it was so."""


class _Place(msgspec.Struct, frozen=True):
    """Attributes:
    targets: What was listened to.
    token: Where the stream goes on, in base64; empty: at ``read_us``.
    read_us: Everything up to this instant (microseconds since 1970) was published.
    ahead: What of later was published, or was going to be, and was not there then: by path the references. Whoever reads
        what there was at ``read_us`` does not find it, and would not miss it.
    """

    targets: list[str]
    token: str
    read_us: int
    ahead: dict[str, list[str]] = {}


@dataclass(frozen=True, slots=True)
class _Known:
    """A document as it was last published: its version, and the fields of which changes will want to know."""

    version_ns: int
    fields: Mapping[str, Any]


@dataclass(slots=True)
class _Served:
    """A document that a snapshot gave away in a version that was not published.

    Attributes:
        versions: All that were given away.
        fields: The references of all of them.
        at_ns: The instant of the last one.
    """

    versions: set[int] = field(default_factory=set)
    fields: dict[str, Any] = field(default_factory=dict)
    at_ns: int = 0


class Listener:
    """Args:
    reader: What documents and their changes mean.
    client: The database.
    load: Reads documents.
    look: Reads some documents.
    """

    def __init__(
        self,
        context: SourceContext,
        reader: DocumentReader,
        client: Callable[[], FirestoreClient],
        load: Load,
        look: Look,
        *,
        mapped: bool,
    ) -> None:
        self._context = context
        self._reader = reader
        self._client = client
        self._load = load
        self._look = look
        self._mapped = mapped
        self._targets = targets_of(reader.collections)
        self._known: dict[str, _Known] | None = None
        self._place = _Place([], "", 0)
        self._anew = False
        self._stored: str | None = None
        self._saved_at = float("-inf")
        # By element that was not there at the place: when it came.
        self._ahead: dict[tuple[str, str], int] = {}
        self._served: dict[str, _Served] = {}
        self._reached_ns = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        # How many were opened, and the last one of which a snapshot was told.
        self._stream = 0
        self._told_stream = 0
        self._asked: Requests | None = None
        self._probes: list[int] = []
        self._again = asyncio.Event()
        self._next_probe = _FIRST_PROBE

    async def start(self) -> None:
        """Reads which documents there were where it stopped, or there are now.

        Raises:
            OriginUnavailable: They cannot be read now.
        """
        if self._known is not None:
            return
        names = [f"{target.parent}/{target.collection}" if target.fixed else f"*/{target.collection}" for target in self._targets]
        self._stored = await self._context.state.get(STATE)
        place = msgspec.json.decode(self._stored, type=_Place) if self._stored is not None else None
        lost = ""
        if place is not None and place.targets != names:
            place, lost = None, "other collections are listened to"
        if place is not None:
            try:
                known, _ = await self._read(_instant(place.read_us))
            except OriginUnavailable as error:
                if not _too_old(error):
                    raise
                place, lost = None, "Firestore no longer knows what it was when the listener stopped"
        if place is None:
            known, at = await self._read(None)
            place = _Place(names, "", datetime_to_ns(at) // 1_000)
        if lost:
            # Durable before the new place is: a process that dies in between asks again.
            await self._context.renew(lost)
        self._place = msgspec.structs.replace(place, ahead={})
        self._ahead.clear()
        if place.ahead:
            await self._catch_up(known, place.ahead)
        self._known = known
        self._reached_ns = place.read_us * 1_000
        await self._save()

    async def _catch_up(self, known: dict[str, _Known], ahead: Mapping[str, Sequence[str]]) -> None:
        """Publishes what has become of what was published beyond the place; that is beyond it as well."""
        paths = sorted(ahead)
        found: dict[str, Document] = {}
        looked_ns: dict[str, int] = {}
        for start in range(0, len(paths), _SOME):
            some, when = await self._look(paths[start : start + _SOME], None)
            found |= some
            looked_ns |= dict.fromkeys(paths[start : start + _SOME], datetime_to_ns(when))
        changes: list[SourceChange] = []
        for path in paths:
            old = known.pop(path, None)
            document = found.get(path)
            for name in ("", *ahead[path], *(self._kept(document).fields if document is not None else ())):
                self._ahead[path, name] = looked_ns[path]
            gone: dict[str, Any] = {name: {"referenceValue": ""} for name in ahead[path]}
            before = _Known(0, {**gone, **(old.fields if old is not None else {})})
            ns = looked_ns[path] if document is None else datetime_to_ns(document.update_time)
            changes += await self._changes(path, document, before, ns)
            if document is not None:
                known[path] = self._kept(document)
        await self._save()
        await self._context.publish(changes)

    async def run(self) -> None:
        """Publishes what changes, for ever; a stream that breaks is opened again."""
        failures = 0
        while True:
            before = self._reached_ns
            try:
                await self._listen()
                failures = 0
            except Broken as broken:
                failures = 1 if self._reached_ns > before else failures + 1
                if failures > 1:
                    self._context.report("OriginUnavailable", str(broken))
            finally:
                self._asked = None
                self._probes.clear()
            if failures > 1:
                await self._context.sleep(min(2.0 ** (failures - 2), _LONGEST_S) * random.uniform(0.75, 1.0))  # noqa: S311

    async def served(self, documents: Sequence[Document], at: datetime) -> None:
        """A snapshot is going to give these away.

        The stream may skip the versions that they have, and then would not take back what only these have.
        """
        more = False
        for document in documents:
            path, kept = path_of(document.name), self._kept(document)
            known = self._known.get(path) if self._known is not None else None
            if known is None or known.version_ns != kept.version_ns:
                served = self._served.setdefault(path, _Served())
                served.versions.add(kept.version_ns)
                served.fields |= kept.fields
                served.at_ns = max(served.at_ns, datetime_to_ns(at))
                for name in ("", *kept.fields):
                    more = more or (path, name) not in self._ahead
                    self._ahead.setdefault((path, name), kept.version_ns)
        if more:
            await self._save()

    async def reached(self, ns: int) -> None:
        """Returns when every change up to this instant has been published.

        Raises:
            OriginUnavailable: It takes too long.
        """
        if self._is_reached(ns, stream := self._stream + 1):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (ns, stream, future)
        self._waiting.append(waiting)
        self._probe()
        try:
            async with asyncio.timeout(REACHED_S):
                await future
        except TimeoutError:
            raise OriginUnavailable(
                f"the listener of source {self._context.id} is behind the snapshot that was read", hint="it is read again"
            ) from None
        finally:
            self._waiting.remove(waiting)

    @property
    def _emulated(self) -> bool:
        """The emulator tells everything anew at each change, and says that it has told what came meanwhile, which it has not.

        So what it has told is taken for a little older, and whoever wants to know what there is opens the stream again.
        """
        return self._client().emulator is not None

    # --- the documents there are ---

    async def _read(self, at: datetime | None) -> tuple[dict[str, _Known], datetime]:
        known: dict[str, _Known] = {}
        for target in self._targets:
            async for page, when in self._load(target.pattern, at):
                at = when
                for document in page:
                    known[path_of(document.name)] = self._kept(document)
        assert at is not None
        return known, at

    def _kept(self, document: Document) -> _Known:
        fields = document_json(Document.serialize(document)).get("fields", {}) if self._mapped or document.fields else {}
        if not self._mapped:
            fields = {name: value for name, value in fields.items() if isinstance(value, Mapping) and "referenceValue" in value}
        return _Known(datetime_to_ns(document.update_time), fields)

    # --- the stream ---

    async def _listen(self) -> None:
        client = self._client()
        database = client.root.removesuffix("/documents")
        asked = self._asked = Requests()
        for target in self._targets:
            asked.put(ListenRequest(database=database, add_target=self._of(target, client.root)))
        # Without a place everything is told, and compared with what is known.
        told = Told(all_of={target.id: set() for target in self._targets} if self._anew else {})
        stream = client.listen(asked)
        self._again.clear()
        self._stream += 1
        if self._waiting and not self._emulated:
            self._probe()
        reading = asyncio.ensure_future(anext(stream))
        again = asyncio.ensure_future(self._again.wait())
        asked_at_silence = False
        try:
            while True:
                silence = EMULATED_SILENCE_S if self._emulated else SILENCE_S / 3 if asked_at_silence else SILENCE_S
                done, _ = await asyncio.wait({reading, again}, timeout=silence, return_when=asyncio.FIRST_COMPLETED)
                if again in done:
                    return
                if not done:
                    if asked_at_silence:
                        raise Broken("Firestore's stream of changes is silent; it is opened again")
                    asked_at_silence = True
                    self._probe()
                    continue
                asked_at_silence = False
                response = next_of(reading)
                reading = asyncio.ensure_future(anext(stream))
                await self._take(response, told)
        finally:
            reading.cancel()
            again.cancel()
            await asyncio.gather(reading, again, return_exceptions=True)
            await stream.aclose()

    def _of(self, target: CollectionTarget, root: str) -> Target:
        selector = StructuredQuery.CollectionSelector(collection_id=target.collection, all_descendants=not target.fixed)
        wanted = Target.QueryTarget(
            parent=f"{root}/{target.parent}" if target.parent else root, structured_query=StructuredQuery(from_=[selector])
        )
        if self._anew:
            return Target(query=wanted, target_id=target.id)
        if self._place.token:
            return Target(query=wanted, target_id=target.id, resume_token=base64.b64decode(self._place.token))
        return Target(query=wanted, target_id=target.id, read_time=_instant(self._place.read_us))

    async def _take(self, response: ListenResponse, told: Told) -> None:
        kind = ListenResponse.pb(response).WhichOneof("response_type")
        if kind == "target_change":
            await self._target_change(response.target_change, told)
        elif kind == "document_change":
            changed = response.document_change
            path = path_of(changed.document.name)
            there = [target for target in changed.target_ids if target < _FIRST_PROBE]
            if there:
                told.documents[path] = (changed.document, datetime_to_ns(changed.document.update_time))
                for target in there:
                    if target in told.all_of:
                        told.all_of[target].add(path)
        elif kind in ("document_delete", "document_remove"):
            gone = response.document_delete if kind == "document_delete" else response.document_remove
            if any(target < _FIRST_PROBE for target in gone.removed_target_ids):
                told.documents[path_of(gone.document)] = (None, datetime_to_ns(gone.read_time))
        elif kind == "filter":
            told.counts[response.filter.target_id] = response.filter.count

    async def _target_change(self, change: TargetChange, told: Told) -> None:
        kind = change.target_change_type
        targets = [target for target in change.target_ids if target < _FIRST_PROBE]
        if kind == TargetChange.TargetChangeType.REMOVE and targets:
            # Most often because the token is too old.
            self._anew = True
            raise Broken(f"Firestore ended the stream of changes: {change.cause.message or 'it gave no reason'}")
        if kind == TargetChange.TargetChangeType.RESET:
            for target in targets or [one.id for one in self._targets if not change.target_ids]:
                told.all_of[target] = set()
                told.current.discard(target)
                for path in [path for path in told.documents if self._targets[target - 1].has(path)]:
                    del told.documents[path]
        if kind == TargetChange.TargetChangeType.CURRENT:
            told.current.update(targets)
        whole = kind == TargetChange.TargetChangeType.NO_CHANGE and not change.target_ids and change.read_time is not None
        if whole and len(told.current) == len(self._targets):
            await self._snapshot(told, datetime_to_ns(change.read_time), bytes(change.resume_token))

    # --- a snapshot ---

    async def _snapshot(self, told: Told, read_ns: int, token: bytes) -> None:
        """Everything up to ``read_ns`` was told."""
        assert self._known is not None
        known = self._known
        await self._look_for_missing(told, known, read_ns)
        corrected = await self._corrected(told, known, read_ns)
        becoming: dict[str, _Known | None] = {}
        changes: list[tuple[int, list[SourceChange]]] = []
        for path, (document, ns) in told.documents.items():
            old = corrected.get(path) or known.get(path)
            if old is None if document is None else (old is not None and old.version_ns >= ns):
                continue
            becoming[path] = None if document is None else self._kept(document)
            changes.append((ns, await self._changes(path, document, old, ns)))
        self._check(told, known, becoming)
        await self._announce(known, becoming)
        # In the order in which it happened, as far as anybody can say.
        changes.sort(key=lambda one: one[0])
        await self._publish([change for _, some in changes for change in some])
        for path, now in becoming.items():
            if now is None:
                known.pop(path, None)
            else:
                known[path] = now
        told.documents.clear()
        told.all_of.clear()
        told.counts.clear()
        self._context.report("OriginUnavailable", None)
        self._anew = False
        for path in corrected:
            self._served.pop(path, None)
        told.before_ns, before_ns = read_ns, told.before_ns
        self._reached_ns = max(self._reached_ns, read_ns)
        self._told_stream = self._stream
        if self._emulated:
            read_ns = max(before_ns - _EMULATED_MARGIN_NS, self._place.read_us * 1_000)
        self._place = _Place(self._place.targets, base64.b64encode(token).decode(), read_ns // 1_000)
        self._ahead = {element: came for element, came in self._ahead.items() if came > self._place.read_us * 1_000}
        if asyncio.get_running_loop().time() - self._saved_at >= SAVED_EVERY_S:
            await self._save()
        self._tell()

    async def _look_for_missing(self, told: Told, known: Mapping[str, _Known], read_ns: int) -> None:
        """Documents that are not among all there are: were they there at the instant of the snapshot, or not?"""
        missing: dict[str, None] = {}
        for number, there in told.all_of.items():
            target = self._targets[number - 1]
            missing |= {path: None for path in known if path not in there and path not in told.documents and target.has(path)}
        paths = list(missing)
        at_us = read_ns // 1_000
        for start in range(0, len(paths), _SOME):
            some = paths[start : start + _SOME]
            found = (await self._looked(some, _instant(at_us)))[0]
            for path in some:
                document = found.get(path)
                ns = at_us * 1_000 if document is None else datetime_to_ns(document.update_time)
                told.documents[path] = (document, ns)

    async def _corrected(self, told: Told, known: Mapping[str, _Known], read_ns: int) -> dict[str, _Known]:
        """What snapshots gave away, and what it has become: as if it had been known like that."""
        corrected: dict[str, _Known] = {}
        due = [path for path, served in self._served.items() if served.at_ns <= read_ns]
        at_us = read_ns // 1_000
        for start in range(0, len(due), _SOME):
            some = due[start : start + _SOME]
            found = (await self._looked(some, _instant(at_us)))[0]
            for path in some:
                document, served = found.get(path), self._served[path]
                ns = at_us * 1_000 if document is None else datetime_to_ns(document.update_time)
                now = known.get(path)
                fields = {**served.fields, **(now.fields if now is not None else {})}
                # Of a version that everybody was given nothing needs to be said again, but that it is known from now on.
                corrected[path] = _Known(now.version_ns if now is not None and served.versions == {ns} else 0, fields)
                told.documents[path] = (document, ns)
        return corrected

    async def _looked(self, paths: Sequence[str], at: datetime | None) -> tuple[dict[str, Document], datetime]:
        try:
            return await self._look(paths, at)
        except OriginUnavailable as error:
            raise Broken(error.message) from error

    async def _announce(self, known: Mapping[str, _Known], becoming: Mapping[str, _Known | None]) -> None:
        """Says what is going to be published and was not there at the place that is kept; before it is published."""
        more = False
        for path, now in becoming.items():
            if now is None:
                continue
            before = known[path].fields if path in known else {}
            new = {(path, name) for name in now.fields if name not in before and not self._mapped}
            new |= {(path, "")} if path not in known else set()
            more = more or not new <= self._ahead.keys()
            for element in new:
                self._ahead[element] = now.version_ns
        if more:
            await self._save()

    def _check(self, told: Told, known: Collection[str], becoming: Mapping[str, _Known | None]) -> None:
        """Whether there are as many documents as Firestore says; if not, some went that it did not name: it is to name all."""
        for number, count in told.counts.items():
            if number >= _FIRST_PROBE or number in told.all_of:
                continue
            target = self._targets[number - 1]
            mine = sum(1 for path in {*known, *becoming} if target.has(path) and becoming.get(path, path) is not None)
            if mine != count:
                self._anew = True
                raise Broken("Firestore counts other documents than were told; it tells all anew")

    async def _changes(self, path: str, document: Document | None, old: _Known | None, ns: int) -> list[SourceChange]:
        value = None if document is None else document_json(Document.serialize(document))
        kind = "deleted" if value is None else "created" if old is None else "updated"
        headers = {"ce-type": f"{_EVENT}{kind}", "ce-document": path, "ce-subject": f"documents/{path}"}
        change = DocumentChange(path, value, None if old is None else {"fields": old.fields}, ns, headers)
        try:
            return self._reader.changes(change)
        except (BadDocument, MappingError) as error:
            text = f"{error.code}: {error.message}" + (f"; {error.hint}" if error.hint else "")
            await self._context.dead_letter(position_text(ns), {"subject": f"documents/{path}", "type": headers["ce-type"]}, text)
            return []

    async def _publish(self, changes: list[SourceChange]) -> None:
        failures = 0
        while changes:
            try:
                await self._context.publish(changes)
                return
            except DrasiError as error:
                if not error.retryable:
                    raise
                failures += 1
                self._context.report(error.code, error.message)
                await self._context.sleep(min(2.0 ** (failures - 1), _LONGEST_S))
                self._context.report(error.code, None)

    async def _save(self) -> None:
        ahead: dict[str, list[str]] = {}
        for path, name in sorted(self._ahead):
            ahead.setdefault(path, []).extend([name] if name else [])
        text = msgspec.json.encode(msgspec.structs.replace(self._place, ahead=ahead)).decode()
        self._saved_at = asyncio.get_running_loop().time()
        try:
            await self._context.state.put(STATE, text, expected=self._stored)
        except StateConflict:
            # Another instance listens as well: both publish, and what comes twice falls to its position.
            self._stored = await self._context.state.get(STATE)
        else:
            self._stored = text

    # --- whoever waits ---

    def _is_reached(self, ns: int, stream: int) -> bool:
        return self._told_stream >= stream if self._emulated else self._reached_ns >= ns

    def _tell(self) -> None:
        asked, probes = self._asked, self._probes
        if asked is not None:
            database = self._client().root.removesuffix("/documents")
            for probe in probes:
                asked.put(ListenRequest(database=database, remove_target=probe))
        probes.clear()
        for ns, stream, future in self._waiting:
            if self._is_reached(ns, stream) and not future.done():
                future.set_result(None)
        if any(not future.done() for _, _, future in self._waiting):
            self._probe()

    def _probe(self) -> None:
        """Asks for one document more: the answer comes with a snapshot of now, however quiet it is."""
        if self._asked is None or self._probes:
            return
        if self._emulated:
            self._again.set()
            return
        root = self._client().root
        number, self._next_probe = self._next_probe, self._next_probe + 1
        self._probes.append(number)
        documents = Target.DocumentsTarget(documents=[f"{root}/drasi-probe/{self._context.id}"])
        database = root.removesuffix("/documents")
        self._asked.put(ListenRequest(database=database, add_target=Target(documents=documents, target_id=number)))


def _too_old(error: BaseException) -> bool:
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, (FailedPrecondition, InvalidArgument, OutOfRange)):
            return True
        found = found.__cause__
    return False


def _instant(us: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)
