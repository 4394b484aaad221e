"""Which part of the process answers a path. Every request comes through here, behind the guard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drasi.embedded.runtime import EmbeddedRuntime
from drasi.web.direct import routes_app
from drasi.web.push import respond
from drasi.web.query import QueryRoutes

MANAGEMENT = frozenset(("v1", "api-doc", "swagger-ui", ".well-known"))
_PAGE_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)

_log = structlog.get_logger("drasi.http")


class Router:
    """``/v1 …`` management, ``/queries/…`` and ``/{query}`` answers, ``/sources/{id}/…``, ``/reactions/{id}/…``, ``/panel/…`` of an
    example, health, and at ``/`` the example's page or the console."""

    def __init__(
        self,
        runtime: EmbeddedRuntime,
        management: ASGIApp,
        health: Sequence[BaseRoute],
        *,
        console: ASGIApp,
        page: Path | None = None,
        panel: Sequence[BaseRoute] = (),
    ) -> None:
        self._runtime = runtime
        self._management = management
        self._health = routes_app(list(health))
        self._queries = routes_app(QueryRoutes(runtime).routes())
        self._panel = routes_app([Mount("/panel", routes=list(panel))])
        self._console = console
        self._page = Starlette(routes=[Mount("/", StaticFiles(directory=page, html=True))]) if page is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first, _, rest = scope["path"][1:].partition("/")
        if first in ("sources", "reactions"):
            await self._part(first, rest, scope, receive, send)
        elif scope["type"] == "websocket":
            await (self._management if first == "v1" else _no_socket)(scope, receive, send)
        elif first in MANAGEMENT:
            await self._management(scope, receive, send)
        elif first in ("healthz", "readyz", "metrics"):
            await self._health(scope, receive, send)
        elif first == "panel":
            await self._panel(scope, receive, send)
        elif first == "console" or (self._page is None and not first):
            await self._console(scope, receive, with_headers(send))
        elif not first or "." in scope["path"]:
            await self._static(scope, receive, send)
        else:
            await self._queries(scope, receive, send)

    async def _part(self, first: str, rest: str, scope: Scope, receive: Receive, send: Send) -> None:
        name = rest.partition("/")[0]
        running = self._runtime.sources.get(name) if first == "sources" else self._runtime.reactions.get(name)
        if running is None:
            what = "Source" if first == "sources" else "Reaction"
            if scope["type"] == "websocket":
                await _no_socket(scope, receive, send)
            else:
                await respond(send, 404, f"{what} '{name}' is not here; GET /v1/{first} lists those that are".encode())
            return
        if running.stopped and scope["type"] == "http":
            await respond(send, 503, f"'{name}' is stopped; start it with POST /v1/{first}/{name}/start".encode())
            return
        root = scope.get("root_path", "") + f"/{first}/{name}"
        await running.app(
            {**scope, "root_path": root, "path": scope["path"] if rest != name else scope["path"] + "/"}, receive, send
        )

    async def _static(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._page is None:
            await respond(send, 404, b"Not Found")
        else:
            await self._page(scope, receive, with_headers(send))


def with_headers(send: Send) -> Send:
    """Adds what protects a page: it loads nothing from elsewhere, and nobody frames it."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_PAGE_HEADERS]}
        await send(message)

    return sending


async def _no_socket(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1000})
