"""Debezium's envelopes become changes (connectors.md section 5.5): rows to nodes, foreign columns to relations.

Positions are in the partition ``@element``: in PostgreSQL's case the LSN is that of the row, which does not rise from transaction
to transaction, but does from change to change of one row; all rows of a snapshot have one; and one request carries one event, so
requests may pass each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from drasi.errors import DrasiError
from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.debezium_types import converters, decimal_column, instant_text
from drasi.sources.json_text import NotJson, read_json
from drasi.sources.mappings import InvalidMapping, Mappings
from drasi.sources.properties import in_range

PARTITION: Final = "@element"
_UNAVAILABLE: Final = ("__debezium_unavailable_value", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==")
"""Of a large value that did not change: as text, and as the base64 of bytes."""
_BORDER: Final = frozenset({"status", "id", "ts_ms", "event_count", "data_collections"})
"""Members of an event that begins or ends a transaction."""
_UNREADABLE: Final = (ValueError, TypeError, ArithmeticError, RecursionError)


class BadEvent(DrasiError):
    """An event that no change can be made of; the message has none of its values."""

    code: ClassVar[str] = "BadEvent"


class _Place(NamedTuple):
    """``schema``: where there are none, the database's name."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    def is_named(self, name: str) -> bool:
        return name in (str(self), self.table)


@dataclass(frozen=True, slots=True)
class _Relation:
    type: str
    table: str
    columns: tuple[str, ...]
    references: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of one table: its node's id, and its values; columns that were not sent are missing."""

    identity: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Event:
    """What is the same for every change that one event means."""

    source_id: str
    ts_ns: int
    position: str | None
    lsn: int

    def change(self, op: str, element: Element, *, relation: bool = False) -> SourceChange:
        origin = Origin(
            self.source_id,
            "rel" if relation else "node",
            self.ts_ns,
            self.lsn,
            partition=PARTITION if self.position is not None else None,
            position=self.position,
        )
        if op in ("d", "t"):
            return SourceChange("d" if op == "d" else "t", Payload(origin, before=element))
        return SourceChange("i" if op == "i" else "u", Payload(origin, after=element))


