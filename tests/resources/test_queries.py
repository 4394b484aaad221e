"""ContinuousQueries: subscriptions, pipelines, joins, containers, parameters, labels."""

from __future__ import annotations

import pytest

from drasi.resources.known import Known
from drasi.resources.resource import QUERY_CONTAINER, SOURCE
from tests.resources.checks import errors, found, query, report


def known() -> Known:
    start = Known.of([])
    start.add(SOURCE, "harbour-db", {})
    return start


def without_not_yet(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [pair for pair in pairs if pair[0] != "NotYet"]


MIDDLEWARE = """
    middleware:
      - {kind: promote, name: flat, mappings: [{path: $.a, target_name: b}]}
      - {kind: relabel, name: names, labelMappings: {vessels: Ship}}
"""


def test_a_right_query() -> None:
    judged = report(query(), known())
    assert judged.errors == judged.warnings == []


def test_the_path_of_a_duplicate() -> None:
    text = query(more="    joins:\n" + "      - {id: AT, keys: [{label: A, property: x}, {label: B, property: y}]}\n" * 2)
    text = text.replace("[{id: harbour-db}]", "[{id: harbour-db}, {id: harbour-db}]")
    first, second = errors(text, known())
    assert first.text() == "spec.sources.subscriptions[1].id: 'harbour-db' is used twice"
    assert (second.code, second.path) == ("DuplicateName", "spec.sources.joins[1].id")


def test_a_missing_source_is_waited_for() -> None:
    (warning,) = report(query(subscription="{id: harbor-db}"), known()).warnings
    assert (warning.code, warning.hint) == ("MissingSource", "did you mean 'harbour-db'?")


def test_pipelines_name_defined_middleware() -> None:
    judged = report(query(more=MIDDLEWARE, subscription="{id: harbour-db, pipeline: [flat, nmaes]}"), known())
    (problem,) = judged.errors
    assert problem.text() == (
        "spec.sources.subscriptions[0].pipeline[1]: Middleware 'nmaes' referenced in pipeline for subscription 'harbour-db' "
        "is not defined in sources.middleware; did you mean 'names'?"
    )
    assert without_not_yet(found(judged.warnings)) == [("UnusedMiddleware", "spec.sources.middleware[1].name")]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{kind: promot, name: a}", [("UnknownMiddlewareKind", "spec.sources.middleware[0].kind")]),
        ("{kind: promote, name: a, mappings: []}", [("InvalidMiddleware", "spec.sources.middleware[0].mappings")]),
        (
            "{kind: promote, name: a, config: {mappings: [{path: '', target_name: b}]}}",
            [("InvalidMiddleware", "spec.sources.middleware[0].config.mappings[0].path")],
        ),
        (
            "{kind: decoder, name: a, encoding_type: base65, target_property: v}",
            [("InvalidMiddleware", "spec.sources.middleware[0].encoding_type")],
        ),
        (
            "{kind: parse_json, name: a, target_property: v, max_size: 3}",
            [("InvalidMiddleware", "spec.sources.middleware[0].max_size")],
        ),
        ("{kind: unwind, name: a, Ship: [{selector: $.x}]}", [("InvalidMiddleware", "spec.sources.middleware[0].Ship[0].label")]),
        (
            "{kind: map, name: a, Ship: {insert: [{op: Upsert}]}}",
            [("InvalidMiddleware", "spec.sources.middleware[0].Ship.insert[0].op")],
        ),
        ("{kind: map, name: a, Ship: {inserts: []}}", [("InvalidMiddleware", "spec.sources.middleware[0].Ship.inserts")]),
        (
            "{kind: jq, name: a, Ship: {insert: [{label: x}]}}",
            [("InvalidMiddleware", "spec.sources.middleware[0].Ship.insert[0].query")],
        ),
        ("{kind: relabel, name: a, labelMappings: {}}", [("InvalidMiddleware", "spec.sources.middleware[0].labelMappings")]),
        (
            "{kind: map, name: a, Ship: {insert: [{elementType: {Relation: {inNodeId: $.a}}}]}}",
            [("InvalidMiddleware", "spec.sources.middleware[0].Ship.insert[0].elementType.Relation.outNodeId")],
        ),
        ("{kind: map, name: a, on_error: skip, Ship: {insert: [{op: Update, id: $.a, elementType: Node}]}}", []),
        ("{name: a}", [("MissingField", "spec.sources.middleware[0].kind")]),
    ],
)
def test_configuration_of_middleware(entry: str, expected: list[tuple[str, str]]) -> None:
    text = query(more=f"    middleware:\n      - {entry}", subscription="{id: harbour-db, pipeline: [a]}")
    assert found(errors(text, known())) == expected


