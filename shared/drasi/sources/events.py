"""Events as they are pushed to an Http source (connectors.md section 5.1): every rule in one place, every mistake named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.json_text import is_too_deep
from drasi.sources.properties import in_range
from drasi.values.json import MAX_NESTING

_OPERATIONS: dict[str, Literal["i", "u", "d"]] = {"insert": "i", "update": "u", "delete": "d"}
_TYPES = ("node", "relation")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with an event, and where."""

    path: str
    message: str


def read_event(event: Any, source_id: str, arrival_ns: int) -> SourceChange | list[Mistake]:
    """One decoded event as a change without position, or everything that is wrong with it."""
    if not isinstance(event, dict):
        return [Mistake("", f"an event must be an object, not {_name(event)}")]
    mistakes: list[Mistake] = []
    operation = event.get("operation")
    op = _OPERATIONS.get(operation) if isinstance(operation, str) else None
    if op is None:
        mistakes.append(_wrong("operation", operation, "insert, update or delete"))
    timestamp = event.get("timestamp", arrival_ns)
    if not isinstance(timestamp, int) or isinstance(timestamp, bool) or not -(2**63) <= timestamp < 2**63:
        mistakes.append(_wrong("timestamp", timestamp, "an integer: nanoseconds since 1970"))
    given = event.get("element")
    if not isinstance(given, dict):
        return [*mistakes, _wrong("element", given, "an object")]
    kind = given.get("type")
    if kind not in _TYPES and not (op == "d" and kind is None):
        mistakes.append(_wrong("element.type", kind, "node or relation"))
    element = _element(given, kind == "relation" and op != "d", deleted=op == "d", mistakes=mistakes)
    if mistakes or op is None:
        return mistakes
    origin = Origin(source_id, "rel" if kind == "relation" else "node", timestamp)
    if op == "d":
        return SourceChange(op, Payload(origin, before=Element(element.id, element.labels)))
    return SourceChange(op, Payload(origin, after=element))


def _element(given: dict[str, Any], has_ends: bool, *, deleted: bool, mistakes: list[Mistake]) -> Element:
    identity = given.get("id")
    if not isinstance(identity, str) or not identity:
        mistakes.append(_wrong("element.id", identity, "a text that is not empty"))
    labels = given.get("labels", [] if deleted else None)
    if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
        mistakes.append(_wrong("element.labels", labels, "a list of texts"))
        labels = []
    elif has_ends and not labels:
        mistakes.append(Mistake("element.labels", "element.labels must not be empty: a relation's first label is its type"))
    properties = given.get("properties")
    if properties is None:
        properties = {}
    elif not isinstance(properties, dict):
        mistakes.append(_wrong("element.properties", properties, "an object"))
        properties = {}
    for name, value in properties.items():
        if is_too_deep(value):
            path = f"element.properties.{name}"
            mistakes.append(Mistake(path, f"{path}: lists and maps may stand in each other {MAX_NESTING} deep at most"))
            properties = {}
            break
    ends: dict[str, str | None] = {"from": None, "to": None}
    for name in ends:
        end = given.get(name)
        if has_ends and not (isinstance(end, str) and end):
            mistakes.append(_wrong(f"element.{name}", end, "the id of a node"))
        elif not has_ends and end is not None and not deleted and given.get("type") == "node":
            mistakes.append(Mistake(f"element.{name}", f"element.{name} must not be there: a node has no ends"))
        elif has_ends:
            ends[name] = end
    return Element(str(identity), labels, in_range(properties), ends["from"], ends["to"])


def _wrong(path: str, value: Any, expected: str) -> Mistake:
    if value is None:
        return Mistake(path, f"{path} is required: {expected}")
    shown = f"'{value}'" if isinstance(value, str) and 0 < len(value) <= 40 else _name(value)
    return Mistake(path, f"{path} must be {expected}, not {shown}")


def _name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a text" if value else "an empty text"
    names: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "this")
