"""Sources and reactions: kinds, properties, services, identity, per-query configuration."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from drasi.resources.known import Known
from drasi.resources.resource import CONTINUOUS_QUERY
from tests.resources.checks import errors, found, report

pytestmark = pytest.mark.usefixtures("_own_kinds")


class NoSecrets:
    def get(self, name: str, key: str) -> str | None:
        return "here" if key == "there" else None


def manifest(kind: str, spec: dict[str, Any]) -> str:
    return msgspec.json.encode({"apiVersion": "v1", "kind": kind, "name": "a", "spec": spec}).decode()


def source(properties: dict[str, Any] | None = None, **more: Any) -> str:
    return manifest("Source", {"kind": "Harbour", "properties": {"host": "db", "tables": ["Ship"]} | (properties or {}), **more})


def reaction(kind: str = "Horn", queries: Any = None, **more: Any) -> str:
    return manifest("Reaction", {"kind": kind, "queries": {"ships": None} if queries is None else queries, **more})


def known(**more: Any) -> Known:
    start = Known.of([])
    start.add(CONTINUOUS_QUERY, "ships", {})
    for name, value in more.items():
        setattr(start, name, value)
    return start


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"port": "5433"}, []),
        ({"ssl": "true", "tables": "Ship, Berth"}, []),
        ({"password": {"kind": "Secret", "name": "db", "key": "password"}}, []),
        ({"port": {"kind": "Integer", "value": 5433}}, []),
        ({"port": "many"}, [("InvalidType", "spec.properties.port")]),
        ({"port": 0}, [("InvalidSpec", "spec.properties.port")]),
        ({"mode": "fasst"}, [("InvalidSpec", "spec.properties.mode")]),
        ({"prot": 1}, [("UnknownField", "spec.properties.prot")]),
        ({"options": {"depht": 1}}, [("UnknownField", "spec.properties.options.depht")]),
        ({"password": {"kind": "Secret", "name": "db"}}, [("MissingField", "spec.properties.password.key")]),
        ({"password": {"kind": "Secret", "name": "db", "key": 1}}, [("InvalidType", "spec.properties.password.key")]),
        ({"password": {"kind": "Secret", "name": "db", "key": "k", "kye": 1}}, [("UnknownField", "spec.properties.password.kye")]),
    ],
)
def test_properties_against_the_schema_of_the_kind(properties: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert found(errors(source(properties))) == expected


def test_messages_name_value_rule_and_path() -> None:
    texts = [problem.text() for problem in errors(source({"mode": "fasst", "prot": 1, "port": "many"}))]
    assert texts == [
        "spec.properties.mode: Invalid spec: 'fasst' is not one of fast, safe; error path: spec.properties.mode; "
        "did you mean 'fast'?",
        "spec.properties.prot: unknown field; did you mean 'port'?",
        "spec.properties.port must be an integer, not a string",
    ]


def test_a_missing_property() -> None:
    (problem,) = errors(manifest("Source", {"kind": "Harbour", "properties": {"host": "db"}}))
    assert (problem.code, problem.path) == ("InvalidSpec", "spec.properties.tables")
    assert problem.message == "Invalid spec: 'tables' is required; error path: spec.properties.tables"


def test_an_unknown_kind_hints_at_the_nearest() -> None:
    (problem,) = errors(manifest("Source", {"kind": "Postgresql"}))
    assert problem.code == "UnknownProvider"
    assert problem.text() == "spec.kind: Schema not initialized for kind: Postgresql; did you mean 'PostgreSQL'?"


@pytest.mark.parametrize("word", ["Harbour", "harbour", "Harbour "])
def test_aliases_and_blanks(word: str) -> None:
    assert errors(source().replace('"Harbour"', f'"{word}"')) == []


def test_a_kind_that_is_only_known_by_name_is_unchecked() -> None:
    judged = report(manifest("Source", {"kind": "postgres", "properties": {"anything": 1}}))
    assert judged.errors == []
    assert found(judged.warnings) == [("NoImplementation", "spec.kind")]


def test_a_property_that_is_not_built_yet() -> None:
    assert found(report(source({"tides": {}})).warnings) == [("NotYet", "spec.properties.tides")]


def test_what_steers_drasis_runtime_is_ignored() -> None:
    judged = report(source({"autoStart": True, "adaptiveBatch": 3, "dispatchMode": "channel"}))
    assert judged.errors == []
    assert found(judged.warnings) == [
        ("IgnoredField", f"spec.properties.{name}") for name in ("autoStart", "adaptiveBatch", "dispatchMode")
    ]


def test_a_property_of_the_kind_is_not_ignored_for_its_name() -> None:
    assert report(reaction(properties={"adaptiveVolume": 3}), known()).warnings == []


@pytest.mark.parametrize("field", ["endpoint", "endpoints", "image", "reactionImage"])
def test_old_forms_are_ignored(field: str) -> None:
    old: dict[str, Any] = {field: {"gateway": 8080}}
    judged = report(reaction(**old), known())
    assert judged.errors == []
    assert found(judged.warnings) == [("IgnoredField", f"spec.{field}")]


def test_services() -> None:
    services = {
        "reactivator": {"properties": {"mode": "safe", "port": "x"}, "dapr": {"app-port": "80"}, "image": "y"},
        "proxi": {},
        "proxy": {"endpoints": {"gateway": {"setting": "outside", "target": 8080}}, "replicas": 3},
    }
    judged = report(source(services=services))
    assert sorted(found(judged.errors)) == [
        ("InvalidType", "spec.services.proxy.endpoints.gateway.target"),
        ("InvalidType", "spec.services.reactivator.properties.port"),
        ("InvalidValue", "spec.services.proxy.endpoints.gateway.setting"),
        ("UnknownField", "spec.services.proxy.replicas"),
        ("UnknownService", "spec.services.proxi"),
    ]
    assert found(judged.warnings) == [("IgnoredField", f"spec.services.reactivator.{name}") for name in ("dapr", "image")]
    unknown = next(problem for problem in judged.errors if problem.code == "UnknownService")
    assert unknown.message == "Service proxi is not defined in the schema"


def test_what_is_required_may_stand_in_a_service() -> None:
    spec = {"kind": "Harbour", "properties": {"host": "db"}, "services": {"reactivator": {"properties": {"tables": ["Ship"]}}}}
    assert errors(manifest("Source", spec)) == []


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"kind": "AccessKey", "accessKey": {"kind": "Secret", "name": "a", "key": "b"}}, []),
        ({"kind": "GoogleServiceAccount"}, []),
        ({"kind": "MicrosoftEntraApplication", "tenantId": "t", "clientId": "c", "secret": "s"}, []),
        ({"kind": "AccessKey"}, [("MissingField", "spec.identity.accessKey")]),
        ({"kind": "AccesKey", "accessKey": "x"}, [("InvalidValue", "spec.identity.kind")]),
        ({"accessKey": "x"}, [("MissingField", "spec.identity.kind")]),
        ({"kind": "AccessKey", "accessKey": 5}, [("InvalidType", "spec.identity.accessKey")]),
        ({"kind": "AccessKey", "accessKey": "x", "acessKey": "y"}, [("UnknownField", "spec.identity.acessKey")]),
        ({"kind": "MicrosoftEntraApplication", "tenantId": "t", "clientId": "c"}, [("MissingField", "spec.identity.secret")]),
        (
            {"kind": "AwsIamRole", "roleArn": {"kind": "Secret", "name": "a", "key": "b"}},
            [("InvalidType", "spec.identity.roleArn")],
        ),
        ("me", [("InvalidType", "spec.identity")]),
    ],
)
def test_identity(identity: Any, expected: list[tuple[str, str]]) -> None:
    assert found(errors(source(identity=identity))) == expected


@pytest.mark.parametrize(
    ("schedule", "right"),
    [("1s", True), ("500ms", True), ("1m30s", True), ("*/5 * * * *", True), ("0s", False), ("soon", False), (5, False)],
)
def test_schedule(schedule: Any, right: bool) -> None:
    assert (errors(source(schedule=schedule)) == []) is right


def test_missing_secrets_are_warned_of_where_they_can_be_looked_up() -> None:
    text = source(
        {"password": {"kind": "Secret", "name": "db", "key": "gone"}, "host": {"kind": "Secret", "name": "db", "key": "there"}}
    )
    assert report(text).warnings == []
    (warning,) = report(text, Known.of([], secrets=NoSecrets())).warnings
    assert warning.code == "MissingSecret"
    assert "secret 'db', key 'gone'" in warning.message


def test_queries_of_a_reaction() -> None:
    judged = report(reaction(queries={"ships": "added: {body: x}", "shipz": None, "berths": {"added": {}}}), known())
    assert judged.errors == []
    assert [(problem.path, problem.hint) for problem in judged.warnings] == [
        ("spec.queries.shipz", "did you mean 'ships'?"),
        ("spec.queries.berths", None),
    ]


def test_configurations_that_cannot_be_read_and_templates_that_are_wrong() -> None:
    judged = errors(reaction(queries={"ships": "a: [1\nb: 2", "berths": "updated: {}", "tugs": 3}), known())
    assert [(problem.code, problem.path, problem.line, problem.column) for problem in judged] == [
        ("InvalidType", "spec.queries.tugs", 1, 134),
        ("InvalidQueryConfig", "spec.queries.ships", 2, 2),
        ("InvalidTemplate", "spec.queries.berths.added.body", 1, 3),
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"start": "now", "onFailure": {"attempts": 3, "then": "skip"}}, []),
        ({"start": {"sequence": 5}}, []),
        ({"start": "then"}, [("InvalidValue", "spec.start")]),
        ({"start": {"sequence": -1}}, [("InvalidValue", "spec.start.sequence")]),
        ({"start": 5}, [("InvalidType", "spec.start")]),
        (
            {"onFailure": {"attempts": 0, "then": "stop"}},
            [("InvalidValue", "spec.onFailure.attempts"), ("InvalidValue", "spec.onFailure.then")],
        ),
        ({"queries": {}}, [("InvalidValue", "spec.queries")]),
        ({"queries": ["ships"]}, [("InvalidType", "spec.queries")]),
    ],
)
def test_start_and_failure(more: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    queries = more.pop("queries", None)
    assert found(errors(reaction(queries=queries, **more), known())) == expected


def test_an_old_name_is_used_as_the_new_one() -> None:
    judged = report(reaction("SignalR", properties={"AzureSignalRConnectionString": "x"}), known())
    assert ("IgnoredField", "spec.properties.AzureSignalRConnectionString") in found(judged.warnings)


def test_dapr_kinds_say_what_replaces_their_store() -> None:
    assert ("StoreReplaced", "spec.kind") in found(report(reaction("SyncDaprStateStore"), known()).warnings)
    with_dapr = report(reaction("SyncDaprStateStore", properties={"daprHttpEndpoint": "http://x"}), known())
    assert ("StoreReplaced", "spec.kind") not in found(with_dapr.warnings)


PROVIDER: dict[str, Any] = {
    "services": {"proxy": {"image": "x", "dapr": {}}, "reader": {"config_schema": {"properties": {"depth": {"type": "integer"}}}}},
    "config_schema": {"properties": {"berths": {"type": "integer"}}, "required": ["berths"]},
}


def test_a_provider_of_a_built_in_kind_adds_and_leaves_out() -> None:
    judged = report(manifest("SourceProvider", PROVIDER).replace('"a"', '"Harbour"'))
    assert judged.errors == []
    assert found(judged.warnings) == [
        ("IgnoredField", "spec.services.proxy.dapr"),
        ("IgnoredField", "spec.services.proxy.image"),
        ("IncompleteProvider", "spec.config_schema"),
    ]
    with_provider = known(source_providers={"Harbour": PROVIDER})
    assert errors(manifest("Source", {"kind": "Harbour", "properties": {"berths": "4"}}), with_provider) == []
    services = {"reader": {"properties": {"depth": "deep"}}}
    assert found(
        errors(manifest("Source", {"kind": "Harbour", "properties": {"berths": 4}, "services": services}), with_provider)
    ) == [("InvalidType", "spec.services.reader.properties.depth")]


def test_a_provider_of_a_new_kind() -> None:
    judged = report(manifest("ReactionProvider", {"services": {"reaction": {}}, "config_schema": {"propertes": {}}}))
    assert found(judged.errors) == [("InvalidProvider", "spec.config_schema.propertes")]
    assert found(judged.warnings) == [("NoImplementation", "spec")]
    external = report(manifest("ReactionProvider", {"services": {"reaction": {"image": "mine:1", "externalImage": True}}}))
    assert external.errors == external.warnings == []
    assert report(manifest("ReactionProvider", {"services": {"r": {}}, "entryPoint": "my.package:kind"})).warnings == []


def test_targets_of_endpoints() -> None:
    service = {
        "externalImage": True,
        "config_schema": {"properties": {"port": {}}},
        "endpoints": {
            "good": {"setting": "internal", "target": "$port"},
            "also": {"setting": "external", "target": "8080"},
            "bad": {"setting": "internal", "target": "$prot"},
            "worse": {"setting": "internal", "target": "http"},
        },
    }
    assert found(errors(manifest("SourceProvider", {"services": {"proxy": service}}))) == [
        ("InvalidProvider", f"spec.services.proxy.endpoints.{name}.target") for name in ("bad", "worse")
    ]