def test_text_of_a_middleware_error() -> None:
    (problem,) = errors(
        query(
            more="    middleware:\n      - {kind: promote, name: a, mappings: []}", subscription="{id: harbour-db, pipeline: [a]}"
        ),
        known(),
    )
    assert problem.message == (
        "spec.sources.middleware[0].mappings: Middleware setup error: [a] Invalid configuration: "
        "At least one mapping must be specified"
    )


def test_joins_need_two_keys() -> None:
    judged = errors(query(more="    joins:\n      - {id: AT, keys: [{label: A, property: x}]}"), known())
    assert found(judged) == [("InvalidJoin", "spec.sources.joins[0].keys")]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("  container: port", [("UnknownContainer", "spec.container")]),
        ("  container: harbour\n  storageProfile: nowhere", [("UnknownStore", "spec.storageProfile")]),
        ("  container: harbour\n  storageProfile: quick", []),
        ("  storageProfile: memory", []),
    ],
)
def test_container_and_store(more: str, expected: list[tuple[str, str]]) -> None:
    there = known()
    there.add(QUERY_CONTAINER, "harbour", {"storage": {"quick": {"kind": "memory"}}})
    assert found(errors(query(more=more), there)) == expected


def test_texts_about_containers_and_stores() -> None:
    there = known()
    there.add(QUERY_CONTAINER, "harbour", {"storage": {"quick": {"kind": "memory"}, "slow": {"kind": "sqlite"}}})
    (problem,) = errors(query(more="  container: harbuor"), there)
    assert problem.text() == "spec.container: Query container harbuor does not exist; did you mean 'harbour'?"
    (problem,) = errors(query(more="  container: harbour\n  storageProfile: quik"), there)
    assert problem.text() == "spec.storageProfile: no store 'quik' in container 'harbour' (has: quick, slow); did you mean 'quick'?"


def test_stores_of_drasi_are_replaced() -> None:
    assert found(report(query(more="  storageProfile: redis"), known()).warnings) == [("StoreReplaced", "spec.storageProfile")]


def test_parameters() -> None:
    text = query("MATCH (s:Ship) WHERE s.draught > $least RETURN s.name AS name", "  parameters: {leats: 3}")
    judged = report(text, known())
    (problem,) = judged.errors
    assert problem.text() == "spec.parameters: query parameter '$least' has no value in spec.parameters; did you mean 'leats'?"
    assert found(judged.warnings) == [("UnusedParameter", "spec.parameters.leats")]
    assert report(text.replace("leats", "least"), known()).errors == []


def test_two_columns_of_one_name() -> None:
    (problem,) = errors(query("MATCH (s:Ship) RETURN s.name, s.draught, s.name"), known())
    assert problem.code == "ColumnNameConflict"
    assert problem.message == "two columns are named 'name' (columns 1 and 3); give one an alias"
    other = query("MATCH (s:Ship)-[:AT]->(b:Berth) RETURN s.name, b.name", "  columnNames: text")
    assert errors(other, known()) == []
    assert found(errors(other.replace("text", "short"), known())) == [("ColumnNameConflict", "spec.query")]


def test_gql() -> None:
    text = query("MATCH (s:Ship) LET n = s.name RETURN n", "  queryLanguage: GQL")
    assert errors(text, known()) == []
    assert found(errors(text.replace("GQL", "Cypher"), known())) == [("QueryError", "spec.query")]
    assert found(errors(text.replace("GQL", "SQL"), known())) == [("InvalidValue", "spec.queryLanguage")]


