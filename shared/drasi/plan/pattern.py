"""MATCH clauses → one match: places, edges, uniqueness, conditions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from drasi.language import tree
from drasi.language.walk import descendants
from drasi.plan.algebra import Condition, Edge, Match, Place
from drasi.plan.ends import asks_for_an_end
from drasi.plan.expressions import conjuncts, free_variables


class MatchBuilder:
    """Collects consecutive MATCH clauses (and the filters between them) into one Match."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._places: list[Place] = []
        self._index: dict[str, int] = {}
        self._edges: list[Edge] = []
        self._distinct: list[tuple[int, int]] = []
        self._expressions: list[tree.Expression] = []

    def add(self, clause: tree.Match) -> None:
        relations: list[int] = []
        for path in clause.patterns:
            nodes = [self._node(node) for node in path.nodes]
            for i, pattern in enumerate(path.relations):
                relation = self._relation(pattern)
                if relation not in relations:
                    relations.append(relation)
                self._edges.append(Edge(relation, nodes[i], nodes[i + 1], pattern.direction))
        self._distinct += [(a, b) for a, b in combinations(relations, 2) if _overlap(self._places[a].types, self._places[b].types)]
        self.filter(clause.where)

    def filter(self, where: tree.Expression | None) -> None:
        self._expressions += conjuncts(where)

    def build(self) -> Match:
        conditions = tuple(Condition(expression, self._read(expression)) for expression in self._expressions)
        return Match(tuple(self._places), tuple(self._edges), conditions, tuple(self._distinct))

    def _read(self, expression: tree.Expression) -> frozenset[int]:
        """The places that an expression reads: those it names, and the ends of a relation whose ends it asks for."""
        places = {self._index[name] for name in free_variables(expression)}
        if any(map(asks_for_an_end, descendants(expression))):
            places |= {end for edge in self._edges if edge.relation in places for end in (edge.left, edge.right)}
        return frozenset(places)

    def _node(self, pattern: tree.NodePattern) -> int:
        index = self._place(pattern.variable, "node")
        if pattern.labels is not None:
            place = self._places[index]
            labels = pattern.labels
            if place.labels is not None and place.labels != labels:
                labels = tree.LabelAnd((place.labels, labels))
            self._places[index] = Place(place.name, "node", labels=labels, written=place.written)
        self._inline(index, pattern.properties, pattern.where)
        return index

    def _relation(self, pattern: tree.RelationPattern) -> int:
        index = self._place(pattern.variable, "relation")
        place = self._places[index]
        types = pattern.types
        if place.types:
            types = tuple(name for name in place.types if name in types) if types else place.types
            types = types or ("",)  # bound twice under types that exclude each other: no relation has the empty type
        self._places[index] = Place(place.name, "relation", types=types, written=place.written)
        self._inline(index, pattern.properties, pattern.where)
        return index

    def _place(self, variable: str | None, kind: Any) -> int:
        name = variable if variable is not None else f" {len(self._places)}"
        if name not in self._index:
            self._index[name] = len(self._places)
            self._places.append(Place(name, kind, written=variable is not None))
        return self._index[name]

    def _inline(self, index: int, properties: tree.Expression | None, where: tree.Expression | None) -> None:
        subject = tree.Variable(self._places[index].name)
        if isinstance(properties, tree.MapLiteral):
            entries = properties.entries
        elif isinstance(properties, tree.Parameter):
            value = self._parameters[properties.name]
            entries = tuple((key, tree.Index(properties, tree.Literal(key))) for key in value)
        else:
            entries = ()
        for key, value in entries:
            self._expressions.append(tree.Comparison(tree.Property(subject, key), (("=", value),)))
        self.filter(where)


def _overlap(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    return not a or not b or not set(a).isdisjoint(b)
