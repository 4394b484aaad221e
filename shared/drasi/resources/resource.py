"""A stored resource, and the kinds there are."""

from __future__ import annotations

from typing import Any, Final

import msgspec

SOURCE: Final = "Source"
SOURCE_PROVIDER: Final = "SourceProvider"
CONTINUOUS_QUERY: Final = "ContinuousQuery"
QUERY_CONTAINER: Final = "QueryContainer"
REACTION: Final = "Reaction"
REACTION_PROVIDER: Final = "ReactionProvider"

# In the order in which a set of documents is applied.
KINDS: Final = (SOURCE_PROVIDER, REACTION_PROVIDER, QUERY_CONTAINER, SOURCE, CONTINUOUS_QUERY, REACTION)

ROUTES: Final = {
    "sources": SOURCE,
    "reactions": REACTION,
    "queryContainers": QUERY_CONTAINER,
    "continuousQueries": CONTINUOUS_QUERY,
    "sourceProviders": SOURCE_PROVIDER,
    "reactionProviders": REACTION_PROVIDER,
}
ROUTE_OF: Final = {kind: route for route, kind in ROUTES.items()}

_SPELLINGS: Final = {kind.casefold(): kind for kind in KINDS} | {"query": CONTINUOUS_QUERY}


def kind_named(text: str) -> str | None:
    """The kind that ``text`` names in any case (``query`` is a ContinuousQuery), or None."""
    return _SPELLINGS.get(text.casefold())


class Resource(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One resource as the installation keeps it.

    Attributes:
        kind: One of ``KINDS``.
        name: Unique within the kind.
        spec: As the user wrote it, with names of kinds and old spellings set right; secrets are references.
        version: Rises with every change of this resource.
        stopped: Paused by an operator (sources, queries, reactions).
        changed_ms: When this version was stored.
    """

    kind: str
    name: str
    spec: dict[str, Any]
    version: int = 0
    tag: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    warnings: list[dict[str, Any]] = []
    stopped: bool = False
    author: str = ""
    changed_ms: int = 0

    @property
    def path(self) -> str:
        """``Kind/name``, as messages write it."""
        return f"{self.kind}/{self.name}"


def sources_of(query: Resource) -> list[str]:
    """The sources that a query subscribes to."""
    subscriptions = (query.spec.get("sources") or {}).get("subscriptions") or ()
    return [str(subscription["id"]) for subscription in subscriptions]


class Settings(msgspec.Struct, kw_only=True):
    """What a source or reaction is started with: everything resolved.

    Attributes:
        kind: The built-in kind's own name (aliases and blanks are gone).
        properties: Secrets in, defaults in, converted to the types of the kind's schema.
        queries: A reaction's configuration per query as written: text, mapping or None.
        schedule_s: How often a polled source polls; None: the kind's default.
        schedule: The schedule as text where it is a cron text.
    """

    kind: str
    properties: dict[str, Any] = {}
    queries: dict[str, Any] = {}
    schedule_s: float | None = None
    schedule: str | None = None