class DebeziumEvents:
    """Reads events for one source.

    Args:
        source_id: Of the changes.
        properties: ``keyColumns``, ``tables``, ``relations``, ``decimals``, ``mappings``.

    Raises:
        InvalidMapping: One of them cannot be worked with.
    """

    def __init__(self, source_id: str, properties: Mapping[str, Any]) -> None:
        self._source_id = source_id
        self._keys: Mapping[str, Any] = properties.get("keyColumns") or {}
        self._tables: Sequence[str] = properties.get("tables") or ()
        self._decimal_text = properties.get("decimals") == "string"
        self._relations = [_relation(item) for item in properties.get("relations") or ()]
        self._mappings = Mappings(properties["mappings"]) if properties.get("mappings") else None

    def changes(self, event: Any, headers: Mapping[str, str], arrival_ns: int) -> list[SourceChange]:
        """The changes of one decoded event; none for what is no change of a row.

        Args:
            event: The JSON of a request: with or without a schema part, or a CloudEvent. None: a tombstone.
            headers: For mappings, with names in lower case.

        Raises:
            BadEvent, MappingError: It can never be published.
        """
        payload, schema = _payload(event)
        if payload is None:
            return []
        op = payload.get("op")
        if op is None:
            if _is_quiet(payload):
                return []
            hint = "the connector must not unwrap its envelopes (ExtractNewRecordState)"
            raise BadEvent("the event has no op: it is no envelope of Debezium", hint=hint)
        if op == "m":
            return []
        source = payload.get("source")
        if not isinstance(source, Mapping):
            raise BadEvent("the event has no source: the connector must not unwrap its envelopes")
        place = _place(source)
        if self._tables and not any(place.is_named(name) for name in self._tables):
            return []
        seen = _Event(self._source_id, _instant(source, payload, arrival_ns), position(source, arrival_ns), _lsn(source))
        if self._mappings is not None:
            found = self._mapped(payload, headers, seen)
        elif op == "t":
            labels = [place.table, *(relation.type for relation in self._relations_of(place))]
            found = [seen.change("t", Element(_prefix(place), labels))]
        elif op in ("c", "r", "u", "d"):
            found = self._rows(op, payload, schema, place, seen)
        else:
            raise BadEvent("the event's op is none of c, r, u, d, t, m")
        if len(found) > 1 and seen.position is not None:
            for change in found:
                change.payload.source.tx = seen.position
        return found

    def _mapped(self, payload: Mapping[str, Any], headers: Mapping[str, str], seen: _Event) -> list[SourceChange]:
        assert self._mappings is not None
        found = self._mappings.changes(self._source_id, {"payload": payload, "headers": headers}, seen.ts_ns)
        for change in found:
            origin = change.payload.source
            origin.lsn, origin.position = seen.lsn, seen.position
            origin.partition = PARTITION if seen.position is not None else None
        return found

    def _rows(self, op: str, payload: Mapping[str, Any], schema: Any, place: _Place, seen: _Event) -> list[SourceChange]:
        before = self._row(payload, schema, "before", place)
        after = self._row(payload, schema, "after", place)
        if op == "d":
            if before is None:
                raise BadEvent(
                    f"a delete of {place} without the row's key before it",
                    hint="let the origin send the old row (REPLICA IDENTITY, pre-images)",
                )
            return self._gone(before, place, seen)
        if after is None:
            raise BadEvent(f"an event of {place} without the row after it")
        if op != "u" or before is None or before.identity == after.identity:
            return self._there("u" if op == "u" else "i", after, place, seen, again=op != "c")
        whole = _Row(after.identity, {**before.values, **after.values})
        return [*self._gone(before, place, seen), *self._there("i", whole, place, seen)]

    def _there(self, op: str, row: _Row, place: _Place, seen: _Event, *, again: bool = False) -> list[SourceChange]:
        """``again``: the row may be known, with relations that it has no more."""
        found = [seen.change(op, Element(row.identity, [place.table], row.values))]
        for relation in self._relations_of(place):
            identity = f"{row.identity}$rel:{relation.type}"
            if not all(column in row.values for column in relation.columns):
                continue
            parts = [row.values[column] for column in relation.columns]
            if None in parts:
                if again:
                    found.append(seen.change("d", Element(identity, [relation.type]), relation=True))
                continue
            end = _prefix(_Place(*relation.references.split(".", 1))) + ":".join(_key_text(part) for part in parts)
            found.append(seen.change(op, Element(identity, [relation.type], {}, row.identity, end), relation=True))
        return found

    def _gone(self, row: _Row, place: _Place, seen: _Event) -> list[SourceChange]:
        relations = [
            seen.change("d", Element(f"{row.identity}$rel:{relation.type}", [relation.type]), relation=True)
            for relation in self._relations_of(place)
        ]
        return [*relations, seen.change("d", Element(row.identity, [place.table]))]

    def _relations_of(self, place: _Place) -> list[_Relation]:
        return [relation for relation in self._relations if place.is_named(relation.table)]

    def _row(self, payload: Mapping[str, Any], schema: Any, part: str, place: _Place) -> _Row | None:
        try:
            return self._read_row(payload, schema, part, place)
        except _UNREADABLE as error:
            raise BadEvent(f"{part} of an event of {place} cannot be read: {type(error).__name__}") from None

    def _read_row(self, payload: Mapping[str, Any], schema: Any, part: str, place: _Place) -> _Row | None:
        values = payload.get(part)
        if isinstance(values, str):
            # MongoDB's documents come as text.
            try:
                values = _plain(read_json(values))
            except NotJson as error:
                raise BadEvent(f"{part} of an event of {place} is {error}") from None
        if values is None:
            return None
        if not isinstance(values, Mapping):
            raise BadEvent(f"{part} of an event of {place} is no row")
        kinds = converters(schema, part)
        row = {
            name: kinds[name](value) if name in kinds and value is not None else value
            for name, value in values.items()
            if not _unavailable(value)
        }
        if not self._decimal_text:
            for name in decimal_column(schema, part):
                if name in row:
                    row[name] = _floats(row[name])
        row = in_range(row)
        columns = self._keys.get(str(place)) or self._keys.get(place.table) or (["_id"] if "_id" in row else ["id"])
        missing = [column for column in columns if row.get(column) is None]
        if missing:
            if part == "before" and payload.get("op") != "d":
                return None
            raise BadEvent(
                f"a row of {place} has no {', '.join(missing)}", hint=f"name the key's columns: keyColumns: {{{place}: [...]}}"
            )
        return _Row(_prefix(place) + ":".join(_key_text(row[column]) for column in columns), row)


def is_snapshot(event: Any) -> bool:
    """Whether the event is a row of a snapshot (``op: r``)."""
    try:
        payload, _ = _payload(event)
    except BadEvent:
        return False
    return payload is not None and payload.get("op") == "r"


def position(source: Mapping[str, Any], arrival_ns: int) -> str | None:
    """Where the origin's log was, as text that rises from change to change of a row; None: the event does not say.

    Where the origin does not tell two changes of one instant apart, the later to arrive is the newer: what is sent again comes in
    order, and ends where it ended."""
    connector = str(source.get("connector", ""))
    try:
        match connector:
            case "postgresql":
                return f"{int(source['lsn']):016X}"
            case "mysql" | "mariadb":
                number = int("".join(filter(str.isdecimal, str(source["file"]).rpartition(".")[2])))
                return f"{number:010}-{int(source['pos']):012}-{int(source.get('row') or 0):08}"
            case "sqlserver":
                commit, change = (str(source.get(name) or "").replace(":", "").upper() for name in ("commit_lsn", "change_lsn"))
                return f"{commit:0>20}-{change:0>20}-{int(source.get('event_serial_no') or 0):08}" if commit else None
            case "oracle":
                return f"{int(source['scn']):020}-{arrival_ns:020}"
            case "mongodb":
                return f"{int(source['ts_ms']):020}-{int(source.get('ord') or 0):08}"
        ns = _ns(source)
        return None if ns is None else f"{ns:020}-{arrival_ns:020}"
    except (KeyError, TypeError, ValueError):
        return None


