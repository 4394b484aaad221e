"""Elements by (source, id), and what a change does to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Key = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Element:
    """A node or, with ``start`` and ``end``, a relation. Two are the same element if their keys are."""

    source: str
    id: str
    labels: tuple[str, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    start: Key | None = None
    end: Key | None = None

    @property
    def key(self) -> Key:
        return (self.source, self.id)

    @property
    def is_relation(self) -> bool:
        return self.start is not None

    @property
    def type(self) -> str:
        return self.labels[0]


def present(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Null is absence."""
    return {name: value for name, value in properties.items() if value is not None}


class Graph:
    """The elements now; relations whose ends are not there are kept, and match nothing."""

    def __init__(self) -> None:
        self.elements: dict[Key, Element] = {}

    def insert(self, element: Element) -> None:
        self.elements.pop(element.key, None)
        self.elements[element.key] = replace(element, properties=present(element.properties))

    def update(self, element: Element) -> None:
        """Labels are replaced; properties sent are set or, null, taken away; ends left out (None) stay."""
        old = self.elements.get(element.key)
        if old is None or old.is_relation is not element.is_relation:
            self.insert(element)
            return
        self.elements[element.key] = replace(element, properties=present({**old.properties, **element.properties}))

    def delete(self, source: str, id: str) -> None:  # noqa: A002 -- the field's word
        self.elements.pop((source, id), None)

    def nodes(self) -> Iterable[Element]:
        return [element for element in self.elements.values() if not element.is_relation]

    def node(self, key: Key) -> Element | None:
        element = self.elements.get(key)
        return None if element is None or element.is_relation else element

    def relations(self) -> Iterable[Element]:
        """Those that can match: both ends are nodes at hand."""
        return [
            element
            for element in self.elements.values()
            if element.start is not None and element.end is not None and self.node(element.start) and self.node(element.end)
        ]
