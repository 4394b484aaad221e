"""Mappings of foreign payloads (connectors.md section 5.2)."""

from __future__ import annotations

from typing import Any

import pytest

from drasi.messages.changes import SourceChange
from drasi.sources.mappings import InvalidMapping, MappingError, Mappings

NOW = 1_700_000_000_000_000_000

MOORED = {
    "when": {"header": "X-Event", "equals": "moored"},
    "operation": "insert",
    "elementType": "relation",
    "effectiveFrom": "{{payload.at}}",
    "template": {
        "id": "moor-{{payload.ship}}",
        "labels": ["MOORED_AT"],
        "from": "{{payload.ship}}",
        "to": "{{payload.berth}}",
        "properties": {"lines": "{{payload.lines}}"},
    },
}
SHIP: dict[str, Any] = {"operation": "update", "elementType": "node", "template": {"id": "{{payload.id}}", "labels": ["Ship"]}}


def changes(mappings: Any, payload: Any, **context: Any) -> list[SourceChange]:
    return Mappings(mappings).changes("src", {"payload": payload, "headers": {}, **context}, NOW)


def ship(**members: Any) -> dict[str, Any]:
    template = {**SHIP["template"], **members.pop("template", {})}
    return {**SHIP, **members, "template": template}


def test_the_specification_s_example() -> None:
    payload = {"ship": "s7", "berth": 3, "lines": 4, "at": "2026-03-01T08:15:30Z"}
    [change] = changes([MOORED], payload, headers={"x-event": "moored"})
    assert change.op == "i"
    origin, after = change.payload.source, change.payload.after
    assert (origin.db, origin.table, origin.ts_ns) == ("src", "rel", 1_772_352_930_000_000_000)
    assert after is not None
    assert (after.id, after.labels, after.startId, after.endId) == ("moor-s7", ["MOORED_AT"], "s7", "3")
    assert after.properties == {"lines": 4}


def test_a_lone_path_keeps_its_type_and_other_templates_are_text() -> None:
    properties = {
        "whole": "{{payload.n}}",
        "text": "{{payload.n}} t",
        "none": "{{payload.nothing}}",
        "deep": {"list": ["{{payload.flag}}", "x", 1, None], "map": "{{payload.map}}"},
        "large": "{{payload.large}}",
        "empty": "",
    }
    payload = {"id": "a", "n": 5, "flag": True, "map": {"k": [1.5]}, "large": 2**70}
    [change] = changes([ship(template={"properties": properties})], payload)
    assert change.payload.after is not None
    assert change.payload.after.properties == {
        "whole": 5,
        "text": "5 t",
        "none": None,
        "deep": {"list": [True, "x", 1, None], "map": {"k": [1.5]}},
        "large": float(2**70),
        "empty": "",
    }


def test_one_template_that_gives_an_object_is_spread() -> None:
    [change] = changes([ship(template={"properties": "{{payload}}"})], {"id": "a", "n": 5})
    assert change.payload.after is not None
    assert change.payload.after.properties == {"id": "a", "n": 5}
    with pytest.raises(MappingError, match="gives no object"):
        changes([ship(template={"properties": "{{payload.id}}"})], {"id": "a"})


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ({"header": "X-Event", "equals": "moored"}, True),
        ({"header": "x-event", "equals": "left"}, False),
        ({"header": "X-Event"}, True),
        ({"header": "X-Other"}, False),
        ({"field": "kind.name", "equals": "tug"}, True),
        ({"field": "kind.size", "equals": 5}, True),
        ({"field": "kind.size", "equals": "5"}, True),
        ({"field": "tags.1", "equals": "b"}, True),
        ({"field": "tags", "contains": "b"}, True),
        ({"field": "tags", "contains": "ab"}, False),
        ({"field": "kind.name", "contains": "u"}, True),
        ({"field": "kind.name", "regex": "^t.g$"}, True),
        ({"field": "kind.name", "regex": "^u"}, False),
        ({"field": "kind.none"}, False),
        ({"field": "kind.none", "regex": ".*"}, False),
        ({"field": "payload.kind.name", "equals": "tug"}, True),
        ({"field": "route.id", "equals": "7"}, True),
    ],
)
def test_when(when: dict[str, Any], matches: bool) -> None:
    payload = {"id": "a", "kind": {"name": "tug", "size": 5}, "tags": ["a", "b"]}
    found = changes([ship(when=when)], payload, headers={"x-event": "moored"}, route={"id": "7"})
    assert len(found) == matches


