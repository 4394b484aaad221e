"""The graphs that scenarios set up: an interpreter of the few writing statements that their set-up steps use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from drasi.language import parse, tree
from tests.oracle.answer import Arrivals, Choices, Evaluation, Row
from tests.oracle.expressions import Scope, evaluate
from tests.oracle.graph import Element, Graph

SOURCE = "tck"
CLAUSE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|//[^\n]*|\b(CREATE|MATCH|UNWIND|WITH|DELETE)\b")


def clauses(text: str) -> list[tuple[str, str]]:
    """The statement's clauses: keyword and the text after it."""
    places = [found for found in CLAUSE.finditer(text) if found[1]]
    ends = [found.start() for found in places[1:]] + [len(text)]
    return [(found[1], text[found.end() : end].strip().rstrip(";")) for found, end in zip(places, ends, strict=True)]


def first_clause(text: str) -> Any:
    return parse(text).parts[0].clauses[0]


class Setup:
    """Executes set-up statements on a graph; elements get the ids n0, n1 … and r0, r1 …"""

    def __init__(self, graph: Graph | None = None) -> None:
        self.graph = graph or Graph()
        self.made = 0

    def execute(self, text: str) -> Graph:
        rows = [Row({})]
        for keyword, rest in clauses(text):
            if keyword == "CREATE":
                patterns = first_clause(f"MATCH {rest}\nRETURN 1").patterns
                rows = [Row(self.create(patterns, dict(row.variables))) for row in rows]
            elif keyword == "DELETE":
                for row in rows:
                    for name in rest.split(","):
                        element = row.variables[name.strip()]
                        self.graph.delete(*element.key)
            elif (keyword, rest) != ("WITH", "*"):
                rows = self.read(first_clause(f"{keyword} {rest}\nRETURN 1"), rows)
        return self.graph

    def read(self, clause: tree.Clause, rows: list[Row]) -> list[Row]:
        evaluation = Evaluation(Scope(self.graph, {}), Arrivals(), Choices())
        if isinstance(clause, tree.Match):
            found = [new for row in rows for new in evaluation.matched([clause], row)]
        elif isinstance(clause, tree.Unwind):
            found = [new for row in rows for new in evaluation.unwound(clause, row)]
        else:
            assert isinstance(clause, tree.Projection)
            found = evaluation.projected(clause, rows, 0)
        assert not evaluation.errors
        return found

    def create(self, patterns: tuple[tree.PathPattern, ...], variables: dict[str, Any]) -> dict[str, Any]:
        for pattern in patterns:
            nodes = [self.node(node, variables) for node in pattern.nodes]
            for relation, left, right in zip(pattern.relations, nodes, nodes[1:], strict=False):
                start, end = (right, left) if relation.direction == "in" else (left, right)
                properties = self.properties(relation, variables)
                element = Element(SOURCE, self.id("r"), relation.types, properties, start.key, end.key)
                self.add(relation.variable, element, variables)
        return variables

    def node(self, pattern: tree.NodePattern, variables: dict[str, Any]) -> Element:
        if pattern.variable in variables:
            known = variables[pattern.variable or ""]
            assert isinstance(known, Element)
            return known
        labels: tuple[tree.LabelExpression, ...] = ()
        if pattern.labels is not None:
            labels = pattern.labels.operands if isinstance(pattern.labels, tree.LabelAnd) else (pattern.labels,)
        names = tuple(label.name for label in labels if isinstance(label, tree.Label))
        return self.add(pattern.variable, Element(SOURCE, self.id("n"), names, self.properties(pattern, variables)), variables)

    def add(self, variable: str | None, element: Element, variables: dict[str, Any]) -> Element:
        self.graph.insert(element)
        if variable is not None:
            variables[variable] = self.graph.elements[element.key]
        return element

    def id(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made - 1}"

    def properties(self, pattern: tree.NodePattern | tree.RelationPattern, variables: dict[str, Any]) -> dict[str, Any]:
        value = {} if pattern.properties is None else evaluate(pattern.properties, Scope(self.graph, variables))
        assert isinstance(value, dict)
        return value


def named_graph(tck: Path, name: str) -> str:
    """The statement that makes a named graph."""
    return (tck / "graphs" / name / f"{name}.cypher").read_text(encoding="utf-8")
