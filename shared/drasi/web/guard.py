"""The one place that every request passes: where it may come from, and whose token it has.

A process that listens on a loopback address can be reached from any page that a browser of the same machine shows: by a name that
resolves to 127.0.0.1 (so ``Host`` is looked at), or by a form that a foreign page sends (so ``Origin`` is looked at).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.errors import DrasiError
from drasi.web.refusal import Forbidden, Refusal, Unauthorized, refuse

Authorize = Callable[[Scope], Awaitable[None]]
"""Checks the token of one request and says in the scope whose it is; raises Refusal, or another DrasiError if it cannot now."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_log = structlog.get_logger("drasi.guard")


async def allow_all(scope: Scope) -> None:
    """No tokens: whoever reaches the loopback address may do everything."""


class Guard:
    """Refuses a ``Host`` that is not loopback, writing requests (and WebSockets) with a foreign ``Origin``, and wrong tokens.

    Args:
        app: Gets what passes.
        loopback_only: Whether ``Host`` must be loopback.
        authorize: Checks tokens. Without it, only what comes to a loopback address is answered.
        page: What a browser is shown that has no token.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        loopback_only: bool = True,
        authorize: Authorize = allow_all,
        page: Callable[[Scope], Response] | None = None,
    ) -> None:
        self._app = app
        self._loopback_only = loopback_only
        self._authorize = authorize
        self._open = authorize is allow_all
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
            await self._authorize(scope)
        except DrasiError as error:
            if not isinstance(error, Refusal):
                _log.warning("a token cannot be checked", code=error.code, error=error.message, hint=error.hint)
            shown = isinstance(error, Unauthorized) and self._page is not None and _wants_page(scope)
            page = self._page(scope) if shown and self._page is not None else None
            await refuse(scope, receive, send, error, page=page)
            return
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            # It went in the middle of its body: nothing was done, and nobody waits for an answer.
            return

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
        if self._open and not _comes_in_on_loopback(scope):
            raise Forbidden("tokens are not checked here, so only a loopback address is answered", hint="let tokens be checked")
        writing = scope["type"] == "websocket" or scope["method"] not in _READING
        if writing and origin is not None and not _is_own(origin, host):
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


@lru_cache(maxsize=64)
def _is_loopback_address(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True  # no address: a socket in the file system, an application called in the same process


def _comes_in_on_loopback(scope: Scope) -> bool:
    server = scope.get("server")
    return server is None or _is_loopback_address(server[0])


def _wants_page(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _is_own(origin: str, host: str) -> bool:
    """Whether a page is of the host that is asked. Its scheme may be another: whoever ends TLS in front of us speaks http here."""
    page = _authority(origin)
    return page is not None and page == _authority(f"{origin.partition(':')[0]}://{host}")


def _authority(url: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname.lower(), port or _DEFAULT_PORTS.get(parts.scheme)


__all__ = ["Authorize", "Forbidden", "Guard", "allow_all", "is_loopback"]
