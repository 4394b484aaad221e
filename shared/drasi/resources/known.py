"""What a set of documents may refer to: the resources that are there already, and the profile they are for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from drasi.resources.resource import CONTINUOUS_QUERY, QUERY_CONTAINER, REACTION_PROVIDER, SOURCE, SOURCE_PROVIDER, Resource
from drasi.resources.secrets import Secrets

Profile = Literal["embedded", "emulator", "cluster"]

DEFAULT_CONTAINER: Final = "default"


def default_container(profile: Profile = "embedded") -> Resource:
    """The container that an installation starts with (resources.md section 6.1)."""
    durable = "sqlite" if profile == "embedded" else "firestore"
    spec = {
        "queryHostCount": 1,
        "defaultStore": "durable",
        "storage": {"memory": {"kind": "memory"}, "durable": {"kind": durable}},
    }
    return Resource(kind=QUERY_CONTAINER, name=DEFAULT_CONTAINER, spec=spec, version=1)


def container_of(query: Resource) -> str:
    """The container that keeps a query."""
    return str(query.spec.get("container") or DEFAULT_CONTAINER)


@dataclass(slots=True)
class Known:
    """The names that references are looked up in.

    Attributes:
        containers: Specs by name.
        sources, queries: Names.
        source_providers, reaction_providers: Specs by name.
        secrets: Where secrets are looked up; None: nobody can say whether one is there (no warning).
    """

    profile: Profile = "embedded"
    containers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    queries: set[str] = field(default_factory=set)
    source_providers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    reaction_providers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    secrets: Secrets | None = None

    @classmethod
    def of(cls, resources: Iterable[Resource], *, profile: Profile = "embedded", secrets: Secrets | None = None) -> Known:
        """What an installation with these resources knows; the default container is always there."""
        known = cls(profile=profile, secrets=secrets)
        known.add(QUERY_CONTAINER, DEFAULT_CONTAINER, default_container(profile).spec)
        for resource in resources:
            known.add(resource.kind, resource.name, resource.spec)
        return known

    def add(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Adds one resource; another of the same kind and name is replaced."""
        if kind == QUERY_CONTAINER:
            self.containers[name] = spec
        elif kind == SOURCE:
            self.sources.add(name)
        elif kind == CONTINUOUS_QUERY:
            self.queries.add(name)
        elif kind == SOURCE_PROVIDER:
            self.source_providers[name] = spec
        elif kind == REACTION_PROVIDER:
            self.reaction_providers[name] = spec

    def copy(self) -> Known:
        """One that can be added to without changing this one."""
        return Known(
            self.profile,
            dict(self.containers),
            set(self.sources),
            set(self.queries),
            dict(self.source_providers),
            dict(self.reaction_providers),
            self.secrets,
        )