def test_every_mapping_that_matches_runs_and_none_is_counted() -> None:
    mappings = Mappings([ship(), ship(when={"field": "b"}, template={"id": "{{payload.b}}"})])
    assert len(mappings.changes("src", {"payload": {"id": "a", "b": "c"}, "headers": {}}, NOW)) == 2
    assert len(mappings.changes("src", {"payload": {"id": "a"}, "headers": {}}, NOW)) == 1
    never = Mappings([ship(when={"field": "b"})])
    assert never.changes("src", {"payload": {"id": "a"}, "headers": {}}, NOW) == []
    assert never.unmatched == 1


@pytest.mark.parametrize(("action", "op"), [("opened", "i"), ("closed", "d"), (3, "u")])
def test_the_operation_may_come_from_the_payload(action: Any, op: str) -> None:
    mapping = ship(operationFrom="payload.action", operationMap={"opened": "insert", "closed": "delete", 3: "update"})
    del mapping["operation"]
    [change] = changes([mapping], {"id": "a", "action": action})
    assert change.op == op
    assert (change.payload.after is None) == (op == "d")


@pytest.mark.parametrize(("payload", "match"), [({"id": "a", "action": "x"}, "names no operation"), ({"id": "a"}, "nothing is at")])
def test_an_operation_that_is_none(payload: dict[str, Any], match: str) -> None:
    mapping = ship(operationFrom="action", operationMap={"opened": "insert"})
    del mapping["operation"]
    with pytest.raises(MappingError, match=match):
        changes([mapping], payload)


@pytest.mark.parametrize(
    ("effective", "payload", "ns"),
    [
        (None, {}, NOW),
        ("{{payload.at}}", {}, NOW),
        ("{{payload.at}}", {"at": 1_772_352_930}, 1_772_352_930_000_000_000),
        ({"value": "{{payload.at}}", "format": "unix_millis"}, {"at": 5}, 5_000_000),
    ],
)
def test_effective_from(effective: Any, payload: dict[str, Any], ns: int) -> None:
    [change] = changes([ship(effectiveFrom=effective)], {"id": "a", **payload})
    assert change.payload.source.ts_ns == ns


def test_an_instant_that_is_none_is_an_error_without_its_value() -> None:
    with pytest.raises(MappingError, match="gives no instant") as error:
        changes([ship(effectiveFrom="{{payload.at}}")], {"id": "a", "at": "planted"})
    assert "planted" not in str(error.value)


@pytest.mark.parametrize(
    ("mapping", "payload"),
    [
        (ship(), {"id": ""}),
        (ship(), {}),
        (ship(template={"labels": ["{{payload.kind}}"]}), {"id": "a"}),
        ({**MOORED, "when": None}, {"ship": "s"}),
    ],
)
def test_an_empty_id_end_or_label_is_an_error(mapping: Any, payload: Any) -> None:
    with pytest.raises(MappingError, match="empty"):
        changes([mapping], payload)


def test_snake_case_is_read_too() -> None:
    mapping = {"operation_from": "op", "element_type": "node", "effective_from": "5", "template": SHIP["template"]}
    [change] = changes([mapping], {"id": "a", "op": "insert"})
    assert (change.op, change.payload.source.ts_ns) == ("i", 5_000_000_000)


@pytest.mark.parametrize(
    ("mappings", "match"),
    [
        ([], "at least one"),
        ("x", "list"),
        (["x"], r"mappings\[0\] must be an object"),
        ([ship(unknown=1)], "unknown is not known"),
        ([ship(elementType="edge")], "elementType"),
        ([ship(operation="replace")], "insert, update or delete"),
        ([ship(operationFrom="x")], "not both"),
        ([ship(operationMap={"a": "x"})], "operationMap"),
        ([ship(template={"id": ""})], r"template.id is required"),
        ([ship(template={"id": "{{#if x}}"})], r"template.id"),
        ([ship(template={"labels": "Ship"})], "labels must be a list"),
        ([ship(template={"properties": {"a": ["{{"]}})], r"properties.a\[0\]"),
        ([{**MOORED, "template": {**MOORED["template"], "to": None}}], "needs from and to"),  # type: ignore[dict-item]
        ([ship(when={"header": "a", "field": "b"})], "not both"),
        ([ship(when={"field": "b", "equals": 1, "regex": "x"})], "one of"),
        ([ship(when={"field": "b", "regex": "("})], "regex"),
        ([ship(effectiveFrom={"value": "x", "format": "stardate"})], "format must be one of"),
    ],
)
def test_what_cannot_be_a_mapping(mappings: Any, match: str) -> None:
    with pytest.raises(InvalidMapping, match=match):
        Mappings(mappings)
