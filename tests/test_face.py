"""The library's face, pinned: people build on these names and shapes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import drasi
from drasi import ContinuousQuery, Delete, Diff, Insert, Join, Middleware, Node, QueryError, Relation, Update

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_names() -> None:
    assert sorted(drasi.__all__) == [
        "ContinuousQuery",
        "Delete",
        "Diff",
        "DrasiError",
        "EvaluationError",
        "Insert",
        "Join",
        "Middleware",
        "Node",
        "Path",
        "Procedure",
        "QueryError",
        "Relation",
        "Row",
        "RowError",
        "Update",
        "UpdatedRow",
        "to_json",
    ]
    assert all(hasattr(drasi, name) for name in drasi.__all__)


@pytest.mark.parametrize(
    ("what", "parameters"),
    [
        (ContinuousQuery, ["text", "language", "parameters", "joins", "middleware", "pipelines", "column_names", "procedures"]),
        (Node, ["source", "id", "labels", "properties", "effective_from"]),
        (Relation, ["source", "id", "labels", "properties", "effective_from", "start", "end"]),
        (Insert, ["element"]),
        (Update, ["element"]),
        (Delete, ["source", "id", "labels", "effective_from"]),
        (Join, ["id", "keys"]),
        (Middleware, ["kind", "name", "config"]),
        (ContinuousQuery.apply, ["self", "change"]),
        (ContinuousQuery.apply_transaction, ["self", "changes"]),
        (ContinuousQuery.advance, ["self", "to"]),
        (ContinuousQuery.rows, ["self"]),
        (ContinuousQuery.errors, ["self"]),
        (ContinuousQuery.explain, ["self"]),
        (ContinuousQuery.snapshot, ["self"]),
        (ContinuousQuery.restore, ["data"]),
    ],
)
def test_the_shapes(what: object, parameters: list[str]) -> None:
    assert list(inspect.signature(what).parameters) == parameters  # type: ignore[arg-type]


def test_the_readmes_first_example_runs() -> None:
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert code is not None
    space: dict[str, object] = {}
    exec(code.group(1), space)
    assert [dict(row) for row in space["query"].rows()] == [{"floor": "Ground", "temp": 21.0}]  # type: ignore[attr-defined]


def comfort() -> ContinuousQuery:
    return ContinuousQuery("MATCH (r:Room) WHERE r.temp > 20 RETURN r.name AS name, r.temp AS temp")


def room(temp: object, time: int = 0) -> Node:
    return Node("db", "r1", ["Room"], {"name": "Hall", "temp": temp}, time)


def only(diffs: list[Diff]) -> Diff:
    assert len(diffs) == 1
    return diffs[0]


def test_a_row_appears_changes_and_goes() -> None:
    query = comfort()
    added = only(query.apply(Insert(room(21, 1))))
    assert (added.time, added.added, added.updated, added.deleted) == (1, [{"name": "Hall", "temp": 21}], [], [])
    updated = only(query.apply(Update(room(22, 2)))).updated[0]
    assert (updated.before, updated.after) == ({"name": "Hall", "temp": 21}, {"name": "Hall", "temp": 22})
    assert updated.after.id == added.added[0].id
    deleted = only(query.apply(Update(room(19, 3))))
    assert (deleted.time, deleted.deleted) == (3, [{"name": "Hall", "temp": 22}])


def test_a_change_without_effect_gives_nothing() -> None:
    query = comfort()
    query.apply(Insert(room(21)))
    assert query.apply(Update(Node("db", "r1", ["Room"], {"note": "painted"}))) == []
    assert query.apply(Insert(Node("db", "f1", ["Floor"], {"temp": 30}))) == []


def test_many_changes_as_one() -> None:
    query = comfort()
    diff = only(query.apply_transaction([Insert(room(25, 1)), Update(room(30, 5)), Delete("db", "x")]))
    assert (diff.time, diff.added) == (5, [{"name": "Hall", "temp": 30}])


def test_the_one_row_over_nothing_is_there_and_the_first_change_updates_it() -> None:
    query = ContinuousQuery("MATCH (r:Room) RETURN count(*) AS rooms")
    assert query.rows() == [{"rooms": 0}]
    assert only(query.apply(Insert(room(1)))).updated[0].after == {"rooms": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Insert(Node("", "r1")), "source"),
        (Insert(Node("db", "")), "id"),
        (Insert(Node("db", "r1", "Room")), "labels"),
        (Update(room(2**70)), "db/r1: property 'temp'"),
        (Update(room({1, 2})), "temp"),
        (Insert(Relation("db", "e", ["T"])), "start and end"),
        (Insert(Relation("db", "e", [], start="a", end="b")), "label"),
        (Update(room(1, 1.5)), "effective_from"),  # type: ignore[arg-type]
        ("insert", "Insert"),
    ],
)
def test_a_malformed_change_says_what_and_where_and_alters_nothing(change: object, message: str) -> None:
    query = comfort()
    query.apply(Insert(room(21)))
    before = query.snapshot()
    with pytest.raises(ValueError, match=re.escape(message)):
        query.apply(change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=re.escape(message)):
        query.apply_transaction([Update(room(40)), change])  # type: ignore[list-item]
    assert query.snapshot() == before


def test_what_is_not_built_yet_is_refused_by_name() -> None:
    with pytest.raises(QueryError, match="OPTIONAL MATCH is not supported yet at line 1, column 11") as error:
        ContinuousQuery("MATCH (a) OPTIONAL MATCH (a)-->(b) RETURN b")
    assert error.value.type == "NotYet"


def test_an_error_of_the_text_shows_its_place() -> None:
    with pytest.raises(QueryError) as error:
        ContinuousQuery("MATCH (ship:Ship)\nRETURN shp.name AS name")
    found = error.value
    assert (found.type, found.detail, found.phase, found.line, found.column) == (
        "SyntaxError",
        "UndefinedVariable",
        "compile time",
        2,
        8,
    )
    assert "ship" in found.hint
    assert "RETURN shp.name AS name\n       ^" in found.excerpt


def test_a_row_in_error_is_held_out_and_comes_back() -> None:
    query = ContinuousQuery("MATCH (r:Room) RETURN r.name AS name, 100 / r.temp AS share")
    query.apply(Insert(room(0)))
    assert query.rows() == []
    error = query.errors()[0]
    assert (error.type, error.detail, error.elements) == ("ArithmeticError", "DivisionByZero", (("db", "r1"),))
    assert only(query.apply(Update(room(50)))).added == [{"name": "Hall", "share": 2}]
    assert query.errors() == []


def test_a_snapshot_is_the_whole_state() -> None:
    query = ContinuousQuery("MATCH (r:Room) WHERE r.temp < $limit RETURN count(*) AS rooms", parameters={"limit": 50})
    query.apply(Insert(room(1)))
    same = ContinuousQuery.restore(query.snapshot())
    assert same.rows() == [{"rooms": 1}]
    assert only(same.apply(Delete("db", "r1"))).updated[0].after == {"rooms": 0}


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a snapshot", b"\x94\x63\x90\x90\xc4\x00"])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        ContinuousQuery.restore(data)
