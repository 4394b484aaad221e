"""How a function is: its status and its dead letters, which management reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


def status_routes(
    status: Callable[[], Mapping[str, Any]], dead_letters: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
) -> list[BaseRoute]:
    """``/status`` and ``/dead-letters``."""

    async def show_status(request: Request) -> Response:
        return as_json(status())

    async def show_dead_letters(request: Request) -> Response:
        return as_json(await dead_letters())

    return [Route("/status", show_status), Route("/dead-letters", show_dead_letters)]


def as_json(value: Any) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(value), media_type="application/json", headers={"Cache-Control": "no-store"})
