"""Where the token of a request is, and where it must not be."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import unquote_plus

from starlette.requests import cookie_parser
from starlette.types import Scope

COOKIE: Final = "drasi_token"
PARAMETER: Final = "access_token"


def token_of(scope: Scope, *, pushed: Collection[str] = ()) -> str | None:
    """The token of a request, or None.

    ``Authorization: Bearer``; a browser's cookie; and the parameter ``access_token`` where a header cannot be sent: WebSockets and
    server-sent events, and pushes of Pub/Sub's emulator to the paths ``pushed``. A header that is there counts, whatever it holds.
    The parameter is taken out of the scope, so that nothing behind can log it.
    """
    parameters = take_parameter(scope)
    credentials: list[str] = []
    cookies: list[str] = []
    accepts = ""
    for name, value in scope["headers"]:
        if name == b"authorization":
            credentials.append(value.decode("latin-1"))
        elif name == b"cookie":
            cookies.append(value.decode("latin-1"))
        elif name == b"accept":
            accepts = value.decode("latin-1").lower()
    if credentials:
        scheme, _, token = credentials[0].partition(" ")
        return token.strip() if len(credentials) == 1 and scheme.lower() == "bearer" else ""
    if len(parameters) == 1 and _may_have_parameter(scope, accepts, pushed):
        return parameters[0]
    for cookie in cookies:
        found = cookie_parser(cookie).get(COOKIE)
        if found is not None:
            return found
    return None


def take_parameter(scope: Scope) -> list[str]:
    """Removes every ``access_token`` from the query of the scope, and returns their values."""
    query: bytes = scope.get("query_string", b"")
    if not query:
        return []
    found = []
    kept = []
    for part in query.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        if unquote_plus(name) == PARAMETER:
            found.append(unquote_plus(value))
        else:
            kept.append(part)
    if found:
        scope["query_string"] = "&".join(kept).encode("latin-1")
    return found


def _may_have_parameter(scope: Scope, accepts: str, pushed: Collection[str]) -> bool:
    if scope["type"] == "websocket":
        return True
    if scope["method"] == "GET":
        return "text/event-stream" in accepts
    return scope["method"] == "POST" and scope["path"] in pushed
