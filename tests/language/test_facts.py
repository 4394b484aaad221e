"""What a query reads of the graph, and warnings (resources.md sections 5 and 9.2)."""

from __future__ import annotations

import pytest

from drasi.language import facts
from tests.language.asking import checked


@pytest.mark.parametrize(
    ("text", "labels", "types"),
    [
        ("RETURN 1 AS x", set(), set()),
        ("MATCH (a:A) RETURN a", {"A"}, set()),
        ("MATCH (a:A:B) RETURN a", {"A", "B"}, set()),
        ("MATCH (a:A|B) RETURN a", {"A", "B"}, set()),
        ("MATCH (a:A&!B) RETURN a", {"A"}, set()),
        ("MATCH (a:!B) RETURN a", None, set()),
        ("MATCH (a:%) RETURN a", None, set()),
        ("MATCH (a:A|!B) RETURN a", None, set()),
        ("MATCH (a:A)-[:T|U]->(b:B) RETURN a", {"A", "B"}, {"T", "U"}),
        ("MATCH (a:A)-[r]->(b:B) RETURN a", {"A", "B"}, None),
        ("MATCH (a:A)-->() RETURN a", None, None),
        ("MATCH (a:A)-[:T]->(b:B), (b)-[:U]->(a) RETURN a", {"A", "B"}, {"T", "U"}),
        ("MATCH (a)-[:T]->(b:B), (a:A) RETURN a", {"A", "B"}, {"T"}),
        ("MATCH (a) WHERE a:A AND a.x RETURN a", {"A"}, set()),
        ("MATCH (a WHERE a:A) RETURN a", {"A"}, set()),
        ("MATCH (a) WHERE a:A OR a.x RETURN a", None, set()),
        ("MATCH (a:A) WITH a MATCH (a)-[:T]->(b:B) RETURN b", {"A", "B"}, {"T"}),
        ("MATCH (a:A) WITH a.x AS x MATCH (a) RETURN a", None, set()),
        ("MATCH (a:A) WHERE EXISTS { (a)-[:T]->(:B) } RETURN a", {"A", "B"}, {"T"}),
        ("MATCH (a:A) WHERE (a)-[:T]->() RETURN a", None, {"T"}),
        ("MATCH (a:A) RETURN [(a)-[:T]->(b:B) | b] AS l", {"A", "B"}, {"T"}),
        ("MATCH (a:A) CALL (a) { MATCH (a)-[:T]->(b:B) RETURN b } RETURN b", {"A", "B"}, {"T"}),
        ("MATCH (a:A) CALL { MATCH (a) RETURN a AS b } RETURN b", None, set()),
    ],
)
def test_labels_and_types(text: str, labels: set[str] | None, types: set[str] | None) -> None:
    found = facts(checked(text))
    assert found.node_labels == labels
    assert found.relation_types == types


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("MATCH (a:A)-[:T]->(b:B) RETURN a.x / 2", []),
        ("MATCH (a:A)-->(b) RETURN a", ["Unlabelled", "Unlabelled"]),
        ("RETURN 7 / 2 AS x", ["IntegerDivision"]),
        ("MATCH (a:A) RETURN toInteger(a.x) / 2 AS x", ["IntegerDivision"]),
        ("RETURN 7 / 2.0 AS x", []),
        ("MATCH (a:A) RETURN duration.between(a.x, a.y).hours AS x", ["DurationComponent"]),
        ("MATCH (a:A) WITH duration.between(a.x, a.y) AS d RETURN d.days AS x", ["DurationComponent"]),
        ("MATCH (a:A) RETURN duration.inDays(a.x, a.y).days AS x", []),
        ("MATCH (a:A) RETURN duration.between(a.x, a.y).minutesOfHour AS x", []),
    ],
)
def test_warnings(text: str, codes: list[str]) -> None:
    found = checked(text)
    assert [warning.code for warning in found.warnings] == codes
    assert all(warning.line == 1 and warning.column > 1 for warning in found.warnings)
    assert facts(found).warnings == found.warnings
