"""The subset of JSON Schema that kinds and providers describe their properties with (resources.md section 4).

A check converts as it goes: ``"5432"`` where a number is wanted is 5432, ``"true"`` a boolean, ``"a, b"`` a list of strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from drasi.resources.config_value import is_reference
from drasi.resources.findings import type_name
from drasi.resources.problems import Path, did_you_mean, dotted, listed, nearest

KEYWORDS = frozenset(
    {
        *("$schema", "type", "properties", "required", "items", "enum", "format"),
        *("minimum", "maximum", "minLength", "maxLength", "description", "default"),
    }
)
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


_NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "a boolean",
    "null": "null",
}

Kind = Literal["unknown", "type", "violation", "missing"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong. ``detail`` is what the rule says, without the path."""

    path: Path
    kind: Kind
    detail: str
    hint: str | None = None


def convert(schema: Mapping[str, Any], value: Any, path: Path, found: list[Violation], *, open_objects: bool = True) -> Any:
    """Checks ``value`` and converts it.

    Args:
        schema: The schema of this value.
        value: A value in which references to secrets may stand; those fit everywhere.
        path: Where the value stands, for the violations.
        found: Receives what is wrong.
        open_objects: Whether members that an object's schema does not name are allowed where it does not say.

    Returns:
        The value with conversions and without defaults.
    """
    if is_reference(value):
        return value
    wanted = schema.get("type")
    if wanted is not None:
        types = [wanted] if isinstance(wanted, str) else list(wanted)
        fits, value = _typed(types, value, schema)
        if not fits:
            expected = " or ".join(_NAMES.get(name, str(name)) for name in types)
            found.append(Violation(path, "type", f"must be {expected}, not {type_name(value)}"))
            return value
    if "enum" in schema and value not in schema["enum"]:
        choices = schema["enum"]
        hint = did_you_mean(value, [c for c in choices if isinstance(c, str)]) if isinstance(value, str) else None
        found.append(Violation(path, "violation", f"'{value}' is not one of {listed(choices)}", hint))
    if isinstance(value, int | float) and not isinstance(value, bool):
        _bounds(schema, value, "minimum", "maximum", "", path, found)
    elif isinstance(value, str):
        _bounds(schema, len(value), "minLength", "maxLength", " characters", path, found)
        if schema.get("format") == "http-url" and not _is_http_url(value):
            found.append(Violation(path, "violation", "must be an http or https URL", "write it like https://alerts.example/hooks"))
    elif isinstance(value, list):
        _bounds(schema, len(value), "minItems", "maxItems", " items", path, found)
        items = schema.get("items")
        if isinstance(items, Mapping):
            value = [convert(items, item, (*path, index), found, open_objects=open_objects) for index, item in enumerate(value)]
    elif isinstance(value, dict):
        value = _members(schema, value, path, found, open_objects)
    return value


def with_defaults(schema: Mapping[str, Any] | None, value: Any) -> Any:
    """The value with the defaults of its schema where nothing stands."""
    if schema is None:
        return value
    if isinstance(value, dict) and not is_reference(value):
        members = schema.get("properties", {})
        filled = {name: with_defaults(members.get(name), item) for name, item in value.items()}
        for name, member in members.items():
            if filled.get(name) is None and "default" in member:
                filled[name] = member["default"]
        return filled
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [with_defaults(schema["items"], item) for item in value]
    return value


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A built-in kind's schema with what a provider adds to it and changes in it; required is what the provider requires."""
    return {
        **base,
        **over,
        "properties": {**base.get("properties", {}), **over.get("properties", {})},
        "required": list(over.get("required", [])),
    }


def check_schema(schema: Any, path: Path) -> list[tuple[Path, str]]:
    """What is wrong with a user's schema itself, as (path, detail)."""
    if not isinstance(schema, dict):
        return [(path, "a JSON Schema must be an object")]
    found: list[tuple[Path, str]] = []
    for name, value in schema.items():
        here = (*path, name)
        if name not in KEYWORDS:
            hint = did_you_mean(name, KEYWORDS)
            found.append((here, f"unknown keyword '{name}'" + (f"; {hint}" if hint else "")))
        elif name == "type":
            names = value if isinstance(value, list) else [value]
            found += [(here, f"type must be one of {listed(TYPES)}") for item in names if item not in TYPES]
        elif name == "properties":
            if isinstance(value, dict):
                for member, inner in value.items():
                    found += check_schema(inner, (*here, member))
            else:
                found.append((here, "properties must be an object"))
        elif name == "items":
            found += check_schema(value, here)
        elif name in ("required", "enum") and not isinstance(value, list):
            found.append((here, f"{name} must be a list"))
        elif name == "required" and not all(isinstance(item, str) for item in value):
            found.append((here, "required must be a list of names"))
        elif name in ("minimum", "maximum", "minLength", "maxLength") and (
            isinstance(value, bool) or not isinstance(value, int | float)
        ):
            found.append((here, f"{name} must be a number"))
    return found


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text.strip())
        return parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:  # a port that is none, half an IPv6 address
        return False


def _typed(types: list[Any], value: Any, schema: Mapping[str, Any]) -> tuple[bool, Any]:
    for name in types:
        if _is(name, value):
            return True, value
    if not isinstance(value, str):
        return False, value
    for name in types:
        fits, converted = _from_text(name, value, schema)
        if fits:
            return True, converted
    return False, value


def _is(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if isinstance(value, int):
        return name in ("integer", "number")
    if isinstance(value, float):
        return name == "number" or (name == "integer" and value.is_integer())
    return (
        (name == "string" and isinstance(value, str))
        or (name == "array" and isinstance(value, list))
        or (name == "object" and isinstance(value, dict))
        or (name == "null" and value is None)
    )


def _from_text(name: str, text: str, schema: Mapping[str, Any]) -> tuple[bool, Any]:
    try:
        if name == "integer":
            return True, int(text)
        if name == "number":
            return True, int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return False, text
    if name == "boolean" and text in ("true", "false"):
        return True, text == "true"
    if name == "array" and schema.get("items", {}).get("type", "string") == "string":
        return True, [part.strip() for part in text.split(",") if part.strip()]
    return False, text


def _bounds(schema: Mapping[str, Any], size: float, low: str, high: str, unit: str, path: Path, found: list[Violation]) -> None:
    least, most = schema.get(low), schema.get(high)
    if least is not None and size < least:
        found.append(Violation(path, "violation", f"must be at least {least}{unit}, not {size}"))
    if most is not None and size > most:
        found.append(Violation(path, "violation", f"must be at most {most}{unit}, not {size}"))


def _members(
    schema: Mapping[str, Any], value: dict[str, Any], path: Path, found: list[Violation], open_objects: bool
) -> dict[str, Any]:
    members: Mapping[str, Any] = schema.get("properties", {})
    others = schema.get("additionalProperties", open_objects or not members)
    converted: dict[str, Any] = {}
    meant: set[str | None] = set()
    for name, item in value.items():
        here = (*path, name)
        if name in members:
            converted[name] = item if item is None else convert(members[name], item, here, found, open_objects=open_objects)
        elif isinstance(others, Mapping):
            converted[name] = convert(others, item, here, found, open_objects=open_objects)
        else:
            converted[name] = item
            if not others:
                meant.add(nearest(name, members))
                found.append(Violation(here, "unknown", f"{dotted(here)}: unknown field", did_you_mean(name, members)))
    found += [
        Violation((*path, name), "missing", f"'{name}' is required")
        for name in schema.get("required", ())
        if value.get(name) is None and "default" not in members.get(name, {}) and name not in meant
    ]
    return converted
