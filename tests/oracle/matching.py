"""All assignments of the patterns of one MATCH (language.md section 3.1): place by place, every element tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from drasi.language import tree
from tests.oracle.expressions import Scope, conjuncts, fits
from tests.oracle.graph import Element
from tests.oracle.values import Value


@dataclass(frozen=True)
class Match:
    """One assignment: the variables' values, and the elements of all places in their order, anonymous ones too."""

    variables: Mapping[str, Value]
    places: tuple[Element, ...] = ()

    def taking(self, variable: str | None, element: Element) -> Match | None:
        """This match with the element at one more place; None if the variable is another element already."""
        if variable is None:
            return replace(self, places=(*self.places, element))
        bound = self.variables.get(variable, element)
        if not isinstance(bound, Element) or bound.key != element.key:
            return None
        return Match({**self.variables, variable: element}, (*self.places, element))


def assignments(patterns: tuple[tree.PathPattern, ...], scope: Scope) -> Iterator[Match]:
    """Every way to lay the patterns over the graph that agrees with the scope; properties and WHERE are not looked at."""
    partial = [Match(scope.variables)]
    for pattern in patterns:
        if pattern.variable is not None or pattern.shortest is not None or any(r.length for r in pattern.relations):
            raise NotImplementedError("paths")
        partial = [match for start in partial for match in paths(pattern, start, scope)]
    yield from partial


def paths(pattern: tree.PathPattern, start: Match, scope: Scope) -> Iterator[Match]:
    """The ways to lay one path. A relation lies between the node before and the node after it, and no relation lies twice."""
    first = pattern.nodes[0]
    grown = [
        (match, node)
        for node in scope.graph.nodes()
        if fits(first.labels, node)
        if (match := start.taking(first.variable, node)) is not None
    ]
    for relation, target in zip(pattern.relations, pattern.nodes[1:], strict=True):
        grown = [
            (after, node)
            for match, here in grown
            for element in scope.graph.relations()
            if not relation.types or element.type in relation.types
            if all(element.key != place.key for place in match.places)
            for node in others(element, here, relation.direction, scope)
            if fits(target.labels, node)
            if (across := match.taking(relation.variable, element)) is not None
            if (after := across.taking(target.variable, node)) is not None
        ]
    yield from (match for match, _ in grown)


def others(relation: Element, here: Element, direction: str, scope: Scope) -> list[Element]:
    """The nodes at which one arrives by the relation; a self-loop arrives once."""
    assert relation.start is not None
    assert relation.end is not None
    keys: dict[Any, None] = {}
    if direction != "in" and relation.start == here.key:
        keys[relation.end] = None
    if direction != "out" and relation.end == here.key:
        keys[relation.start] = None
    return [scope.graph.elements[key] for key in keys]


def conditions(patterns: tuple[tree.PathPattern, ...], match: Match, scope: Scope) -> Iterator[tuple[tree.Expression, Scope]]:
    """What the patterns ask of the elements beside labels and types, each with what it sees: a place without a name is seen
    under one that no text can hold."""
    places = iter(match.places)
    for pattern in patterns:
        for i, node in enumerate(pattern.nodes):
            if i > 0:
                yield from of_place(pattern.relations[i - 1], next(places), match, scope)
            yield from of_place(node, next(places), match, scope)


def of_place(
    place: tree.NodePattern | tree.RelationPattern, element: Element, match: Match, scope: Scope
) -> Iterator[tuple[tree.Expression, Scope]]:
    name = place.variable or "\0"
    inner = replace(scope, variables={**match.variables, name: element})
    properties = place.properties
    if isinstance(properties, tree.MapLiteral):
        entries: list[tuple[str, tree.Expression]] = list(properties.entries)
    elif isinstance(properties, tree.Parameter):
        value = scope.parameters[properties.name]
        assert isinstance(value, dict)
        entries = [(key, tree.Index(properties, tree.Literal(key))) for key in value]
    else:
        entries = []
    for key, expression in entries:
        yield tree.Comparison(tree.Property(tree.Variable(name), key), (("=", expression),)), inner
    for conjunct in conjuncts(place.where):
        yield conjunct, inner
