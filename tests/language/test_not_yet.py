"""What is refused today, with its name and place; an error of the text itself always wins."""

from __future__ import annotations

import pytest

from tests.language.asking import checked, refused


@pytest.mark.parametrize(
    ("text", "constructs"),
    [
        ("OPTIONAL MATCH (n:A) RETURN n", ["OPTIONAL MATCH at line 1, column 1"]),
        ("MATCH (n:A) WITH n\nMATCH (n)-->(m:B) RETURN m", ["MATCH after WITH at line 2, column 1"]),
        ("UNWIND [1] AS x RETURN x", ["UNWIND at line 1, column 1"]),
        ("MATCH (n:A) CALL { RETURN 1 AS x } RETURN x", ["CALL { … } at line 1, column 13"]),
        ("RETURN 1 AS x UNION RETURN 2 AS x", ["UNION at line 1, column 21"]),
        ("RETURN 1 AS x UNION ALL RETURN 2 AS x", ["UNION ALL at line 1, column 25"]),
        ("MATCH (n:A) RETURN n.x ORDER BY n.y", ["ORDER BY at line 1, column 33"]),
        ("MATCH (n:A) RETURN n.x SKIP 1 LIMIT 2", ["SKIP at line 1, column 29", "LIMIT at line 1, column 37"]),
        ("MATCH (n:A)-[:T*1..2]->() RETURN n", ["variable-length relation at line 1, column 16"]),
        ("MATCH p = (n:A) RETURN n", ["named path at line 1, column 7"]),
        ("MATCH shortestPath((a:A)-[:T*]-(b:B)) RETURN a", ["shortestPath", "variable-length relation"]),
        ("MATCH (n:A) WHERE EXISTS { (n)-->(:B) } RETURN n", ["EXISTS { … } at line 1, column 19"]),
        ("MATCH (n:A) RETURN COUNT { (n)-->(:B) } AS c", ["COUNT { … } at line 1, column 20"]),
        ("MATCH (n:A) RETURN COLLECT { MATCH (n)-->(m:B) RETURN m } AS c", ["COLLECT { … } at line 1, column 20"]),
        ("MATCH (n:A) WHERE (n)-[:T]->() RETURN n", ["pattern predicate at line 1, column 19"]),
        ("MATCH (n:A) RETURN [(n)-[:T]->(m:B) | m] AS l", ["pattern comprehension at line 1, column 20"]),
        ("RETURN date('2020-01-01') AS d", ["date() at line 1, column 8"]),
        ("MATCH (n:A) RETURN datetime.transaction() AS d", ["datetime.transaction() at line 1, column 20"]),
        ("MATCH (n:A) WHERE drasi.trueFor(n.x, 1) RETURN n", ["drasi.trueFor() at line 1, column 19"]),
        ("MATCH (n:A) RETURN stDev(n.x) AS d", ["stDev() at line 1, column 20"]),
        ("RETURN rand() AS r", ["rand() at line 1, column 8"]),
    ],
)
def test_named_with_its_place(text: str, constructs: list[str]) -> None:
    found = [str(entry) for entry in checked(text).not_yet]
    assert len(found) == len(constructs)
    assert all(entry.startswith(construct) for entry, construct in zip(found, constructs, strict=True))
    assert all("^" in entry.excerpt for entry in checked(text).not_yet)


@pytest.mark.parametrize(
    "text",
    [
        "RETURN 1 + 1 AS two",
        "MATCH (a:A)-[r:T|U]-(b:B), (b)-->(:C|D {k: 1}) WHERE a.x > b.x MATCH (c WHERE c.y) WHERE a.z RETURN DISTINCT a, r, c",
        "MATCH (a:A) WITH DISTINCT a.x AS x WHERE x > 1 WITH x, count(*) AS c WHERE c > 1 RETURN x, collect(c) AS cs",
        "MATCH (a:A) WHERE a.x WHERE count(*) > 1 RETURN a.y AS y",
        "MATCH (n:A) RETURN CASE n.x WHEN 1 THEN [1, 2][0] ELSE {a: 1}.a END AS c, n.l[1..2] AS s, n {.x} AS p",
        "MATCH (n:A) WHERE n.s STARTS WITH 'a' AND n.s =~ 'b.*' AND n.x IS NOT NULL AND n:B RETURN [x IN n.l WHERE x | x + 1] AS l",
        "MATCH (n:A) RETURN reduce(a = 0, x IN n.l | a + x) AS r, all(x IN n.l WHERE x > $p) AS q, exists(n.x) AS e",
        "MATCH (n:A) RETURN elementId(n), labels(n), keys(n), properties(n), coalesce(n.x, 1), toUpper(n.s), coll.distinct(n.l)",
        "MATCH (n:A) RETURN count(DISTINCT n.x), sum(n.x), avg(n.x), min(n.x), max(n.x), collect(n.x)",
    ],
)
def test_built_today(text: str) -> None:
    assert checked(text).not_yet == ()


def test_an_error_of_the_text_wins() -> None:
    assert refused("OPTIONAL MATCH (n:A) RETURN m").detail == "UndefinedVariable"
    assert refused("UNWIND [1] AS x RETURN x ORDER").detail == "UnexpectedSyntax"
