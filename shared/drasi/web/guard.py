"""The one place that every request passes: where it may come from now, and where its token will be checked.

A process that listens on a loopback address can be reached from any page that a browser of the same machine shows: by a name that
resolves to 127.0.0.1 (so ``Host`` is looked at), or by a form that a foreign page sends (so ``Origin`` is looked at).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.errors import DrasiError
from drasi.web.problems import problem

Authorize = Callable[[Scope], Awaitable[None]]
"""Checks the token of one request; raises Forbidden."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Forbidden(DrasiError):
    code = "Forbidden"


async def allow_all(scope: Scope) -> None:
    """No tokens yet: whoever reaches the loopback address may do everything."""


class Guard:
    """Refuses a ``Host`` that is not loopback, and writing requests (and WebSockets) with a foreign ``Origin``."""

    def __init__(self, app: ASGIApp, *, loopback_only: bool = True, authorize: Authorize = allow_all) -> None:
        self._app = app
        self._loopback_only = loopback_only
        self._authorize = authorize

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
            await self._authorize(scope)
        except Forbidden as error:
            await _refuse(scope, receive, send, error)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        # One pass over the raw headers: this is on the way of every pushed change.
        hosts: list[bytes] = []
        origin: str | None = None
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origin = value.decode("latin-1")
        host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        if self._loopback_only and not is_loopback(host):
            raise Forbidden(f"requests for host '{host}' are refused", hint="use http://127.0.0.1 or http://localhost")
        writing = scope["type"] == "websocket" or scope["method"] not in _READING
        if writing and origin is not None and _authority(origin) != _authority(f"{scope.get('scheme', 'http')}://{host}"):
            raise Forbidden(f"writing requests from pages of '{origin}' are refused", hint="open the page on this address")


@lru_cache(maxsize=1_024)
def is_loopback(host: str) -> bool:
    """Whether a ``Host`` header names this machine's loopback."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _authority(url: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname.lower(), port or _DEFAULT_PORTS.get(parts.scheme)


async def _refuse(scope: Scope, receive: Receive, send: Send, error: Forbidden) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": error.message[:120]})
        return
    response = problem(Request(scope), 403, error.code, error.message, hint=error.hint)
    await response(scope, receive, send)
