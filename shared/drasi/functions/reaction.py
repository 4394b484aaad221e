"""The reaction function in a process, and where it finds its queries."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import httpx
from starlette.types import ASGIApp

from drasi.auth import scopes
from drasi.environment import Environment
from drasi.functions.addresses import Addresses
from drasi.functions.admission import Admission
from drasi.functions.manifest import connector
from drasi.functions.parts import Parts, on_parts
from drasi.messages.reading import QueryNotFound, QueryUnavailable
from drasi.reactions import registry
from drasi.reactions.function import ReactionFunction
from drasi.resources.known import container_of
from drasi.resources.resource import CONTINUOUS_QUERY, REACTION
from drasi.resources.store import ResourceStore, StoreUnavailable
from drasi.web import permissions
from drasi.web.reaction import reaction_app
from drasi.web.remote import TIMEOUT, RemoteReader

_KNOWN_S: Final = 30.0


class QueryPlaces:
    """Where queries are: where their containers are, which the installation's resources say. Looked up again now and then: a query
    may move.

    Args:
        addresses: Of containers.
        resources: Opens the installation's resources.
        known_s: How long what they said is believed.
    """

    def __init__(
        self,
        addresses: Addresses,
        resources: Callable[[], Awaitable[ResourceStore]],
        *,
        known_s: float = _KNOWN_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = addresses
        self._resources = resources
        self._known_s = known_s
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, str]] = {}

    async def __call__(self, query_id: str) -> str:
        given = self._addresses.matching("DRASI_QUERY_URL", query_id)
        if given is not None:
            return given
        now = self._monotonic()
        known = self._known.get(query_id)
        if known is None or now - known[0] >= self._known_s:
            try:
                query = await (await self._resources()).get(CONTINUOUS_QUERY, query_id)
            except StoreUnavailable as error:
                if known is None:
                    raise QueryUnavailable(f"nobody says where '{query_id}' is: {error.message}", hint="tried again") from error
                return known[1]
            if query is None:
                self._known.pop(query_id, None)
                raise QueryNotFound(f"View `{query_id}` not found")
            known = self._known[query_id] = (now, self._addresses.of("container", container_of(query)))
        return known[1]


def reaction_function(environment: Environment) -> ASGIApp:
    """The application of the reaction in the environment's manifest."""
    admission = Admission(environment, pushed_as=f"{scopes.REACTION_DELIVER}:*")

    async def build(parts: Parts) -> ASGIApp:
        resource, settings = connector(environment, REACTION)
        name = resource.name
        reader = RemoteReader(
            httpx.AsyncClient(timeout=TIMEOUT),
            QueryPlaces(Addresses(environment.variables), parts.resources),
            credentials=admission.shown_as(f"reaction:{name}"),
        )
        reaction = ReactionFunction(
            name,
            registry.kinds()[settings.kind],
            settings.properties,
            settings.queries,
            reader=reader,
            state=await parts.reaction_state(name),
            start=resource.spec.get("start") or "snapshot",
            on_failure=resource.spec.get("onFailure"),
        )
        await reaction.start()
        needs = permissions.reaction(name, list(settings.queries), reaction.reads)
        app = reaction_app(name, reaction, attend=parts.attend, metrics=parts.metrics)
        return admission.permitted(parts.watched(app, reaction.close, reaction.resume), needs)

    return admission.served(on_parts(environment, build), pushed=("/results", "/"))
