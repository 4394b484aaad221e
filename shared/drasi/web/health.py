"""``/healthz``, ``/readyz`` and ``/metrics``, the same in every function."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


def health_routes(ready: Callable[[], bool], registry: CollectorRegistry) -> list[BaseRoute]:
    """The three routes: the process lives, it can do its work, what it has done."""

    async def healthz(request: Request) -> Response:
        return Response(status_code=200)

    async def readyz(request: Request) -> Response:
        return Response(status_code=200 if ready() else 503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
