"""The reaction function: result events in, and the kind's own routes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.reactions.function import ReactionFunction
from drasi.web.health import health_routes
from drasi.web.metrics import reaction_metrics, registry_of
from drasi.web.push import PushFront
from drasi.web.source import routes_app
from drasi.web.startup import Startup


class ReactionApp:
    """One reaction's function: health, ``POST /results``, and its routes once it has started, also below ``/reactions/{id}``."""

    def __init__(self, reaction_id: str, reaction: ReactionFunction, *, registry: CollectorRegistry | None = None) -> None:
        self._startup = Startup(reaction.start)
        metrics = registry or registry_of(lambda: reaction_metrics({reaction_id: reaction.status()}))
        health = health_routes(self._startup, lambda: bool(reaction.status().get("available")), metrics)
        work = list(reaction.routes())
        self._health = {route.path for route in health if isinstance(route, Route)}
        app = routes_app([*health, Mount(f"/reactions/{reaction_id}", routes=work), *work])
        # Drasi's external images are pushed to on `/`; ours listens on both.
        self._app = PushFront({"/results": reaction.results, "/": reaction.results}, app, before=self._startup.ensure)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope["path"] not in self._health:
            await self._startup.ensure()
        await self._app(scope, receive, send)


def reaction_app(reaction_id: str, reaction: ReactionFunction) -> ASGIApp:
    """The application of one reaction function; the reaction is started by the first request."""
    return ReactionApp(reaction_id, reaction)
