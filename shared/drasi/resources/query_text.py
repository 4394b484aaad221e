"""``spec.query``: the text itself, its parameters, and the labels it wants against those that are subscribed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from drasi.errors import QueryError
from drasi.resources.containers import store_of
from drasi.resources.findings import Findings
from drasi.resources.known import Known
from drasi.resources.middleware import labels_made
from drasi.resources.problems import Path, did_you_mean

_QUERY: Final[Path] = ("spec", "query")
_VERSIONS: Final = frozenset({"drasi.getVersionByTimestamp", "drasi.getVersionsByTimeRange"})


def check_text(spec: Mapping[str, Any], container: Mapping[str, Any] | None, known: Known, findings: Findings) -> None:
    """Parses and checks the text; reports its first error, or everything that is to be warned of."""
    from drasi import language as cypher

    text = spec.get("query")
    if not isinstance(text, str) or not text.strip():
        return
    language = spec.get("queryLanguage") or "Cypher"
    names = spec.get("columnNames") or "short"
    if not isinstance(language, str) or language.lower() not in ("cypher", "gql") or names not in ("short", "text"):
        return
    parsed = None
    try:
        parsed = cypher.parse(text, language=language.lower(), column_names=names)
        checked = cypher.check(parsed, text=text, parameters=None, language=language.lower())
    except QueryError as error:
        _report(error, parsed, text, findings)
        return
    for warning in checked.warnings:
        findings.warn_inside(_QUERY, warning.code, warning.message, text, warning.line, warning.column)
    for missing in checked.not_yet:
        message = f"{missing} is not built yet"
        findings.warn_inside(_QUERY, "NotYet", message, text, missing.line, missing.column)
    _check_parameters(spec, checked.parameters, findings)
    _check_labels(spec, checked.query, text, findings)
    _check_archive(spec, container, checked.query, findings)


def _report(error: QueryError, parsed: Any, text: str, findings: Findings) -> None:
    if error.detail == "ColumnNameConflict":
        message = _conflict(parsed) or error.message
        findings.error_inside(_QUERY, "ColumnNameConflict", message, text, error.line, error.column)
        return
    if error.type == "NotYet":
        place = f" at line {error.line}, column {error.column}" if error.line else ""
        findings.warn_inside(_QUERY, "NotYet", f"{error.message}{place}", text, error.line, error.column, hint=error.hint)
        return
    place = f" at line {error.line}, column {error.column}" if error.line else ""
    message = f"{error.type}: {error.detail}: {error.message}{place}"
    findings.error_inside(_QUERY, "QueryError", message, text, error.line, error.column, hint=error.hint)


def _conflict(parsed: Any) -> str | None:
    """The message for two equal columns, with their numbers, where the text alone tells them."""
    items = parsed.parts[0].clauses[-1].items if parsed is not None else ()
    names = [item.name for item in items]
    for second, name in enumerate(names):
        first = names.index(name)
        if first != second:
            return f"two columns are named '{name}' (columns {first + 1} and {second + 1}); give one an alias"
    return None


def _check_parameters(spec: Mapping[str, Any], used: Any, findings: Findings) -> None:
    given = spec.get("parameters")
    given = given if isinstance(given, dict) else {}
    for name in sorted(set(used) - set(given)):
        findings.error(
            ("spec", "parameters"),
            "ParameterMissing",
            f"query parameter '${name}' has no value in spec.parameters",
            hint=did_you_mean(name, given),
        )
    for name in given:
        if name not in used:
            path = ("spec", "parameters", name)
            findings.warn(
                path, "UnusedParameter", f"parameter '{name}' is not used by the query", hint=did_you_mean(name, used), key=True
            )


def _check_labels(spec: Mapping[str, Any], query: Any, text: str, findings: Findings) -> None:
    from drasi.language import tree
    from drasi.language.place import locate
    from drasi.language.walk import descendants

    nodes: dict[str, int] = {}
    types: dict[str, int] = {}
    for part in descendants(query):
        if isinstance(part, tree.NodePattern):
            for label in _required(part.labels):
                nodes.setdefault(label.name, label.pos or part.pos)
        elif isinstance(part, tree.RelationPattern):
            for name in part.types:
                types.setdefault(name, part.pos)
    supplied = _supplied(spec)
    if supplied is not None:
        for word, wanted, have in (("label", nodes, supplied[0]), ("type", types, supplied[1])):
            for name, pos in wanted.items():
                if name not in have:
                    line, column = locate(text, pos)
                    message = f"no subscription and no middleware supplies the {word} '{name}'"
                    findings.warn_inside(_QUERY, "UnsubscribedLabel", message, text, line, column, hint=did_you_mean(name, have))


def _required(labels: Any) -> Iterator[Any]:
    """The labels of an expression that an element may have to have; those under ``!`` it may not."""
    from drasi.language import tree

    if isinstance(labels, tree.Label):
        yield labels
    elif isinstance(labels, tree.LabelAnd | tree.LabelOr):
        for operand in labels.operands:
            yield from _required(operand)


def _supplied(spec: Mapping[str, Any]) -> tuple[set[str], set[str]] | None:
    """Labels and types that subscriptions, joins and middleware supply; None: everything the query names."""
    sources = spec.get("sources")
    if not isinstance(sources, dict):
        return None
    nodes: set[str] = set()
    types: set[str] = set()
    subscriptions = [item for item in _listed(sources, "subscriptions") if isinstance(item, dict)]
    for subscription in subscriptions:
        if subscription.get("nodes") is None and subscription.get("relations") is None:
            return None
        for member, have in (("nodes", nodes), ("relations", types)):
            labels = [item.get("sourceLabel") for item in _listed(subscription, member) if isinstance(item, dict)]
            have.update(label for label in labels if isinstance(label, str))
    types |= {join["id"] for join in _listed(sources, "joins") if isinstance(join, dict) and isinstance(join.get("id"), str)}
    for middleware in _listed(sources, "middleware"):
        if not isinstance(middleware, dict):
            continue
        for label in labels_made(middleware):
            if label is None:
                return None
            if isinstance(label, str):
                nodes.add(label)
                types.add(label)
    return nodes, types


def _listed(holder: Mapping[str, Any], member: str) -> list[Any]:
    items = holder.get(member)
    return items if isinstance(items, list) else []


def _check_archive(spec: Mapping[str, Any], container: Mapping[str, Any] | None, query: Any, findings: Findings) -> None:
    from drasi.language import tree
    from drasi.language.walk import descendants

    if container is None:
        return
    profile = spec.get("storageProfile")
    store = store_of(container, profile if isinstance(profile, str) else None)
    storage = container.get("storage")
    content = storage.get(store) if isinstance(storage, dict) and store is not None else None
    if not isinstance(content, dict) or content.get("enableArchive") is not False:
        return
    for part in descendants(query):
        if isinstance(part, tree.FunctionCall) and part.name in _VERSIONS:
            message = f"{part.name} needs element versions, but store '{store}' has enableArchive: false"
            findings.error(_QUERY, "ArchiveDisabled", message)
            return
