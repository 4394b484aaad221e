"""The reaction function: result events in, and the kind's own routes."""

from __future__ import annotations

from starlette.routing import Mount
from starlette.types import ASGIApp

from drasi.reactions.function import ReactionFunction
from drasi.web.direct import routes_app
from drasi.web.health import health_routes
from drasi.web.metrics import reaction_metrics, registry_of
from drasi.web.push import PushFront


def reaction_app(reaction_id: str, reaction: ReactionFunction) -> ASGIApp:
    """The application of one reaction that has started: results, health, and the kind's routes, also below ``/reactions/{id}``."""
    registry = registry_of(lambda: reaction_metrics({reaction_id: reaction.status()}))
    health = health_routes(lambda: bool(reaction.status().get("available")), registry)
    routes = list(reaction.routes())
    app = routes_app([*health, Mount(f"/reactions/{reaction_id}", routes=routes), *routes])
    # Drasi's external images are pushed to on `/`; ours listens on both.
    return PushFront({"/results": reaction.results, "/": reaction.results}, app)