def test_labels_that_nobody_supplies() -> None:
    subscription = "{id: harbour-db, nodes: [{sourceLabel: Ship}], relations: [{sourceLabel: AT}]}"
    text = "MATCH (s:Ship)-[:AT]->(b:Berth)-[:PART_OF]->(q:Quay) RETURN s.name AS name"
    more = """
    joins: [{id: PART_OF, keys: [{label: Berth, property: quay}, {label: Quay, property: id}]}]
    middleware: [{kind: unwind, name: holds, Ship: [{selector: '$.b[*]', label: Berth}]}]
"""
    subscription = subscription.replace("}]}", "}], pipeline: [holds]}")
    warnings = [
        problem for problem in report(query(text, more, subscription), known()).warnings if problem.code == "UnsubscribedLabel"
    ]
    assert [problem.message for problem in warnings] == ["no subscription and no middleware supplies the label 'Quay'"]
    assert (warnings[0].line, warnings[0].excerpt) == (1, f"    1 | {text}\n      | {' ' * text.index('Quay')}^^^^")


def test_subscriptions_without_labels_want_what_the_query_names() -> None:
    text = query("MATCH (s:Ship)-[:AT]->(b:Berth) RETURN s.name AS name")
    assert [problem.code for problem in report(text, known()).warnings] == []


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("{retentionPolicy: all}", []),
        ("{retentionPolicy: {expire: {afterSeconds: 0}}}", []),
        ("{retentionPolicy: forever}", [("InvalidValue", "spec.view.retentionPolicy")]),
        ("{retentionPolicy: {expire: {afterSeconds: -1}}}", [("InvalidValue", "spec.view.retentionPolicy.expire.afterSeconds")]),
        ("{retentionPolicy: {expires: {}}}", [("UnknownField", "spec.view.retentionPolicy.expires")]),
    ],
)
def test_view(view: str, expected: list[tuple[str, str]]) -> None:
    assert found(errors(query(more=f"  view: {view}"), known())) == expected


CONTAINER = """
apiVersion: v1
kind: QueryContainer
name: port
spec:
"""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("  {storage: {a: {kind: memory}}}", []),
        (
            "  {storage: {a: {kind: memory}, b: {kind: sqlite, path: x.db, enableArchive: true}}, defaultStore: b}",
            [],
        ),
        ("  {storage: {a: {kind: memory}, b: {kind: sqlite}}}", [("MissingField", "spec.defaultStore")]),
        ("  {storage: {a: {kind: memory}}, defaultStore: b}", [("UnknownStore", "spec.defaultStore")]),
        ("  {storage: {}}", [("InvalidValue", "spec.storage")]),
        ("  {}", [("MissingField", "spec.storage")]),
        ("  {storage: {a: {kind: firestore}}}", [("InvalidValue", "spec.storage.a.kind")]),
        ("  {storage: {a: {kind: memroy}}}", [("InvalidValue", "spec.storage.a.kind")]),
        ("  {storage: {a: {kind: redis}}}", [("MissingField", "spec.storage.a.connectionString")]),
        ("  {storage: {a: {kind: memory, enableArchive: sometimes}}}", [("InvalidType", "spec.storage.a.enableArchive")]),
        ("  {storage: {a: {kind: memory}}, queryHostCount: 0}", [("InvalidValue", "spec.queryHostCount")]),
        (
            "  {storage: {a: {kind: memory}}, limits: {clockAhead: {afterSeconds: -1}}}",
            [("InvalidValue", "spec.limits.clockAhead.afterSeconds")],
        ),
        (
            "  {storage: {a: {kind: memory}}, archiveRetention: {afterSeconds: 0}}",
            [("InvalidValue", "spec.archiveRetention.afterSeconds")],
        ),
        ("  {storage: {a: {kind: memory}}, archiveRetention: short}", [("InvalidValue", "spec.archiveRetention")]),
    ],
)
def test_containers(spec: str, expected: list[tuple[str, str]]) -> None:
    assert found(errors(CONTAINER + spec)) == expected


def test_fields_of_drasis_containers_are_ignored() -> None:
    judged = report(
        CONTAINER + "  {storage: {a: {kind: redis, connectionString: x, cacheSize: 1}}, results: [], queryContainerImage: x}"
    )
    assert judged.errors == []
    assert sorted(found(judged.warnings)) == [
        ("IgnoredField", "spec.queryContainerImage"),
        ("IgnoredField", "spec.results"),
        ("IgnoredField", "spec.storage.a.cacheSize"),
        ("StoreReplaced", "spec.storage.a.kind"),
    ]
