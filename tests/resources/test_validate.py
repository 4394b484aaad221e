"""Common fields, names, unknown fields and types: what every document is checked for."""

from __future__ import annotations

import pytest

from drasi.resources.known import Known
from drasi.resources.resource import SOURCE
from tests.resources.checks import errors, found, query, report, reports

pytestmark = pytest.mark.usefixtures("_own_kinds")

SOURCE_DOCUMENT = """
apiVersion: v1
kind: Source
name: harbour-db
spec:
  kind: Harbour
  properties: {host: db, tables: [Ship]}
"""


def test_a_right_document_is_a_resource() -> None:
    judged = report(SOURCE_DOCUMENT + "tag: v2\nlabels: {team: port}\n")
    assert judged.errors == judged.warnings == []
    assert judged.resource is not None
    assert (judged.resource.kind, judged.resource.name, judged.resource.tag) == (SOURCE, "harbour-db", "v2")
    assert judged.resource.labels == {"team": "port"}
    assert judged.resource.spec == {"kind": "Harbour", "properties": {"host": "db", "tables": ["Ship"]}}


@pytest.mark.parametrize("kind", ["source", "SOURCE", "Source "])
def test_kinds_are_compared_without_case(kind: str) -> None:
    judged = report(SOURCE_DOCUMENT.replace("kind: Source", f"kind: '{kind}'"))
    assert judged.errors == []
    assert judged.kind == SOURCE


def test_query_is_a_name_of_continuous_query() -> None:
    assert report(query().replace("ContinuousQuery", "query")).kind == "ContinuousQuery"


def test_all_errors_of_a_document_at_once_with_places_and_hints() -> None:
    judged = errors(
        """apiVersion: v2
kind: ContinuousQuery
name: Berth Load
spec:
  mode: queri
  sources:
    subscription: [{id: harbour-db}]
  view: {enabled: 1}
  query: |
    MATCH (ship:Ship)
    WHERE ship.draught > 8
    RETURN shp.name AS name
colour: red
"""
    )
    assert sorted((problem.code, problem.path, problem.line, problem.column) for problem in judged) == [
        ("InvalidName", "name", 3, 7),
        ("InvalidType", "spec.view.enabled", 8, 19),
        ("InvalidValue", "spec.mode", 5, 9),
        ("QueryError", "spec.query", 3, 8),
        ("UnknownApiVersion", "apiVersion", 1, 13),
        ("UnknownField", "colour", 13, 1),
        ("UnknownField", "spec.sources.subscription", 7, 5),
    ]
    texts = {problem.path: problem.text() for problem in judged}
    assert texts["apiVersion"] == "apiVersion 'v2' is not supported; use 'v1'"
    assert texts["spec.sources.subscription"] == "spec.sources.subscription: unknown field; did you mean 'subscriptions'?"
    assert texts["name"] == (
        "name 'Berth Load' must match ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$ and be at most 50 characters; for example 'berth-load'"
    )
    assert texts["spec.view.enabled"] == "spec.view.enabled must be a boolean, not an integer"
    assert texts["spec.mode"] == "spec.mode must be one of query; did you mean 'query'?"
    assert texts["spec.query"].startswith("spec.query: SyntaxError: UndefinedVariable: ")
    assert "at line 3, column 8\n    3 | RETURN shp.name AS name\n      |        ^^^" in texts["spec.query"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("just text", [("InvalidYaml", "")]),
        ("[1, 2]", [("InvalidYaml", ""), ("InvalidYaml", "")]),
        ("a: [", [("InvalidYaml", "")]),
        ("apiVersion: v1\nname: a\nspec: {}", [("MissingField", "kind")]),
        ("apiVersion: v1\nkind: Sorce\nname: a\nspec: {}", [("UnknownKind", "kind")]),
        ("apiVersion: v1\nkind: Source\nname: a", [("MissingField", "spec")]),
        (
            "kind: Source\nspec: {kind: Harbour, properties: {host: a, tables: b}}",
            [("MissingField", "apiVersion"), ("MissingField", "name")],
        ),
        ("apiVersion: v1\nkind: Source\nname: 5\nspec: {kind: PostgreSQL}", [("InvalidType", "name")]),
        ("apiVersion: v1\nkind: Source\nname: " + "a" * 51 + "\nspec: {kind: PostgreSQL}", [("InvalidName", "name")]),
        ("apiVersion: v1\nkind: Source\nname: a\nspec: [1]", [("InvalidType", "spec")]),
        ("apiVersion: v1\nkind: Source\nname: a\nlabels: {x: 1}\nspec: {kind: PostgreSQL}", [("InvalidType", "labels.x")]),
    ],
)
def test_what_is_no_manifest(text: str, expected: list[tuple[str, str]]) -> None:
    assert found([problem for judged in reports(text) for problem in judged.errors]) == expected


def test_an_unknown_kind_hints_at_the_nearest() -> None:
    (problem,) = errors("apiVersion: v1\nkind: Sorce\nname: a\nspec: {}")
    assert problem.text() == "kind: unknown kind 'Sorce'; did you mean 'Source'?"


def test_a_stale_document_is_told_how_to_be_written() -> None:
    judged = errors("apiVersion: query.reactive-graph.io/v1\nkind: Source\nmetadata: {name: a}\nspec: {kind: PostgreSQL}")
    assert found(judged) == [("UnknownField", "metadata"), ("UnknownApiVersion", "apiVersion")]
    assert judged[0].hint == "write name: at the top level and apiVersion: v1"


def test_status_of_describe_is_ignored() -> None:
    judged = report(SOURCE_DOCUMENT + "status: {available: true}\n")
    assert judged.errors == []
    assert found(judged.warnings) == [("IgnoredField", "status")]


@pytest.mark.parametrize("name", ["v1", "queries", "metrics", "sources", "reactions", "healthz", "readyz"])
def test_no_query_has_the_name_of_a_path(name: str) -> None:
    assert found(errors(query().replace("name: ships", f"name: {name}"))) == [("InvalidValue", "name")]


def test_a_source_may_have_such_a_name() -> None:
    assert errors(SOURCE_DOCUMENT.replace("harbour-db", "metrics")) == []


def test_providers_may_have_capitals() -> None:
    provider = "apiVersion: v1\nkind: SourceProvider\nname: MyKind\nspec: {services: {proxy: {externalImage: true, image: x}}}"
    assert errors(provider) == []
    assert found(errors(provider.replace("MyKind", "my_kind"))) == [("InvalidName", "name")]


def test_two_documents_of_one_name() -> None:
    first, second = reports(SOURCE_DOCUMENT + "---" + SOURCE_DOCUMENT)
    assert first.errors == []
    assert found(second.errors) == [("DuplicateName", "name")]
    assert second.resource is None


def test_documents_refer_to_each_other_in_any_order() -> None:
    judged = reports(query() + "---" + SOURCE_DOCUMENT)
    assert [problem.code for one in judged for problem in one.warnings] == []


def test_not_yet_is_a_warning_until_something_is_to_run() -> None:
    judged = report(
        query("MATCH (s:Ship) OPTIONAL MATCH (s)-[:AT]->(b:Berth) RETURN s.name AS n, b.id AS b"),
        Known(sources={"harbour-db"}, containers=Known.of([]).containers),
    )
    if not any(problem.code == "NotYet" for problem in judged.warnings):
        pytest.skip("OPTIONAL MATCH is built")
    assert judged.errors == []
    assert judged.resource is not None
    judged.refuse_not_yet()
    assert {problem.code for problem in judged.errors} == {"NotYet"}
    assert judged.resource is None
