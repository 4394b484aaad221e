"""How a browser gets in: the token in the page's address becomes a cookie, and leaves the address bar.

``/sign-in#token=…``: what stands behind ``#`` is never sent, so no log and no referrer has it. The page sends it once, as a header,
to ``POST /sign-in``, whose answer sets the cookie. Whoever asks for a page without a token is shown the same one, with status 401.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import time
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.auth.principal import Principal
from drasi.web.authentication import PRINCIPAL
from drasi.web.bearer import COOKIE, token_of

PATH: Final = "/sign-in"
_TEMPLATE: Final = (Path(__file__).parent / "pages" / "sign_in.html").read_text(encoding="utf-8")


def _hash_of(tag: str) -> str:
    match = re.search(rf"<{tag}>(.*?)</{tag}>", _TEMPLATE, re.DOTALL)
    assert match is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()}'"


_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {_hash_of('script')}; style-src {_hash_of('style')}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def address_with(address: str, token: str) -> str:
    """The address that lets a browser in at ``address``."""
    return f"{address}{PATH}#token={token}"


class SignIn:
    """Answers ``/sign-in``: GET the page, POST sets the cookie, DELETE takes it away. Behind the guard, which has seen the token.

    Args:
        app: Gets everything else.
        where: One sentence that says where a person finds the token.
    """

    def __init__(self, app: ASGIApp, where: str) -> None:
        self._app = app
        self._where = where

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH:
            await self._answer(Request(scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def page(self, scope: Scope, status: int = 401) -> Response:
        """The page for a browser without a token."""
        return HTMLResponse(_TEMPLATE.replace("{{where}}", html.escape(self._where)), status, headers=_HEADERS)

    def _answer(self, request: Request) -> Response:
        principal: Principal = request.scope[PRINCIPAL]
        # Whoever ends TLS in front of us speaks http to us; the page knows better. The guard has seen that it is ours.
        secure = "https" in (request.url.scheme, request.headers.get("origin", "").partition(":")[0])
        if request.method == "POST":
            response = Response(status_code=204, headers={"Cache-Control": "no-store"})
            token = token_of(request.scope) or ""
            age = max(0, principal.expires - int(time.time()))
            response.set_cookie(COOKIE, token, max_age=age, secure=secure, httponly=True, samesite="strict")
            return response
        if request.method == "DELETE":
            response = Response(status_code=204)
            response.delete_cookie(COOKIE, secure=secure, httponly=True, samesite="strict")
            return response
        if request.method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={"Allow": "GET, HEAD, POST, DELETE"})
        if "text/html" in request.headers.get("accept", ""):
            return self.page(request.scope, 200)
        shown = {"subject": principal.subject, "scope": " ".join(sorted(principal.scopes)), "expires": principal.expires}
        return Response(msgspec.json.encode(shown), media_type="application/json", headers={"Cache-Control": "no-store"})
