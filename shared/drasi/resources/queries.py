"""ContinuousQueries: references inside the document, container and store, middleware, joins, and the query text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drasi.resources.containers import store_of
from drasi.resources.findings import Findings
from drasi.resources.known import DEFAULT_CONTAINER, Known
from drasi.resources.middleware import check_middleware
from drasi.resources.problems import Path, did_you_mean, dotted, listed
from drasi.resources.query_text import check_text

_SOURCES: Path = ("spec", "sources")


def check_query(spec: Mapping[str, Any], known: Known, findings: Findings) -> None:
    """Everything of a query's spec that its shape cannot say."""
    container = _check_container(spec, known, findings)
    sources = spec.get("sources")
    if not isinstance(sources, dict):
        sources = {}
    _check_duplicates(sources, "subscriptions", "id", findings)
    _check_duplicates(sources, "joins", "id", findings)
    _check_duplicates(sources, "middleware", "name", findings)
    _check_subscriptions(sources, known, findings)
    for index, join in _objects(sources, "joins"):
        keys = join.get("keys")
        if isinstance(keys, list) and len(keys) < 2:
            path = (*_SOURCES, "joins", index, "keys")
            findings.error(path, "InvalidJoin", f"{dotted(path)}: a join needs at least two keys")
    for index, middleware in _objects(sources, "middleware"):
        check_middleware(middleware, (*_SOURCES, "middleware", index), findings)
    _check_built(sources, findings)
    check_text(spec, container, known, findings)


def _check_container(spec: Mapping[str, Any], known: Known, findings: Findings) -> Mapping[str, Any] | None:
    name = spec.get("container")
    if name is None:
        name = DEFAULT_CONTAINER
    if not isinstance(name, str):
        return None
    container = known.containers.get(name)
    if container is None:
        hint = did_you_mean(name, known.containers)
        findings.error(("spec", "container"), "UnknownContainer", f"Query container {name} does not exist", hint=hint)
        return None
    profile = spec.get("storageProfile")
    if isinstance(profile, str):
        storage = container.get("storage")
        stores = tuple(storage) if isinstance(storage, dict) else ()
        store = store_of(container, profile)
        path: Path = ("spec", "storageProfile")
        if store is None:
            findings.error(
                path,
                "UnknownStore",
                f"{dotted(path)}: no store '{profile}' in container '{name}' (has: {listed(stores)})",
                hint=did_you_mean(profile, stores),
            )
        elif store != profile:
            findings.warn(path, "StoreReplaced", f"container '{name}' has no store '{profile}'; '{store}' is used")
    return container


def _objects(sources: Mapping[str, Any], member: str) -> Iterator[tuple[int, dict[str, Any]]]:
    items = sources.get(member)
    if isinstance(items, list):
        yield from ((index, item) for index, item in enumerate(items) if isinstance(item, dict))


def _check_duplicates(sources: Mapping[str, Any], member: str, field: str, findings: Findings) -> None:
    seen: set[str] = set()
    for index, item in _objects(sources, member):
        name = item.get(field)
        if not isinstance(name, str):
            continue
        if name in seen:
            path = (*_SOURCES, member, index, field)
            findings.error(path, "DuplicateName", f"{dotted(path)}: '{name}' is used twice")
        seen.add(name)


def _check_subscriptions(sources: Mapping[str, Any], known: Known, findings: Findings) -> None:
    defined = [item["name"] for _, item in _objects(sources, "middleware") if isinstance(item.get("name"), str)]
    used: set[str] = set()
    for index, subscription in _objects(sources, "subscriptions"):
        source = subscription.get("id")
        path = (*_SOURCES, "subscriptions", index)
        if isinstance(source, str) and source not in known.sources:
            findings.warn(
                (*path, "id"),
                "MissingSource",
                f"source '{source}' does not exist yet; the query waits for it",
                hint=did_you_mean(source, known.sources),
            )
        pipeline = subscription.get("pipeline")
        for position, name in enumerate(pipeline if isinstance(pipeline, list) else ()):
            if not isinstance(name, str):
                continue
            used.add(name)
            if name not in defined:
                findings.error(
                    (*path, "pipeline", position),
                    "UnknownMiddleware",
                    f"Middleware '{name}' referenced in pipeline for subscription '{source}' is not defined in sources.middleware",
                    hint=did_you_mean(name, defined),
                )
    for index, middleware in _objects(sources, "middleware"):
        name = middleware.get("name")
        if isinstance(name, str) and name not in used:
            path = (*_SOURCES, "middleware", index, "name")
            findings.warn(path, "UnusedMiddleware", f"middleware '{name}' is in no pipeline")


def _check_built(sources: Mapping[str, Any], findings: Findings) -> None:
    """Warns of what this version's engine does not do yet; apply makes errors of them."""
    from drasi import plan

    if not getattr(plan, "SUPPORTS_JOINS", False):
        for index, join in _objects(sources, "joins"):
            path = (*_SOURCES, "joins", index)
            findings.warn(path, "NotYet", f"{dotted(path)}: the join '{join.get('id')}': joins are not built yet")
    built: frozenset[str] = frozenset(getattr(plan, "MIDDLEWARE_KINDS", ()))
    for index, middleware in _objects(sources, "middleware"):
        kind = middleware.get("kind")
        if isinstance(kind, str) and kind not in built:
            path = (*_SOURCES, "middleware", index)
            findings.warn(
                path, "NotYet", f"{dotted(path)}: the middleware '{middleware.get('name')}': kind '{kind}' is not built yet"
            )
