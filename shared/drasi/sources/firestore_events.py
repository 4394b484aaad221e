"""CloudEvents of Firestore, as Eventarc posts them: binary or structured, JSON or Protobuf (connectors.md section 5.4)."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

from drasi.sources.firestore_documents import BadDocument, DocumentChange, path_of
from drasi.sources.instants import iso_to_ns
from drasi.sources.json_text import NotJson, read_json

_TYPE: Final = "google.cloud.firestore.document.v1."
_KINDS: Final = ("created", "updated", "deleted", "written")


def read_event(headers: Mapping[str, str], body: bytes) -> DocumentChange:
    """The change that a request tells of.

    Args:
        headers: Names in lower case.

    Raises:
        BadDocument: It tells of none.
    """
    content_type = headers.get("content-type", "")
    if content_type.startswith("application/cloudevents+json"):
        attributes, data = _structured(body)
    else:
        attributes = {name.removeprefix("ce-"): value for name, value in headers.items() if name.startswith("ce-")}
        data = _protobuf(body) if content_type.startswith("application/protobuf") else _json(body)
    kind = attributes.get("type", "").removesuffix(".withAuthContext")
    if not kind.startswith(_TYPE) or kind.removeprefix(_TYPE) not in _KINDS:
        raise BadDocument("the request is no CloudEvent of a Firestore document")
    value, old = (_document(data, name) for name in ("value", "oldValue"))
    if kind.endswith("deleted"):
        value = None
    path = _path(attributes, value or old)
    written = value.get("updateTime") if value is not None else attributes.get("time")
    try:
        position_ns = iso_to_ns(str(written))
    except ValueError:
        raise BadDocument("the event does not say when the document was written") from None
    return DocumentChange(path, value, old, position_ns, {f"ce-{name}": text for name, text in attributes.items()})


def document_json(data: bytes) -> dict[str, Any]:
    """A ``Document`` in its Protobuf form as JSON."""
    from google.cloud.firestore_v1.types import Document

    found: dict[str, Any] = Document.to_dict(
        Document.deserialize(data), preserving_proto_field_name=False, always_print_fields_with_no_presence=False
    )
    return found


def _structured(body: bytes) -> tuple[dict[str, str], Any]:
    event = _json(body)
    if not isinstance(event, Mapping):
        raise BadDocument("the CloudEvent is no object")
    attributes = {str(name).lower(): str(value) for name, value in event.items() if name not in ("data", "data_base64")}
    if "data_base64" in event:
        try:
            raw = base64.b64decode(str(event["data_base64"]), validate=True)
        except ValueError:
            raise BadDocument("the CloudEvent's data is no base64") from None
        return attributes, _protobuf(raw) if "protobuf" in attributes.get("datacontenttype", "") else _json(raw)
    return attributes, event.get("data")


def _json(body: bytes) -> Any:
    try:
        return read_json(body)
    except NotJson as error:
        raise BadDocument(f"the event is {error}") from None


def _protobuf(body: bytes) -> dict[str, Any]:
    """``DocumentEventData``: value 1, old_value 2, update_mask 3. Its documents are those of the API, field by field."""
    from google.protobuf.message import DecodeError

    found: dict[str, Any] = {}
    try:
        for number, content in _fields(body):
            if number in (1, 2):
                found["value" if number == 1 else "oldValue"] = document_json(content)
    except (DecodeError, ValueError):
        raise BadDocument("the event is no DocumentEventData") from None
    return found


def _fields(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a Protobuf message that has no others.

    Raises:
        ValueError: It has others, or ends early.
    """
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        if tag & 7 != 2:
            raise ValueError("not a length-delimited field")
        size, at = _varint(body, at)
        if at + size > len(body):
            raise ValueError("the message ends early")
        yield tag >> 3, body[at : at + size]
        at += size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(body) and shift < 64:
        byte = body[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("the message ends early")


def _document(data: Any, name: str) -> Mapping[str, Any] | None:
    if not isinstance(data, Mapping):
        raise BadDocument("the event's data is no object")
    document = data.get(name)
    if document is not None and not isinstance(document, Mapping):
        raise BadDocument(f"the event's {name} is no document")
    return document or None


def _path(attributes: Mapping[str, str], document: Mapping[str, Any] | None) -> str:
    name = str(document.get("name", "")) if document is not None else ""
    path = path_of(name) if name else attributes.get("document") or attributes.get("subject", "").removeprefix("documents/")
    if path.count("/") % 2 == 0 or not all(path.split("/")):
        raise BadDocument("the event names no document")
    return path
