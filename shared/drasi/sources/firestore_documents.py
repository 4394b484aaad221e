"""Firestore's documents as elements (connectors.md section 5.4), from the JSON form of the API's ``Document``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from drasi.errors import DrasiError
from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.instants import iso_to_ns, ns_to_iso
from drasi.sources.mappings import Mappings
from drasi.sources.properties import in_range

PARTITION: Final = "@element"
PARENT: Final = "CHILD_OF"


class BadDocument(DrasiError):
    """What came is no document, or no event of one; the message has none of its values."""

    code: ClassVar[str] = "BadDocument"


@dataclass(frozen=True, slots=True)
class Collections:
    """The collections of a source: ids (``ships``: at any depth) and paths (``ports/*/berths``)."""

    patterns: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> Collections:
        return cls(tuple(tuple(name.strip("/").split("/")) for name in names))

    def query(self, pattern: int) -> tuple[str, str, bool]:
        """What Firestore can be asked for: collection id, path of the document above it, whether it is only the one below that.

        A path with wildcards needs its collection at any depth; ``first`` then tells its documents from others.
        """
        *above, collection = self.patterns[pattern]
        fixed = bool(above) and "*" not in self.patterns[pattern]
        return collection, "/".join(above) if fixed else "", fixed

    def first(self, path: str) -> int | None:
        """The first pattern that the document at ``path`` belongs to."""
        collection = path.split("/")[:-1]
        for index, pattern in enumerate(self.patterns):
            if len(pattern) == 1 and collection[-1:] == [*pattern]:
                return index
            if len(pattern) == len(collection) and all(
                wanted in ("*", part) for wanted, part in zip(pattern, collection, strict=True)
            ):
                return index
        return None


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """One change of one document.

    Attributes:
        path: After ``documents/``.
        value: The document now, in the API's JSON form; None: it was deleted.
        old: The document before, as far as it is known.
        position_ns: When it was changed: of an update the document's own update time.
        headers: The event's attributes, for mappings.
    """

    path: str
    value: Mapping[str, Any] | None
    old: Mapping[str, Any] | None
    position_ns: int
    headers: Mapping[str, str]


class DocumentReader:
    """What documents and their changes mean, by the properties of a source."""

    def __init__(self, source_id: str, properties: Mapping[str, Any]) -> None:
        self._source_id = source_id
        self.collections = Collections.of(properties["collections"])
        self._references = properties.get("references", "relation") == "relation"
        self._parents = bool(properties.get("parents"))
        self._mappings = Mappings(properties["mappings"]) if properties.get("mappings") else None

    def elements(self, path: str, fields: Mapping[str, Any]) -> list[Element]:
        """The node of a document, then its relations."""
        collection = path.split("/")[-2]
        properties = {name: plain(value) for name, value in fields.items()}
        return [Element(path, [collection], in_range(properties)), *self._relations(path, fields)]

    def changes(self, change: DocumentChange) -> list[SourceChange]:
        """Its changes with their positions; none of a document of other collections.

        Raises:
            MappingError, BadDocument: It can never be published.
        """
        if self.collections.first(change.path) is None:
            return []
        if self._mappings is not None:
            found = self._mapped(change)
        else:
            now = self.elements(change.path, _fields(change.value)) if change.value is not None else []
            before = self.elements(change.path, _fields(change.old)) if change.old is not None else []
            kept = {element.id for element in now}
            gone = [element for element in before if element.id not in kept]
            if change.value is None and not gone:
                gone = [Element(change.path, [change.path.split("/")[-2]])]
            found = [self._gone(element, change) for element in reversed(gone)]
            found += [self._there(element, change) for element in now]
        if len(found) > 1:
            for one in found:
                one.payload.source.tx = one.payload.source.position
        return found

    def _there(self, element: Element, change: DocumentChange) -> SourceChange:
        return SourceChange("i", Payload(self._origin(element, change), after=element))

    def _gone(self, element: Element, change: DocumentChange) -> SourceChange:
        return SourceChange("d", Payload(self._origin(element, change), before=Element(element.id, element.labels)))

    def _origin(self, element: Element, change: DocumentChange) -> Origin:
        origin = Origin(self._source_id, "node" if element.startId is None else "rel", change.position_ns)
        _place(origin, change)
        return origin

    def _mapped(self, change: DocumentChange) -> list[SourceChange]:
        assert self._mappings is not None
        parts = change.path.split("/")
        payload = {
            "value": None if change.value is None else {name: plain(value) for name, value in _fields(change.value).items()},
            "oldValue": None if change.old is None else {name: plain(value) for name, value in _fields(change.old).items()},
            "path": change.path,
            "id": parts[-1],
            "collection": parts[-2],
        }
        found = self._mappings.changes(self._source_id, {"payload": payload, "headers": change.headers}, change.position_ns)
        for one in found:
            _place(one.payload.source, change)
        return found

    def _relations(self, path: str, fields: Mapping[str, Any]) -> list[Element]:
        found = []
        if self._references:
            for name, value in fields.items():
                if isinstance(value, Mapping) and "referenceValue" in value:
                    found.append(Element(f"{path}$ref:{name}", [name], {}, path, path_of(str(value["referenceValue"]))))
        parent = path.rpartition("/")[0].rpartition("/")[0]
        if self._parents and parent:
            found.append(Element(f"{path}$parent", [PARENT], {}, path, parent))
        return found


def path_of(name: str) -> str:
    """``projects/P/databases/D/documents/ships/7`` → ``ships/7``."""
    _, found, path = name.partition("/documents/")
    return path if found else name


def plain(value: Any) -> Any:
    """A value of the API's JSON form as a property.

    Raises:
        BadDocument: It is none.
    """
    if not isinstance(value, Mapping) or len(value) != 1:
        raise BadDocument("a field of the document has no value of Firestore's form")
    [(kind, inner)] = value.items()
    match kind:
        case "nullValue":
            return None
        case "booleanValue" | "stringValue" | "bytesValue":
            return inner
        case "integerValue":
            return int(inner)
        case "doubleValue":
            return inner if inner in ("NaN", "Infinity", "-Infinity") else float(inner)
        case "timestampValue":
            return ns_to_iso(iso_to_ns(str(inner)))
        case "referenceValue":
            return path_of(str(inner))
        case "geoPointValue":
            return {"latitude": float(inner.get("latitude", 0.0)), "longitude": float(inner.get("longitude", 0.0))}
        case "arrayValue":
            return [plain(item) for item in inner.get("values", ())]
        case "mapValue":
            return {name: plain(item) for name, item in inner.get("fields", {}).items()}
    raise BadDocument("a field of the document has a value of a kind that is not known")


def position_text(ns: int) -> str:
    return f"{ns:020}"


def _place(origin: Origin, change: DocumentChange) -> None:
    origin.lsn = change.position_ns
    origin.partition = PARTITION
    origin.position = position_text(change.position_ns)


def _fields(document: Mapping[str, Any] | None) -> Mapping[str, Any]:
    fields = document.get("fields") if document is not None else None
    return fields if isinstance(fields, Mapping) else {}
