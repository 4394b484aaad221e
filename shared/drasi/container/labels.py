"""Which elements of a source are wanted, by their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Labels = frozenset[str] | None
"""Labels of nodes, or types of relations; None: all of them."""

NONE: frozenset[str] = frozenset()


def union(one: Labels, other: Labels) -> Labels:
    return None if one is None or other is None else one | other


def without(one: Labels, other: Labels) -> Labels:
    """What of ``one`` is not in ``other``; everything stays everything unless the other is."""
    if other is None:
        return NONE
    return None if one is None else one - other


def intersection(one: Labels, other: Labels) -> Labels:
    if one is None:
        return other
    return one if other is None else one & other


def covers(one: Labels, other: Labels) -> bool:
    """Whether everything that ``other`` wants is in ``one``."""
    return one is None or (other is not None and other <= one)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Node labels and relation types wanted of one source."""

    nodes: Labels = NONE
    relations: Labels = NONE

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(union(self.nodes, other.nodes), union(self.relations, other.relations))

    def __sub__(self, other: Wanted) -> Wanted:
        return Wanted(without(self.nodes, other.nodes), without(self.relations, other.relations))

    def __and__(self, other: Wanted) -> Wanted:
        return Wanted(intersection(self.nodes, other.nodes), intersection(self.relations, other.relations))

    def __ge__(self, other: Wanted) -> bool:
        return covers(self.nodes, other.nodes) and covers(self.relations, other.relations)

    def __bool__(self) -> bool:
        """Whether anything is wanted at all."""
        return self.nodes is None or self.relations is None or bool(self.nodes) or bool(self.relations)

    def has(self, labels: Sequence[str], *, relation: bool) -> bool:
        """Whether a node or a relation with these labels is wanted; a relation's type is its first label."""
        if relation:
            return self.relations is None or (bool(labels) and labels[0] in self.relations)
        return self.nodes is None or not self.nodes.isdisjoint(labels)

    def request(self) -> tuple[frozenset[str], frozenset[str]]:
        """Labels to ask a source for. Both empty means everything, which is also asked for where one side wants everything."""
        if self.nodes is None or self.relations is None:
            return NONE, NONE
        return self.nodes, self.relations

    def plain(self) -> list[list[str] | None]:
        return [
            None if self.nodes is None else sorted(self.nodes),
            None if self.relations is None else sorted(self.relations),
        ]

    @classmethod
    def of(cls, plain: list[list[str] | None]) -> Wanted:
        nodes, relations = plain
        return cls(None if nodes is None else frozenset(nodes), None if relations is None else frozenset(relations))


NOTHING = Wanted()
