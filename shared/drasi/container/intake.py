"""Messages of change topics: read, freed of duplicates, handed to the graphs that want them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from drasi.container.build import Fate
from drasi.container.change import MalformedChange, check_alone, made, normalise_change, subject
from drasi.container.entry import Marker, Replay
from drasi.container.group import Group
from drasi.container.labels import NOTHING
from drasi.container.state import State
from drasi.container.watermarks import BY_ELEMENT
from drasi.engine import Delete, Diff, Insert, Update
from drasi.engine.changes import Change
from drasi.engine.graph import RelationRecord
from drasi.messages.changes import Element, SourceChange, decode_change, decode_changes, encode

_SETS = frozenset("iu")
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Intake:
    """Applies changes to a state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def message(self, data: bytes, source: str, enqueued_ns: int) -> None:
        """A JSON array of changes, as it came."""
        try:
            changes = decode_changes(data)
        except _UNREADABLE:
            changes = self._readable(data, source)
        if not any(group.transaction for group in self._state.groups.values()):
            for change in changes:
                self._change(change, enqueued_ns)
            return
        transaction: str | None = None
        for change in changes:
            tx = change.payload.source.tx
            if tx is None or tx != transaction:
                self._flush(enqueued_ns)
                transaction = tx
            self._change(change, enqueued_ns)
        self._flush(enqueued_ns)

    def replay(self, item: Replay) -> None:
        """A dead letter again: applied whatever the watermark says, unless a later change of its element was."""
        state = self._state
        letter = state.letters.get(item.letter)
        if letter is None or letter.control:
            state.outcome.replayed[item.letter] = 404
            return
        if letter.superseded and not item.force:
            state.outcome.replayed[item.letter] = 409
            return
        state.letters.remove(item.letter)
        try:
            changes = [decode_change(item.data)]
        except _UNREADABLE:
            changes = self._readable(item.data, letter.source)
        for change in changes:
            self._change(change, state.at_ns, forced=True)
            self._flush(state.at_ns)
        state.outcome.replayed[item.letter] = 204

    def marker(self, item: Marker) -> None:
        """Every change up to the marker's position has come."""
        try:
            markers = [change.payload.source for change in decode_changes(item.data)]
            if not markers:
                raise msgspec.ValidationError("the array is empty")
        except _UNREADABLE as error:
            self._state.record(item.source, None, item.data, f"the marker cannot be read: {error}")
            return
        for origin in markers:
            for group in self._state.by_source.get(origin.db, ()):
                if origin.db in group.reading:
                    group.reading[origin.db].mark(origin.partition or "", origin.position or "")

    # --- one message ---

    def _readable(self, data: bytes, source: str) -> list[SourceChange]:
        """The items that can be read; the others become dead letters."""
        items = _items(data)
        if items is None:
            self._state.record(source, None, data, "the message is no JSON array of changes")
            return []
        changes = []
        for content in items:
            try:
                changes.append(decode_change(content))
            except _UNREADABLE as error:
                origin, position, element = _glimpse(content)
                # Drasi's subscription events come on this topic, too.
                if origin != "Drasi":
                    self._state.record(origin or source, position, content, str(error), element)
        return changes

    def _refuse(self, change: SourceChange, error: ValueError) -> None:
        origin = change.payload.source
        element = change.payload.after or change.payload.before
        name = element.id if element is not None and element.id else None
        self._state.record(origin.db, origin.position, encode(change), str(error), name)

    # --- one change ---

    def _change(self, change: SourceChange, enqueued_ns: int, *, forced: bool = False) -> None:
        state = self._state
        payload = change.payload
        origin = payload.source
        source = origin.db
        element = payload.after
        # The common case first: a node that is set.
        if element is None or change.op not in _SETS or origin.table != "node" or not element.id or element.startId is not None:
            try:
                element = subject(change)
            except MalformedChange as error:
                self._refuse(change, error)
                return
        position = origin.position
        if position is not None and origin.partition is None and origin.key is None and not forced:
            if not state.watermarks.admit(source, "", position, state.at_ms):
                return
        elif not forced and not self._new(change, element):
            return
        state.latest[source] = (origin.ts_ns, state.at_ns)
        groups = state.by_source.get(source)
        if groups is None:
            return
        if change.op == "t":
            self._truncate(change, element, groups, enqueued_ns)
            return
        prepared: Change | None = None
        for group in groups:
            engine = group.engine
            routed: Change | None
            if source in group.reading:
                routed = self._reconcile(group, change, element)
            elif change.op == "d":
                routed = self._delete(change, element)
            elif group.held.get(source, NOTHING).has(element.labels, relation=element.startId is not None):
                routed = prepared = prepared or self._made(change, element)
            else:
                # Nobody wants it; perhaps it lost its last label that anybody wants.
                routed = self._delete(change, element) if engine.knows(source, element.id) else None
            if routed is None:
                continue
            if group.transaction:
                group.waiting.append((change, routed))
                continue
            try:
                results = engine.apply(routed)
            except ValueError as error:
                again = self._apply_normalised(group, change, routed, error)
                if again is None:
                    return
                results = again
            if results:
                state.emit(results, change, enqueued_ns)
            if engine.failed:
                state.fail(group)
            if engine.clock > state.horizon_ms:
                state.hold_clock(group, origin)
        if state.letters.concern_elements:
            state.letters.applied(source, element.id)

    def _new(self, change: SourceChange, element: Element) -> bool:
        """Whether the change has not been applied before."""
        origin = change.payload.source
        position = origin.position
        watermarks = self._state.watermarks
        if position is not None:
            partition = origin.partition
            if partition == BY_ELEMENT:
                removed = change.op == "d"
                if not watermarks.admit_element(origin.db, element.id, position, removed=removed, at_ms=self._state.at_ms):
                    return False
            elif not watermarks.admit(origin.db, partition or "", position, self._state.at_ms):
                return False
        return origin.key is None or watermarks.admit_key(origin.db, origin.key, self._state.at_ms)

    def _reconcile(self, group: Group, change: SourceChange, element: Element) -> Change | None:
        """What the change is for a graph while its source is being read (see `drasi.container.build`); None: nothing."""
        origin = change.payload.source
        source = origin.db
        reading = group.reading[source]
        relation = origin.table == "rel"
        known = group.engine.knows(source, element.id)
        held = group.held.get(source, NOTHING)
        wanted = change.op != "d" and held.has(element.labels, relation=relation)
        fate = reading.fate(change, element, group.builds_of(source), known=known, wanted=wanted)
        if fate is Fate.MERGE:
            merged = reading.merged(change, element)
            return Insert(made(source, merged, origin.ts_ns // 1_000_000)) if merged is not None else None
        if fate is not Fate.APPLY:
            return None
        if change.op == "d":
            return self._delete(change, element)
        if group.following.get(source, NOTHING).has(element.labels, relation=relation):
            return self._made(change, element)
        return self._delete(change, element) if known else None

    @staticmethod
    def _made(change: SourceChange, element: Element) -> Change:
        origin = change.payload.source
        value = made(origin.db, element, origin.ts_ns // 1_000_000)
        return Insert(value) if change.op == "i" else Update(value)

    @staticmethod
    def _delete(change: SourceChange, element: Element) -> Delete:
        origin = change.payload.source
        return Delete(origin.db, element.id, element.labels, origin.ts_ns // 1_000_000)

    def _apply_normalised(
        self, group: Group, change: SourceChange, routed: Change, error: ValueError
    ) -> list[tuple[str, Diff]] | None:
        """Refused as it came: perhaps its numbers are too large. None: it is malformed, and has become a dead letter."""
        try:
            if not normalise_change(routed):
                raise error
            return group.engine.apply(routed)
        except ValueError as refusal:
            self._refuse(change, refusal)
            return None

    # --- several changes as one ---

    def _flush(self, enqueued_ns: int) -> None:
        """A transaction ends: graphs that evaluate by transactions do so now."""
        state = self._state
        for group in state.groups.values():
            if not group.waiting:
                continue
            waiting, group.waiting = group.waiting, []
            try:
                results = group.engine.apply_transaction([routed for _, routed in waiting])
            except ValueError:
                results = group.engine.apply_transaction(self._good(waiting))
            if results:
                state.emit(results, waiting[0][0], enqueued_ns)
            if group.engine.failed:
                state.fail(group)
            if group.engine.clock > state.horizon_ms:
                state.hold_clock(group, waiting[0][0].payload.source)

    def _good(self, waiting: list[tuple[SourceChange, Change]]) -> list[Change]:
        """The changes of a transaction that are well formed in themselves; the others become dead letters."""
        good = []
        for change, routed in waiting:
            try:
                check_alone(routed)
            except ValueError as error:
                self._refuse(change, error)
            else:
                good.append(routed)
        return good

    def _truncate(self, change: SourceChange, before: Element, groups: list[Group], enqueued_ns: int) -> None:
        """Every element whose id begins so, is deleted."""
        origin = change.payload.source
        labels = frozenset(before.labels)
        for group in groups:
            if origin.db in group.reading:
                group.reading[origin.db].truncate(change)
            gone = [
                element
                for element in group.engine.elements(origin.db)
                if element.id.startswith(before.id)
                and (not labels or not labels.isdisjoint(element.labels))
                and isinstance(element, RelationRecord) == (origin.table == "rel")
            ]
            self._state.delete_all(group, gone, origin.ts_ns // 1_000_000, change, enqueued_ns)


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


def _items(data: bytes) -> list[bytes] | None:
    """The items of a JSON array, whatever they are themselves; None if it is no array."""
    text = data.strip(b" \t\r\n")
    if text[:1] != b"[" or text[-1:] != b"]":
        return None
    found: list[bytes] = []
    depth = 0
    start = 1
    for token in _TOKEN.finditer(text):
        sign = token.group()
        if sign in b"[{":
            depth += 1
        elif sign in b"]}":
            depth -= 1
            if not depth and token.end() != len(text):
                return None
        if (depth == 1 and sign == b",") or not depth:
            found.append(text[start : token.start()].strip(b" \t\r\n"))
            start = token.end()
    if depth or (len(found) > 1 and not all(found)):
        return None
    return found if any(found) else []


class _Origin(msgspec.Struct):
    db: Any = None
    position: Any = None


class _Subject(msgspec.Struct):
    id: Any = None


class _Payload(msgspec.Struct):
    source: _Origin | None = None
    before: _Subject | None = None
    after: _Subject | None = None


class _Item(msgspec.Struct):
    payload: _Payload


_decode_glimpse = msgspec.json.Decoder(_Item).decode


def _glimpse(content: bytes) -> tuple[str | None, str | None, str | None]:
    """Source, position and element of an item that cannot be read as a change, as far as they can be seen."""
    try:
        payload = _decode_glimpse(content).payload
    except _UNREADABLE:
        return None, None, None
    subject = payload.after or payload.before
    origin = payload.source or _Origin()
    found = (origin.db, origin.position, subject.id if subject is not None else None)
    source, position, element = (value if isinstance(value, str) and value else None for value in found)
    return source, position, element
