"""Changes, and what makes one malformed."""

from __future__ import annotations

from typing import Any

from drasi.values import Node, Relation
from drasi.values.check import validate_value

_MIN, _MAX = -(2**63), 2**63 - 1


class Insert:
    """A new element; a known one is replaced: properties not sent are gone."""

    __slots__ = ("element",)

    def __init__(self, element: Node | Relation) -> None:
        self.element = element

    def __repr__(self) -> str:
        return f"Insert({self.element!r})"


class Update:
    """Labels and ends are replaced, properties sent are set, None removes, those not sent are kept. Unknown: an insert."""

    __slots__ = ("element",)

    def __init__(self, element: Node | Relation) -> None:
        self.element = element

    def __repr__(self) -> str:
        return f"Update({self.element!r})"


class Delete:
    """An element disappears; of an unknown one nothing happens. ``labels`` are informative."""

    __slots__ = ("effective_from", "id", "labels", "source")

    def __init__(self, source: str, id: str, labels: Any = (), effective_from: int = 0) -> None:  # noqa: A002
        self.source = source
        self.id = id
        self.labels = labels
        self.effective_from = effective_from

    def __repr__(self) -> str:
        return f"Delete({self.source!r}, {self.id!r})"


Change = Insert | Update | Delete


def check_change(change: object) -> None:
    """Raises ValueError, naming what is wrong and where, unless the change is well formed in itself."""
    if type(change) is Delete:
        _check_id(change.source, "source", "delete")
        _check_id(change.id, "id", "delete")
        _check_time(change.effective_from, f"{change.source}/{change.id}")
        return
    if type(change) is not Insert and type(change) is not Update:
        raise ValueError(f"a change is an Insert, an Update or a Delete, not {change!r}")
    element = change.element
    if type(element) is not Node and type(element) is not Relation:
        raise ValueError(f"{type(change).__name__} takes a Node or a Relation, not {element!r}")
    _check_id(element.source, "source", "element")
    _check_id(element.id, "id", "element")
    where = f"{element.source}/{element.id}"
    _check_time(element.effective_from, where)
    _check_labels(element.labels, where)
    if not isinstance(element.properties, dict):
        raise ValueError(f"{where}: properties must be a dict, not {type(element.properties).__name__}")
    for name, value in element.properties.items():
        check_property(name, value, where)
    if type(element) is Relation:
        if not element.labels:
            raise ValueError(f"{where}: a relation needs a label, its type")
        for name, end in (("start", element.start), ("end", element.end)):
            check_end(end, name, where)


def check_property(name: object, value: Any, where: str) -> None:
    if type(name) is not str:
        raise ValueError(f"{where}: names of properties are strings, not {name!r}")
    kind = type(value)
    if kind is int:
        if not _MIN <= value <= _MAX:
            raise ValueError(f"{where}: property '{name}': {value} does not fit into 64 bits")
    elif kind is not str and kind is not float and kind is not bool and value is not None:
        validate_value(value, f"{where}: property '{name}'")


def check_end(end: object, name: str, where: str) -> None:
    if end is None or (isinstance(end, str) and end):
        return
    if isinstance(end, tuple) and len(end) == 2 and all(isinstance(part, str) and part for part in end):
        return
    raise ValueError(f"{where}: {name} must be an id or (source, id), not {end!r}")


def _check_id(value: object, name: str, what: str) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what}: {name} must be a string that is not empty, not {value!r}")


def _check_time(value: object, where: str) -> None:
    if type(value) is not int or not _MIN <= value <= _MAX:
        raise ValueError(f"{where}: effective_from must be integer milliseconds, not {value!r}")


def _check_labels(labels: object, where: str) -> None:
    if not isinstance(labels, list | tuple) or not all(isinstance(label, str) and label for label in labels):
        raise ValueError(f"{where}: labels must be a list of strings that are not empty, not {labels!r}")
