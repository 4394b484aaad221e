"""The scope that each path of each function needs (cli-and-api.md section 7). What is not named here needs ``admin``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from starlette.types import Scope

from drasi.auth import scopes
from drasi.web.authentication import SIGNED, Needed, Needs

ANYONE: Final = Needed()
ADMIN: Final = Needed((scopes.ADMIN,))
READ: Final = Needed((scopes.RESOURCE_READ,))
WRITE: Final = Needed((scopes.RESOURCE_WRITE,))
SECRETS: Final = Needed((scopes.SECRET_WRITE,))
DEBUG: Final = Needed((scopes.QUERY_DEBUG,))

Reads = Callable[[str, bytes], Collection[str] | None]
"""Of a reaction: path below it and query string → the queries whose rows the answer may hold; None: all of the reaction's."""

_READING: Final = ("GET", "HEAD")
_STANDING: Final = ("/metrics", "/status", "/dead-letters")
"""How a function is: of no one query."""


def management(scope: Scope) -> Needed:
    """Of ``/v1``, the description of the API and its page."""
    parts = _parts(scope["path"])
    if parts[:1] != ["v1"]:
        return ANYONE if parts[:1] in (["api-doc"], ["swagger-ui"]) and _reads(scope) else ADMIN
    if scope["type"] == "websocket":
        return DEBUG if parts == ["v1", "debug"] else ADMIN
    part = parts[1] if len(parts) > 1 else ""
    if part in ("tokens", "keys"):
        return ADMIN
    if part == "secrets":
        return SECRETS
    if part == "continuousQueries" and len(parts) == 4 and parts[3] in ("rows", "events", "watch"):
        return _query(parts[2].partition(":")[0])
    if _reads(scope) or parts == ["v1", "validate"]:
        return READ
    return WRITE


def query(container: str) -> Needs:
    """Of the query function of a container."""

    def needs(scope: Scope) -> Needed:
        if scope["type"] == "http" and scope["method"] == "POST":
            return Needed((f"{scopes.QUERY_DELIVER}:{container}",)) if scope["path"] in ("/changes", "/control") else ADMIN
        return READ if scope["path"] in _STANDING else answers(scope)

    return needs


def answers(scope: Scope) -> Needed:
    """Of views and tails: ``/queries/{id}``, ``/queries/{id}/events``, ``/{id}``."""
    parts = _parts(scope["path"])
    if not _reads(scope):
        return ADMIN
    if parts[:1] == ["queries"] and (len(parts) == 2 or parts[2:] == ["events"]):
        return _query(parts[1])
    return _query(parts[0]) if len(parts) == 1 else ADMIN


def source(name: str, signed: Callable[[], Collection[str]] = tuple) -> Needs:
    """Of the source function of a source, also below ``/sources/{name}``.

    Args:
        signed: Routes that look at signatures instead of tokens.
    """
    read, publish = Needed((f"{scopes.SOURCE_READ}:{name}",)), Needed((f"{scopes.SOURCE_PUBLISH}:{name}",))

    def needs(scope: Scope) -> Needed:
        path = _below(scope["path"], f"/sources/{name}")
        if path == "/metrics" and _reads(scope):
            return READ
        if scope["type"] == "http" and scope["method"] == "POST" and path in signed():
            return SIGNED
        if path in ("/acquire-stream", "/supports-stream", "/subscription") or path.startswith("/subscription/"):
            return read
        if path == "/deprovision":
            return WRITE
        return publish if scope["type"] == "http" and not _reads(scope) else ADMIN

    return needs


def reaction(name: str, queries: Collection[str], reads: Reads) -> Needs:
    """Of the reaction function of a reaction, also below ``/reactions/{name}``: who may read its queries may read it."""
    deliver = Needed((f"{scopes.REACTION_DELIVER}:{name}",))

    def needs(scope: Scope) -> Needed:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in ("/", "/results"):
            return deliver
        if scope["path"] in _STANDING:
            return READ if _reads(scope) else ADMIN
        if scope["path"] == "/deprovision":
            return WRITE
        return rows(queries, reads(_below(scope["path"], f"/reactions/{name}"), scope.get("query_string", b"")))

    return needs


def rows(queries: Collection[str], wanted: Collection[str] | None) -> Needed:
    """Of an answer with rows of ``wanted`` (None: all of ``queries``); with none, whoever may read any of them may have it.
    A reaction without queries has nothing that anybody could have been allowed."""
    names = queries if wanted is None else wanted
    if names:
        return Needed(tuple(_of_queries(names)))
    return Needed(some=tuple(_of_queries(queries))) if queries else ADMIN


def _query(name: str) -> Needed:
    return Needed((f"{scopes.QUERY_READ}:{name}",))


def _of_queries(names: Iterable[str]) -> Iterable[str]:
    return (f"{scopes.QUERY_READ}:{name}" for name in names)


def _reads(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] in _READING


def _parts(path: str) -> list[str]:
    return path[1:].removesuffix("/").split("/")


def _below(path: str, prefix: str) -> str:
    return path.removeprefix(prefix) if path == prefix or path.startswith(prefix + "/") else path