def _payload(event: Any) -> tuple[Mapping[str, Any] | None, Any]:
    """The envelope and its schema, out of what may be around it."""
    if event is None:
        return None, None
    if not isinstance(event, Mapping):
        raise BadEvent("the event is no object")
    attributes: Mapping[str, Any] = {}
    if "specversion" in event:
        attributes, event = event, event.get("data")
        if event is None:
            return None, None
        if not isinstance(event, Mapping):
            raise BadEvent("the CloudEvent's data is no object")
    schema = None
    if "payload" in event and "op" not in event:
        schema, event = event.get("schema"), event["payload"]
        if event is None:
            return None, None
        if not isinstance(event, Mapping):
            raise BadEvent("the event's payload is no object")
    if "op" not in event and "iodebeziumop" in attributes:
        event = {"op": attributes["iodebeziumop"], **event}
    if "source" not in event and "iodebeziumconnector" in attributes:
        names = ("connector", "db", "schema", "table", "collection", "lsn", "file", "pos", "row", "scn", "tsms", "tsns", "txid")
        given = {name: attributes[f"iodebezium{name}"] for name in names if f"iodebezium{name}" in attributes}
        renamed = {"tsms": "ts_ms", "tsns": "ts_ns", "txid": "txId"}
        event = {**event, "source": {renamed.get(name, name): value for name, value in given.items()}}
    return event, schema


def _is_quiet(payload: Mapping[str, Any]) -> bool:
    """What is no change of a row: heartbeats, borders of transactions, schema changes; not a row that has such columns."""
    if payload.keys() <= {"ts_ms"}:
        return True
    if payload.get("status") in ("BEGIN", "END") and "id" in payload and payload.keys() <= _BORDER:
        return True
    return "tableChanges" in payload or "historyRecord" in payload or {"ddl", "databaseName"} <= payload.keys()


def _place(source: Mapping[str, Any]) -> _Place:
    table = source.get("table") or source.get("collection")
    if not table:
        raise BadEvent("the event's source names no table")
    return _Place(str(source.get("schema") or source.get("db") or ""), str(table))


def _prefix(place: _Place) -> str:
    return f"{_escaped(place.schema)}:{_escaped(place.table)}:"


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace(":", "%3A")


def _key_text(value: Any) -> str:
    text = (
        str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else msgspec.json.encode(value).decode()
    )
    return _escaped(text)


def _unavailable(value: Any) -> bool:
    return value in _UNAVAILABLE if isinstance(value, str) else value == [_UNAVAILABLE[0]]


def _float(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _floats(value: Any) -> Any:
    return [_floats(item) for item in value] if isinstance(value, list) else _float(value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """MongoDB's extended JSON without its wrappers."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(name, inner)] = value.items()
        if name in ("$numberLong", "$numberInt"):
            return int(inner)
        if name in ("$numberDouble", "$numberDecimal"):
            return _float(inner)
        if name in ("$oid", "$uuid", "$symbol"):
            return inner
        if name == "$date":
            return _date(_plain(inner))
    return {name: _plain(item) for name, item in value.items()}


def _date(value: Any) -> Any:
    return instant_text(value, 1_000_000) if isinstance(value, int) else value


def _ns(source: Mapping[str, Any]) -> int | None:
    for name, unit in (("ts_ns", 1), ("ts_us", 1_000), ("ts_ms", 1_000_000)):
        value = source.get(name)
        if value is not None:
            return int(value) * unit
    return None


def _instant(source: Mapping[str, Any], payload: Mapping[str, Any], arrival_ns: int) -> int:
    try:
        found = _ns(source)
        found = _ns(payload) if found is None else found
    except (TypeError, ValueError):
        found = None
    return arrival_ns if found is None else found


def _lsn(source: Mapping[str, Any]) -> int:
    value = source.get("lsn") or source.get("pos") or 0
    return value if isinstance(value, int) and 0 <= value < 2**63 else 0


def _relation(item: Any) -> _Relation:
    columns = item.get("columns") if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or not columns or not all(item.get(name) for name in ("type", "table", "references")):
        raise InvalidMapping("properties.relations: each needs type, table, columns and references")
    references = str(item["references"])
    if "." not in references:
        schema = str(item["table"]).rpartition(".")[0]
        references = f"{schema}.{references}"
    return _Relation(str(item["type"]), str(item["table"]), tuple(str(column) for column in columns), references)
