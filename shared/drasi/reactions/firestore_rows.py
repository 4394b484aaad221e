"""Rows as documents of Firestore (connectors.md section 9.2): their ids, their fields, and what can be none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import msgspec

from drasi.errors import DrasiError
from drasi.messages.results import Row
from drasi.templates import RenderError, fill_each, parse_each
from drasi.templates.functions import as_text

LARGEST_DOCUMENT: Final = 1_048_576
LONGEST_ID: Final = 1_500
LONGEST_NAME: Final = 1_500
"""Bytes of a field's name, at any depth."""
DEEPEST: Final = 20
_INT64: Final = 2**63
_LIKE_A_SLASH: Final = re.compile("%(?=(?:25)*2F)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Json = dict[str, Any]
"""A value in the API's JSON form: ``{"stringValue": "a"}``."""


class RowFailure(DrasiError):
    """A row that can be no document; the message has none of its values."""

    code: ClassVar[str] = "RowFailure"


class InvalidConfiguration(DrasiError):
    """A query's configuration that no document can be made with.

    Attributes:
        path: The member that is wrong.
    """

    code: ClassVar[str] = "InvalidQueryConfig"

    def __init__(self, path: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one query become documents.

    Attributes:
        key: Columns whose values are the document's id; none: the row's own id is.
        fields: Columns to take; none given: all.
        template: Templates instead of columns.
        merge: Whether fields of the document that are not written stay.
        metadata: The field for sequence, row id, instant and owner; empty: there is none.
    """

    key: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    template: Any = None
    merge: bool = False
    metadata: str = "_drasi"

    @classmethod
    def of(cls, value: Any) -> Layout:
        """Reads a query's configuration.

        Raises:
            InvalidConfiguration
        """
        given: Mapping[str, Any] = value or {}
        template = given.get("template")
        if template is not None and not isinstance(template, Mapping):
            raise InvalidConfiguration("template", "template must be an object of templates")
        metadata = given.get("metadataField", "_drasi")
        if metadata is not None and not (isinstance(metadata, str) and metadata):
            raise InvalidConfiguration("metadataField", "metadataField must be a text, or null")
        return cls(
            key=_names(given, "keyField"),
            fields=_names(given, "fields"),
            template=parse_each(template, _wrong_template) if template else None,
            merge=bool(given.get("merge")),
            metadata=metadata or "",
        )

    def document_id(self, row: Row, row_id: str) -> str:
        """The id of the row's document.

        Raises:
            RowFailure: A column of the key is missing or null.
        """
        if not self.key:
            return valid_id(row_id)
        missing = [column for column in self.key if row.get(column) is None]
        if missing:
            raise RowFailure(f"the key column {', '.join(missing)} is null or missing", hint="choose columns that are never null")
        parts = [as_text(row[column]) for column in self.key]
        if len(parts) > 1:
            parts = [part.replace("%", "%25").replace(":", "%3A") for part in parts]
        text = ":".join(parts)
        if not text:
            raise RowFailure("the key is empty", hint="choose columns that are never empty")
        return valid_id(text)

    def document(self, row: Row, seen: Mapping[str, Any], metadata: Mapping[str, Any]) -> Json:
        """The fields of the row's document in the API's JSON form.

        Args:
            seen: What templates see.
            metadata: Of the metadata field, in that form.

        Raises:
            RowFailure: No document can hold it.
        """
        if self.template is not None:
            try:
                values = fill_each(self.template, seen)
            except RenderError as error:
                raise RowFailure(f"the template cannot be rendered: {error.message}") from None
        else:
            values = {name: row[name] for name in self.fields if name in row} if self.fields else row
        fields = _fields(values, 0)
        if self.metadata:
            if self.metadata in fields:
                raise RowFailure("a column has the name of the metadata field", hint="name another metadataField, or null")
            fields[self.metadata] = {"mapValue": {"fields": dict(metadata)}}
        size = len(msgspec.json.encode(fields))
        if size > LARGEST_DOCUMENT:
            raise RowFailure(f"the document has {size:,} bytes: at most {LARGEST_DOCUMENT:,}", hint="take fewer columns: fields")
        return fields


def to_json(value: Any, depth: int = 1, *, in_list: bool = False) -> Json:
    """A row's value in the API's JSON form.

    Raises:
        RowFailure: It is nested too deep.
    """
    match value:
        case None:
            return {"nullValue": None}
        case bool():
            return {"booleanValue": value}
        case int():
            return {"integerValue": str(value)} if -_INT64 <= value < _INT64 else {"doubleValue": float(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
    if depth > DEEPEST:
        raise RowFailure(f"a value is nested deeper than {DEEPEST}", hint="return its parts")
    if isinstance(value, list):
        if in_list:
            # Firestore holds no list in a list.
            return {"stringValue": as_text(value)}
        return {"arrayValue": {"values": [to_json(item, depth + 1, in_list=True) for item in value]}}
    if isinstance(value, Mapping):
        return {"mapValue": {"fields": _fields(value, depth)}}
    return {"stringValue": as_text(value)}


def _fields(values: Mapping[str, Any], depth: int) -> Json:
    found = {}
    for name, value in values.items():
        if not name or (name.startswith("__") and name.endswith("__")) or len(name.encode()) > LONGEST_NAME:
            where = "give the column another name with AS" if depth == 0 else "return the parts of the map that are wanted"
            raise RowFailure(f"'{name[:40]}' cannot be a field's name", hint=where)
        found[name] = to_json(value, depth + 1)
    return found


def valid_id(text: str) -> str:
    """Any text as a document's id; another text has another id."""
    # What looks like a slash that was replaced already gets a mark more.
    identity = _LIKE_A_SLASH.sub("%25", text).replace("/", "%2F")
    bare = identity.lstrip("~")
    if bare in (".", "..") or (bare.startswith("__") and bare.endswith("__")):
        identity = f"~{identity}"
    if len(identity.encode()) > LONGEST_ID:
        return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
    return identity


def instant(ms: int) -> Json:
    return {"timestampValue": (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _names(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = given.get(name)
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, Sequence) or not all(isinstance(one, str) and one for one in names):
        raise InvalidConfiguration(name, f"{name} must be a column's name, or a list of them")
    return tuple(names)


def _wrong_template(path: str, error: DrasiError) -> InvalidConfiguration:
    return InvalidConfiguration(f"template{path}", error.message, hint=error.hint)
