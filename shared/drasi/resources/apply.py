"""In which order documents are applied, and what applying one means (cli-and-api.md section 5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from drasi.resources.manifest import filled
from drasi.resources.problems import Problem
from drasi.resources.resource import (
    CONTINUOUS_QUERY,
    KINDS,
    QUERY_CONTAINER,
    REACTION,
    REACTION_PROVIDER,
    SOURCE,
    SOURCE_PROVIDER,
    Resource,
)

Result = Literal["created", "updated", "unchanged", "failed"]

_RANK: Final = {kind: rank for rank, kind in enumerate(KINDS)}


class Outcome(msgspec.Struct, kw_only=True):
    """What became of one document: an item of the answer of ``POST /v1/apply``. ``replaced``: deleted and created as one step."""

    kind: str
    name: str
    result: Result
    version: int = 0
    replaced: bool = False
    warnings: list[Problem] = []
    errors: list[Problem] = []


class LoopOfQueries(ValueError):
    """Queries that feed each other in a circle."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"queries feed each other in a circle: {' → '.join(names)}")
        self.names = names


def ordered(resources: Iterable[Resource]) -> list[Resource]:
    """Providers, containers, sources, queries, reactions; a source of kind ``Query`` after its query; else as they stand.

    Raises:
        LoopOfQueries: There is no such order.
    """
    items = sorted(resources, key=lambda resource: _RANK[resource.kind])
    by_key = {(resource.kind, resource.name): resource for resource in items}
    done: dict[tuple[str, str], Resource] = {}

    def place(resource: Resource, above: tuple[tuple[str, str], ...]) -> None:
        key = (resource.kind, resource.name)
        if key in done:
            return
        if key in above:
            circle = (*above[above.index(key) :], key)
            raise LoopOfQueries(tuple(name for kind, name in circle if kind == CONTINUOUS_QUERY))
        for other in dependencies(resource):
            if other in by_key:
                place(by_key[other], (*above, key))
        done[key] = resource

    for resource in items:
        place(resource, ())
    return list(done.values())


def dependencies(resource: Resource) -> Iterator[tuple[str, str]]:
    """What must be applied before it, as (kind, name)."""
    spec = resource.spec
    if resource.kind in (SOURCE, REACTION):
        kind = str(spec.get("kind", "")).strip()
        yield (SOURCE_PROVIDER if resource.kind == SOURCE else REACTION_PROVIDER, kind)
    if resource.kind == SOURCE and str(spec.get("kind", "")).strip().casefold() == "query":
        query = (spec.get("properties") or {}).get("query")
        if isinstance(query, str):
            yield (CONTINUOUS_QUERY, query)
    elif resource.kind == CONTINUOUS_QUERY:
        yield (QUERY_CONTAINER, str(spec.get("container") or "default"))
        for subscription in (spec.get("sources") or {}).get("subscriptions") or ():
            yield (SOURCE, str(subscription.get("id")))
    elif resource.kind == REACTION:
        yield from ((CONTINUOUS_QUERY, query) for query in spec.get("queries") or {})


def same(stored: Resource, wanted: Resource) -> bool:
    """Whether applying ``wanted`` over ``stored`` changes nothing: specs are compared with their defaults."""
    return (
        filled(stored.kind, stored.spec) == filled(wanted.kind, wanted.spec)
        and stored.tag == wanted.tag
        and stored.labels == wanted.labels
        and stored.annotations == wanted.annotations
    )


def replaces(stored: Resource, wanted: Resource) -> bool:
    """Whether it cannot be changed in place: a source or reaction of another kind."""
    return stored.kind in (SOURCE, REACTION) and _kind(stored.spec) != _kind(wanted.spec)


def only_shown(stored: Resource, wanted: Resource) -> bool:
    """Whether only the tag, labels or annotations differ, so that nothing has to run anew."""
    return filled(stored.kind, stored.spec) == filled(wanted.kind, wanted.spec)


def _kind(spec: dict[str, Any]) -> str:
    return str(spec.get("kind", "")).strip()
