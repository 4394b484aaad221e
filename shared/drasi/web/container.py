"""How a query container and its queries are, and its end: what management asks of the query function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from drasi.web.standing import as_json, status_routes
from drasi.web.stores import Stores


def container_routes(container: Stores) -> list[BaseRoute]:
    """The routes of one container that has started."""

    async def dead_letters() -> Sequence[Mapping[str, Any]]:
        await container.refresh()
        return [letter for machine in container.machines.values() for letter in machine.dead_letters()]

    async def query_status(request: Request) -> Response:
        query = request.path_params["id"]
        await container.refresh()
        return as_json(container.machine_of(query).query_status(query))

    async def row_errors(request: Request) -> Response:
        query = request.path_params["id"]
        await container.refresh()
        return as_json(container.machine_of(query).row_errors(query))

    async def explain(request: Request) -> Response:
        query = request.path_params["id"]
        await container.refresh()
        return PlainTextResponse(container.machine_of(query).explain(query))

    async def deprovision(request: Request) -> Response:
        """The container is deleted: it stops, and its logs go."""
        await container.delete()
        return Response(status_code=204)

    return [
        *status_routes(container.status, dead_letters),
        Route("/deprovision", deprovision, methods=["POST"]),
        Route("/queries/{id}/status", query_status),
        Route("/queries/{id}/errors", row_errors),
        Route("/queries/{id}/explain", explain),
    ]
