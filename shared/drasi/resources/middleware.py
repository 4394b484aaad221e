"""Configurations of middleware, as far as their form goes (middleware.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from drasi.resources.findings import Findings
from drasi.resources.problems import Path, did_you_mean, dotted, listed
from drasi.resources.shape import Boolean, Checked, Field, Members, Named, Sequence, Shape, Text, Whole

KINDS: Final = ("map", "jq", "unwind", "promote", "parse_json", "decoder", "relabel")

_ON_ERROR: Final = Text(choices=("fail", "skip"))
_OPERATIONS: Final = ("insert", "update", "delete")
_RESERVED: Final = ("kind", "name", "config")


def _check_element_type(value: Any, path: Path, findings: Findings) -> None:
    if isinstance(value, str):
        Text(choices=("Node",)).check(value, path, findings)
        return
    relation = Members({"inNodeId": Field(Text(filled=True), required=True), "outNodeId": Field(Text(filled=True), required=True)})
    Members({"Relation": Field(relation, required=True)}).check(value, path, findings)


_OP: Final = Text(choices=("Insert", "Update", "Delete"))
_MAP_ENTRY: Final = Members(
    {
        "selector": Field(Text(filled=True)),
        "condition": Field(Text(filled=True)),
        "op": Field(_OP),
        "label": Field(Text(filled=True)),
        "id": Field(Text(filled=True)),
        "elementType": Field(Checked(_check_element_type)),
        "properties": Field(Named(Text(filled=True))),
    }
)
_JQ_ENTRY: Final = Members(
    {
        "query": Field(Text(filled=True), required=True),
        "op": Field(_OP),
        "label": Field(Text(filled=True)),
        "id": Field(Text(filled=True)),
        "elementType": Field(Checked(_check_element_type)),
        "haltOnError": Field(Boolean()),
    }
)
_UNWIND_ENTRY: Final = Members(
    {
        "selector": Field(Text(filled=True), required=True),
        "label": Field(Text(filled=True), required=True),
        "key": Field(Text(filled=True)),
        "relation": Field(Text(filled=True)),
        "condition": Field(Text(filled=True)),
    }
)


def _by_operation(entry: Members) -> Shape:
    return Members({operation: Field(Sequence(entry)) for operation in _OPERATIONS})


_TARGET: Final = {"target_property": Field(Text(filled=True), required=True), "output_property": Field(Text(filled=True))}

# Of kinds whose members are labels: what stands under each label.
_PER_LABEL: Final[Mapping[str, Shape]] = {
    "map": _by_operation(_MAP_ENTRY),
    "jq": _by_operation(_JQ_ENTRY),
    "unwind": Sequence(_UNWIND_ENTRY),
}
_FIELDS: Final[Mapping[str, Members]] = {
    "promote": Members(
        {
            "mappings": Field(
                Sequence(Members({"path": Field(Text(), required=True), "target_name": Field(Text(), required=True)})),
                required=True,
            ),
            "on_conflict": Field(Text(choices=("overwrite", "skip", "fail"))),
            "on_error": Field(_ON_ERROR),
        }
    ),
    "parse_json": Members(
        {**_TARGET, "on_error": Field(_ON_ERROR), "max_json_size": Field(Whole(1)), "max_nesting_depth": Field(Whole(1))}
    ),
    "decoder": Members(
        {
            **_TARGET,
            "encoding_type": Field(Text(choices=("base64", "base64url", "hex", "url", "json_escape")), required=True),
            "strip_quotes": Field(Boolean()),
            "on_error": Field(_ON_ERROR),
            "max_size_bytes": Field(Whole(1)),
        }
    ),
    "relabel": Members({"labelMappings": Field(Named(Text(filled=True), least=1), required=True), "on_error": Field(_ON_ERROR)}),
}


def configuration(middleware: Mapping[str, Any]) -> Any:
    """The kind's configuration: beside ``kind`` and ``name``, or under ``config``."""
    if "config" in middleware:
        return middleware["config"]
    return {name: value for name, value in middleware.items() if name not in _RESERVED}


def check_middleware(middleware: Mapping[str, Any], path: Path, findings: Findings) -> None:
    """The kind, and its configuration; everything wrong with that is InvalidMiddleware."""
    kind, name = middleware.get("kind"), middleware.get("name")
    if not isinstance(kind, str):
        return
    if kind not in KINDS:
        here = (*path, "kind")
        hint = did_you_mean(kind, KINDS) or f"one of {listed(KINDS)}"
        findings.error(here, "UnknownMiddlewareKind", f"{dotted(here)}: unknown middleware kind '{kind}'", hint=hint)
        return
    inner = Findings(findings.document)
    below = (*path, "config") if "config" in middleware else path
    _check_configuration(kind, configuration(middleware), below, inner)
    for problem in inner.errors:
        detail = problem.message.removeprefix(f"{problem.path}: ")
        problem.code = "InvalidMiddleware"
        problem.message = f"{problem.path}: Middleware setup error: [{name}] Invalid configuration: {detail}"
        findings.errors.append(problem)


def _check_configuration(kind: str, config: Any, path: Path, findings: Findings) -> None:
    if not isinstance(config, dict):
        findings.wrong_type(path, "an object", config)
        return
    if kind in _FIELDS:
        _FIELDS[kind].check(config, path, findings)
        if kind == "promote":
            _check_promote(config.get("mappings"), (*path, "mappings"), findings)
        return
    for label, entries in config.items():
        here = (*path, label)
        if label == "on_error" and kind in ("map", "unwind"):
            _ON_ERROR.check(entries, here, findings)
        else:
            _PER_LABEL[kind].check(entries, here, findings)


def _check_promote(mappings: Any, path: Path, findings: Findings) -> None:
    if not isinstance(mappings, list):
        return
    if not mappings:
        findings.error(path, "InvalidMiddleware", "At least one mapping must be specified")
    for index, mapping in enumerate(mappings):
        if not isinstance(mapping, dict):
            continue
        if mapping.get("path") == "":
            findings.error((*path, index, "path"), "InvalidMiddleware", "Empty JSONPath")
        if mapping.get("target_name") == "":
            findings.error((*path, index, "target_name"), "InvalidMiddleware", f"Empty target_name in mapping at index {index}")


def labels_made(middleware: Mapping[str, Any]) -> Iterator[str | None]:
    """The labels and types that a middleware's outputs may have; None: any (a jq program decides)."""
    kind = middleware.get("kind")
    config = configuration(middleware)
    if not isinstance(config, dict):
        return
    if kind == "relabel":
        mappings = config.get("labelMappings")
        if isinstance(mappings, dict):
            yield from (label for label in mappings.values() if isinstance(label, str))
        return
    for entries in config.values():
        if kind == "unwind" and isinstance(entries, list):
            yield from (
                entry[member] for entry in entries if isinstance(entry, dict) for member in ("label", "relation") if member in entry
            )
        elif kind == "map" and isinstance(entries, dict):
            listed_entries = [entry for items in entries.values() if isinstance(items, list) for entry in items]
            yield from (entry["label"] for entry in listed_entries if isinstance(entry, dict) and "label" in entry)
        elif kind == "jq":
            yield None


def labels_taken(middleware: Mapping[str, Any]) -> Iterator[str]:
    """The labels that a middleware takes in: a subscription without labels wants them too."""
    kind = middleware.get("kind")
    config = configuration(middleware)
    if not isinstance(config, dict):
        return
    if kind in _PER_LABEL:
        yield from (label for label in config if label != "on_error")
    elif kind == "relabel" and isinstance(config.get("labelMappings"), dict):
        yield from config["labelMappings"]
