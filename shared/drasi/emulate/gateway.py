"""One address for browsers and the command line: each path is handed to the function that answers it, as an Ingress does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.auth.verify import Verifier
from drasi.embedded.router import MANAGEMENT, with_headers
from drasi.emulate.sockets import forward_socket
from drasi.web.access import protected
from drasi.web.authentication import SIGNED, Needed, Permitted, shows_signature
from drasi.web.bearer import token_of
from drasi.web.direct import routes_app
from drasi.web.guard import Guard
from drasi.web.permissions import ANYONE, READ, WRITE

Locate = Callable[[str, str], str | None]
"""From (``source``, ``reaction``, ``query`` or ``management``, name) to the URL of its function; None: there is none."""

_OF_MANAGEMENT: Final = MANAGEMENT | {"console", "healthz", "readyz", "metrics"}
_FUNCTIONS: Final = _OF_MANAGEMENT | {"queries", "sources", "reactions"}
_CONNECT_S: Final = 5.0
_TOKEN: Final = "drasi.token"  # noqa: S105 -- a key of the scope
_OF_ONE_CONNECTION: Final = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding", "upgrade")
)


class Gateway:
    """``/v1 …`` and the console go to management, ``/queries/…`` and ``/{query}`` to the query's container, ``/sources/{id}/…`` and
    ``/reactions/{id}/…`` to their functions; ``/panel`` and ``/`` are the example's own.

    Args:
        locate: Where functions are.
        client: Closed by the caller.
        page: Static files served at ``/``; None: the console.
        panel: Routes of an example, below ``/panel``.
    """

    def __init__(
        self, locate: Locate, client: httpx.AsyncClient, *, page: Path | None = None, panel: Sequence[BaseRoute] = ()
    ) -> None:
        self._locate = locate
        self._client = client
        self._panel = routes_app([Mount("/panel", routes=list(panel))])
        self._page = Starlette(routes=[Mount("/", StaticFiles(directory=page, html=True))]) if page is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first, _, rest = scope["path"][1:].partition("/")
        if scope["type"] == "websocket":
            url = self._located(first, rest)
            if url is None or first == "panel":
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": "nothing here is called so"})
            else:
                await forward_socket(url, scope.get(_TOKEN), scope, receive, send)
        elif first == "panel":
            await self._panel(scope, receive, send)
        elif self._page is not None and first not in _FUNCTIONS and (not first or "." in scope["path"]):
            await self._page(scope, receive, with_headers(send))
        else:
            answer = await self._answer(first, rest, Request(scope, receive))
            await answer(scope, receive, send)

    def _located(self, first: str, rest: str) -> str | None:
        """The URL of the function that answers a path; None: there is none."""
        name = rest.partition("/")[0]
        if first in ("sources", "reactions"):
            return self._locate(first.removesuffix("s"), name)
        if not first or first in _OF_MANAGEMENT:
            return self._locate("management", "management")
        return self._locate("query", name if first == "queries" else first)

    async def _answer(self, first: str, rest: str, request: Request) -> Response:
        url = self._located(first, rest)
        if url is None:
            name = rest.partition("/")[0] if first in ("sources", "reactions", "queries") else first
            return PlainTextResponse(f"nothing here is called '{name}'", 404)
        return await self._forward(url, request)

    async def _forward(self, url: str, request: Request) -> Response:
        headers = [(name, value) for name, value in request.headers.raw if name.decode().lower() not in _OF_ONE_CONNECTION]
        token = request.scope.get(_TOKEN)
        if token:
            # The guard takes it out of the address, and the function looks at it as well.
            headers = [(name, value) for name, value in headers if name.lower() != b"authorization"]
            headers.append((b"authorization", f"Bearer {token}".encode("latin-1")))
        query = f"?{request.url.query}" if request.url.query else ""
        asked = self._client.build_request(
            request.method,
            f"{url}{request.url.path}{query}",
            headers=headers,
            content=await request.body(),
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
        )
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.HTTPError as error:
            return PlainTextResponse(f"its function does not answer ({type(error).__name__}); it is being started", 503)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        return StreamingResponse(_pieces(answer), answer.status_code, headers=kept)


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    except httpx.HTTPError:
        # The function died; the reader sees the end and asks again.
        return
    finally:
        await answer.aclose()


def gateway_app(gateway: Gateway, verifier: Verifier | None, where: str) -> ASGIApp:
    """The gateway behind the guard of a loopback address. The functions check tokens themselves; here they are checked for what is
    not theirs.

    Args:
        verifier: Knows whom to believe; None: no token is checked.
        where: One sentence: where a person finds a token.
    """
    if verifier is None:
        return Guard(gateway)
    guarded = protected(Permitted(gateway, _needs, hint=where), verifier, where=where, loopback_only=True, signed=True)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = {**scope, _TOKEN: token_of(dict(scope))}
        await guarded(scope, receive, send)

    return app


def _needs(scope: Scope) -> Needed:
    if scope["type"] == "http" and (scope["path"] + "/").startswith("/panel/"):
        return READ if scope["method"] in ("GET", "HEAD") else WRITE
    # Whether the source looks at signatures, its function knows.
    return SIGNED if shows_signature(scope) and scope["path"] != "/" else ANYONE
