"""A function that does nothing: what the platform's convention costs by itself."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

_taken = 0


@functions_framework.aio.http
async def empty(request: Request) -> Response:
    """Takes what is posted; ``GET`` says how often."""
    global _taken
    if request.method == "POST":
        _taken += 1
        return Response(status_code=204)
    return Response(str(_taken))
