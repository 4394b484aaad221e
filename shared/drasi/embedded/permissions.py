"""What each path of the embedded system needs: the functions' own rules, chosen as ``router`` chooses the part that answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from starlette.types import Scope

from drasi.embedded.router import MANAGEMENT
from drasi.embedded.runtime import RunningReaction, RunningSource
from drasi.web import permissions
from drasi.web.authentication import Needed, Needs
from drasi.web.permissions import ADMIN, ANYONE, READ, WRITE


class Running(Protocol):
    """What runs, by name."""

    @property
    def reactions(self) -> Mapping[str, RunningReaction]: ...

    @property
    def sources(self) -> Mapping[str, RunningSource]: ...


def needs_of(running: Running, *, page: bool) -> Needs:
    """The rules of a system in which ``running`` runs.

    Args:
        page: Whether there is an example's page at ``/``, in place of the console.
    """

    def needs(scope: Scope) -> Needed:
        first, _, rest = scope["path"][1:].partition("/")
        reading = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if first == "sources":
            name = rest.partition("/")[0]
            source = running.sources.get(name)
            return permissions.source(name, source.function.signed if source is not None else tuple)(scope)
        if first == "reactions":
            return _reaction(running.reactions, rest, scope)
        if first in MANAGEMENT or scope["type"] == "websocket":
            return permissions.management(scope)
        if first in ("metrics", "console") or not (first or page):
            return READ if reading else ADMIN
        if first == "panel":
            return READ if reading else WRITE
        if not first or "." in scope["path"]:
            return ANYONE if reading else ADMIN
        return permissions.answers(scope)

    return needs


def _reaction(reactions: Mapping[str, RunningReaction], rest: str, scope: Scope) -> Needed:
    name, _, path = rest.partition("/")
    running = reactions.get(name)
    if running is None:
        return READ
    reads = running.function.reads
    wanted: Collection[str] | None = reads("/" + path, scope.get("query_string", b""))
    return permissions.rows(list(running.settings.queries), wanted)
