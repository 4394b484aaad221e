"""The source function: triggers in, snapshots out, and the kind's own routes (wire.md sections 3.2 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from prometheus_client.metrics_core import Metric
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from drasi.sources.function import SourceFunction
from drasi.web.direct import routes_app
from drasi.web.health import health_routes
from drasi.web.metrics import registry_of, source_metrics
from drasi.web.standing import status_routes


class Subscription(msgspec.Struct, rename="camel"):
    """The body of ``POST /subscription``."""

    query_id: str
    query_node_id: str
    node_labels: list[str] = []
    rel_labels: list[str] = []


class SourceRoutes:
    """The routes of one source at work."""

    def __init__(self, source: SourceFunction) -> None:
        self._source = source

    def routes(self) -> list[BaseRoute]:
        # A pushed kind may take what is posted to the root itself.
        return [
            *self._source.routes(),
            Route("/", self.trigger, methods=["POST"]),
            Route("/acquire-stream", self.acquire, methods=["POST"]),
            Route("/supports-stream", self.supports, methods=["GET", "POST"]),
            Route("/subscription", self.subscribe, methods=["POST"]),
            Route("/subscription/{node}/{query}", self.unsubscribe, methods=["DELETE"]),
            Route("/deprovision", self.deprovision, methods=["POST"]),
        ]

    async def trigger(self, request: Request) -> Response:
        """``POST /``: a schedule, a webhook or a CloudEvent says that there may be changes."""
        self._source.wake()
        return Response(status_code=204)

    async def supports(self, request: Request) -> Response:
        return Response(status_code=204)

    async def acquire(self, request: Request) -> Response:
        return await self._stream(await request.body())

    async def subscribe(self, request: Request) -> Response:
        """Registers the query's labels, and answers the snapshot of them."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=Subscription)
        except (msgspec.MsgspecError, RecursionError) as error:
            return PlainTextResponse(f"the body must be a subscription (wire.md section 3.2): {error}", 400)
        await self._source.subscribe(wanted.query_node_id, wanted.query_id, wanted.node_labels, wanted.rel_labels)
        return await self._stream(msgspec.json.encode({"nodeLabels": wanted.node_labels, "relLabels": wanted.rel_labels}))

    async def unsubscribe(self, request: Request) -> Response:
        await self._source.unsubscribe(request.path_params["node"], request.path_params["query"])
        return Response(status_code=200)

    async def deprovision(self, request: Request) -> Response:
        """The source is deleted: what it made in its origin goes."""
        await self._source.deprovision()
        return Response(status_code=204)

    async def _stream(self, body: bytes) -> Response:
        lines = await self._source.acquire(body)
        return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


def source_app(source_id: str, source: SourceFunction, *, metrics: Callable[[], Iterable[Metric]] = tuple) -> ASGIApp:
    """The application of one source that has started: health, and its routes, also below ``/sources/{id}``.

    Args:
        metrics: Of what the process stands on.
    """
    registry = registry_of(lambda: source_metrics({source_id: source.status()}), metrics)
    health = health_routes(lambda: bool(source.status().get("available")), registry)
    routes = SourceRoutes(source).routes()
    own = status_routes(source.status, source.dead_letters)
    return routes_app([*health, *own, Mount(f"/sources/{source_id}", routes=routes), *routes])
