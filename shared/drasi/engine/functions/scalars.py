"""Functions of elements, and of values of several types (language.md section 8.1)."""

from __future__ import annotations

from typing import Any

from drasi.engine.functions.arguments import string
from drasi.values.elements import Node, Path, Relation
from drasi.values.equality import equals
from drasi.values.errors import invalid_value


def coalesce(*values: Any) -> Any:
    """The first value that is not null."""
    for value in values:
        if value is not None:
            return value
    return None


def null_if(a: Any, b: Any) -> Any:
    """null if ``a = b`` is true, else ``a``."""
    return None if equals(a, b) else a


def element_id(element: Any) -> str | None:
    """The id of a node or a relation, without its source."""
    if element is None:
        return None
    if type(element) is Node or type(element) is Relation:
        return element.id
    raise invalid_value("elementId()", "a node or a relation", element)


def labels(node: Any) -> list[str] | None:
    """The labels of a node."""
    if node is None:
        return None
    if type(node) is Node:
        return list(node.labels)
    raise invalid_value("labels()", "a node", node)


def type_(relation: Any) -> str | None:
    """The type of a relation: its first label."""
    if relation is None:
        return None
    if type(relation) is Relation:
        return relation.type
    raise invalid_value("type()", "a relation", relation)


def keys(value: Any) -> list[str] | None:
    """The names of the properties of a node, a relation or a map."""
    if value is None:
        return None
    return list(_record("keys", value))


def properties(value: Any) -> dict[str, Any] | None:
    """The properties of a node, a relation or a map, as a map."""
    if value is None:
        return None
    return dict(_record("properties", value))


def nodes(path: Any) -> list[Node] | None:
    """The nodes of a path, in its order."""
    return None if path is None else list(_path("nodes", path).nodes)


def relationships(path: Any) -> list[Relation] | None:
    """The relations of a path, in its order."""
    return None if path is None else list(_path("relationships", path).relationships)


def length(path: Any) -> int | None:
    """The number of relations of a path."""
    return None if path is None else len(_path("length", path).relationships)


def size(value: Any) -> int | None:
    """The number of items of a list, of code points of a string."""
    if value is None:
        return None
    if type(value) is list or type(value) is str:
        return len(value)
    raise invalid_value("size()", "a list or a string", value)


def is_empty(value: Any) -> bool | None:
    """Whether a list, a string or a map has nothing in it."""
    if value is None:
        return None
    if type(value) is list or type(value) is str or type(value) is dict:
        return not value
    raise invalid_value("isEmpty()", "a list, a string or a map", value)


def char_length(text: Any) -> int | None:
    """The number of code points of a string."""
    return None if text is None else len(string("char_length", text))


def _record(name: str, value: Any) -> Any:
    if type(value) is dict:
        return value
    if type(value) is Node or type(value) is Relation:
        return value.properties
    raise invalid_value(f"{name}()", "a node, a relation or a map", value)


def _path(name: str, value: Any) -> Path:
    if type(value) is Path:
        return value
    raise invalid_value(f"{name}()", "a path", value)
