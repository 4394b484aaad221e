from __future__ import annotations

from typing import Any

import pytest

from drasi.resources.schema import Violation, check_schema, convert, merged, with_defaults


def converted(schema: dict[str, Any], value: Any) -> tuple[Any, list[tuple[str, str]]]:
    found: list[Violation] = []
    result = convert(schema, value, (), found, open_objects=False)
    return result, [(violation.kind, violation.detail) for violation in found]


@pytest.mark.parametrize(
    ("schema", "value", "result"),
    [
        ({"type": "integer"}, "5432", 5432),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "boolean"}, "true", True),
        ({"type": "array", "items": {"type": "string"}}, "a, b", ["a", "b"]),
        ({"type": "array"}, [1, "a"], [1, "a"]),
        ({"type": ["string", "null"]}, None, None),
        ({"type": "number"}, 3, 3),
        ({}, {"anything": 1}, {"anything": 1}),
        ({"type": "integer"}, {"kind": "Secret", "name": "a", "key": "b"}, {"kind": "Secret", "name": "a", "key": "b"}),
    ],
)
def test_values_that_fit_are_converted(schema: dict[str, Any], value: Any, result: Any) -> None:
    found, problems = converted(schema, value)
    assert problems == []
    assert (type(found), found) == (type(result), result)


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        ({"type": "integer"}, "ten", ("type", "must be an integer, not a string")),
        ({"type": "integer"}, True, ("type", "must be an integer, not a boolean")),
        ({"type": "boolean"}, "yes", ("type", "must be a boolean, not a string")),
        ({"type": "string"}, 5, ("type", "must be a string, not an integer")),
        ({"enum": ["fast", "safe"]}, "fats", ("violation", "'fats' is not one of fast, safe")),
        ({"type": "integer", "minimum": 1}, 0, ("violation", "must be at least 1, not 0")),
        ({"type": "integer", "maximum": 9}, 10, ("violation", "must be at most 9, not 10")),
        ({"type": "string", "format": "http-url"}, "localhost:80", ("violation", "must be an http or https URL")),
        ({"type": "string", "format": "http-url"}, "http://here:x", ("violation", "must be an http or https URL")),
        ({"type": "string", "minLength": 1}, "", ("violation", "must be at least 1 characters, not 0")),
        ({"properties": {"a": {}}, "required": ["a"]}, {}, ("missing", "'a' is required")),
        ({"properties": {"host": {}}}, {"hots": 1}, ("unknown", "hots: unknown field")),
    ],
)
def test_values_that_do_not_fit(schema: dict[str, Any], value: Any, problem: tuple[str, str]) -> None:
    assert converted(schema, value)[1] == [problem]


def test_a_misspelt_required_member_is_one_mistake() -> None:
    assert [kind for kind, _ in converted({"properties": {"host": {}}, "required": ["host"]}, {"hots": 1})[1]] == ["unknown"]


def test_a_required_member_with_a_default_may_be_left_out() -> None:
    schema = {"properties": {"port": {"default": 1}}, "required": ["port"]}
    assert converted(schema, {})[1] == []
    assert with_defaults(schema, {}) == {"port": 1}


def test_defaults_reach_into_lists_and_objects() -> None:
    schema = {"properties": {"keys": {"items": {"properties": {"depth": {"default": 3}}}}}}
    assert with_defaults(schema, {"keys": [{}, {"depth": 4}]}) == {"keys": [{"depth": 3}, {"depth": 4}]}


def test_a_provider_adds_changes_and_leaves_out() -> None:
    schema = merged(
        {"properties": {"a": {"type": "string"}, "b": {"default": 1}}, "required": ["a"]},
        {"properties": {"b": {"default": 2}, "c": {}}},
    )
    assert schema["properties"] == {"a": {"type": "string"}, "b": {"default": 2}, "c": {}}
    assert schema["required"] == []


def test_what_is_wrong_with_a_schema_itself() -> None:
    found = check_schema({"type": "objekt", "properties": {"a": {"minimum": "1", "patern": "x"}}, "required": "a"}, ())
    assert [(path, detail.partition(";")[0]) for path, detail in found] == [
        (("type",), "type must be one of object, array, string, number, integer, boolean, null"),
        (("properties", "a", "minimum"), "minimum must be a number"),
        (("properties", "a", "patern"), "unknown keyword 'patern'"),
        (("required",), "required must be a list"),
    ]
