"""The reaction function: result events in, and the kind's own routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.metrics_core import Metric
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from drasi.bus.port import Deliver
from drasi.reactions.function import ReactionFunction
from drasi.web.direct import routes_app
from drasi.web.health import health_routes
from drasi.web.metrics import reaction_metrics, registry_of
from drasi.web.push import PushFront
from drasi.web.standing import status_routes


def reaction_app(
    reaction_id: str,
    reaction: ReactionFunction,
    *,
    attend: Callable[[Deliver], Deliver] = lambda deliver: deliver,
    metrics: Callable[[], Iterable[Metric]] = tuple,
) -> ASGIApp:
    """The application of one reaction that has started: results, health, and the kind's routes, also below ``/reactions/{id}``.

    Args:
        attend: The bus's own work with what is pushed.
        metrics: Of what the process stands on.
    """
    registry = registry_of(lambda: reaction_metrics({reaction_id: reaction.status()}), metrics)
    health = health_routes(lambda: bool(reaction.status().get("available")), registry)
    routes = list(reaction.routes())
    results = attend(reaction.results)

    async def deprovision(request: Request) -> Response:
        """The reaction is deleted: it stops, and what it remembers goes."""
        await reaction.close()
        await reaction.forget()
        return Response(status_code=204)

    own = [Route("/deprovision", deprovision, methods=["POST"]), *status_routes(reaction.status, reaction.dead_letters)]
    app = routes_app([*health, *own, Mount(f"/reactions/{reaction_id}", routes=routes), *routes])
    # Drasi's external images are pushed to on `/`; ours listens on both.
    return PushFront({"/results": results, "/": results}, app)
