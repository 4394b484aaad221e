"""Routes without parameters found by one look-up, in front of the router: what is posted to thousands of times a second."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.errors import DrasiError
from drasi.web.answers import answer_error, on_drasi_error

Endpoint = Callable[[Request], Awaitable[Response]]


class DirectRoutes:
    """Answers exact paths itself and leaves the rest, and what is odd, to ``app``. An exact path goes before a pattern."""

    def __init__(self, routes: Sequence[BaseRoute], app: ASGIApp) -> None:
        self._app = app
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        for route in routes:
            if isinstance(route, Route) and not route.param_convertors and inspect.iscoroutinefunction(route.endpoint):
                for method in route.methods or ():
                    self._endpoints.setdefault((method, route.path), route.endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            endpoint = self._endpoints.get((scope["method"], scope["path"].removeprefix(scope.get("root_path", ""))))
            if endpoint is not None:
                try:
                    response = await endpoint(Request(scope, receive, send))
                except DrasiError as error:
                    response = answer_error(error)
                except HTTPException as error:
                    response = PlainTextResponse(error.detail, error.status_code, headers=error.headers)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def routes_app(routes: Sequence[BaseRoute]) -> ASGIApp:
    """An application of these routes, with the library's errors as answers."""
    return DirectRoutes(routes, Starlette(routes=list(routes), exception_handlers={DrasiError: on_drasi_error}))
