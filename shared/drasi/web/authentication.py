"""Whose request it is: the token found and verified, and what the bearer may do held against what the path needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.auth.principal import Principal
from drasi.auth.scopes import grants, is_scope
from drasi.auth.verify import InvalidToken, Verifier
from drasi.web.bearer import take_parameter, token_of
from drasi.web.refusal import InsufficientScope, Unauthorized, refuse

OPEN: Final = frozenset({"/healthz", "/readyz", "/.well-known/jwks.json"})
"""The only paths that need no token."""
_OF_SOURCE: Final = re.compile(r"/sources/[^/]+/")

PRINCIPAL: Final = "drasi.principal"
SUBJECT: Final = "drasi.subject"


@dataclass(frozen=True, slots=True)
class Needed:
    """Scopes that a request needs: each of ``every``, and one of ``some`` if there are any. Nothing: any valid token will do.

    Attributes:
        signature: No token is needed: the route itself looks at the request's signature.
    """

    every: tuple[str, ...] = ()
    some: tuple[str, ...] = ()
    signature: bool = False


SIGNED: Final = Needed(signature=True)


Needs = Callable[[Scope], Needed]
"""From a request to what it needs. What it does not know needs ``admin``."""


def is_open(scope: Scope) -> bool:
    """Whether the request needs no token."""
    return scope["type"] == "http" and scope["path"] in OPEN and scope["method"] in ("GET", "HEAD")


def shows_signature(scope: Scope) -> bool:
    """Whether a request shows a signature where a source may ask for one. That it is good, nobody has seen yet."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    path = scope["path"]
    if path != "/" and not _OF_SOURCE.fullmatch(path):
        return False
    return any(name == b"webhook-signature" for name, _ in scope["headers"])


class Authentication:
    """Verifies the token of each request (an ``Authorize`` of the guard).

    Args:
        verifier: Knows whom to believe.
        hint: What a person does who has no token.
        pushed: Paths to which Pub/Sub's emulator pushes, which sends no OIDC token: there a parameter may hold one.
        signed: Whether a request without a token may show a signature instead. ``Permitted`` then refuses it wherever no route
            looks at signatures.
    """

    def __init__(self, verifier: Verifier, *, hint: str, pushed: Collection[str] = (), signed: bool = False) -> None:
        self._verifier = verifier
        self._hint = hint
        self._pushed = frozenset(pushed)
        self._signed = signed

    async def __call__(self, scope: Scope) -> None:
        scope.pop(PRINCIPAL, None)
        if is_open(scope):
            take_parameter(scope)
            return
        token = token_of(scope, pushed=self._pushed)
        if token is None and self._signed and shows_signature(scope):
            return
        if not token:
            raise Unauthorized(self._hint)
        try:
            principal = await self._verifier.verify(token)
        except InvalidToken:
            raise Unauthorized(self._hint) from None
        scope[PRINCIPAL] = principal
        scope[SUBJECT] = principal.subject


class Permitted:
    """Lets through what the bearer's scopes allow. Behind the guard; a request that nobody authenticated is refused."""

    def __init__(self, app: ASGIApp, needs: Needs, *, hint: str = "") -> None:
        self._app = app
        self._needs = needs
        self._hint = hint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not is_open(scope):
            principal = scope.get(PRINCIPAL)
            if shows_signature(scope) and self._needs(scope).signature:
                await self._app(scope, receive, send)
                return
            if not isinstance(principal, Principal):
                await refuse(scope, receive, send, Unauthorized(self._hint))
                return
            missing = lacking(principal, self._needs(scope))
            if missing is not None:
                await refuse(scope, receive, send, InsufficientScope(missing))
                return
        await self._app(scope, receive, send)


def lacking(principal: Principal, needed: Needed) -> str | None:
    """The scopes that the bearer lacks, as a challenge names them; None: nothing."""
    missing = [scope for scope in needed.every if not grants(principal.scopes, scope)]
    if not missing and needed.some and not any(grants(principal.scopes, scope) for scope in needed.some):
        missing = [needed.some[0]]
    if not missing:
        return None
    # A name out of a path may be anything; only what is a scope goes into a header.
    return " ".join(scope for scope in missing if is_scope(scope))
