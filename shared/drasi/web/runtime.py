"""What management asks of the rest of the system: the port between resources and the functions that run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from drasi.messages.control import ControlMessage
from drasi.messages.reading import QueryReader
from drasi.resources.resource import Resource, Settings


class Runtime(Protocol):
    """Runs sources, containers, queries and reactions somewhere: in this process, or on Kubernetes.

    Management stores a resource first and calls ``ensure`` afterwards; after a restart it calls ``ensure`` again for everything
    stored, in the order providers, containers, sources, queries, reactions. So every call may repeat, and must then change nothing.
    """

    @property
    def reader(self) -> QueryReader:
        """View and tail of every query."""
        ...

    async def ensure(self, resource: Resource, settings: Settings | None) -> None:
        """Makes it so that ``resource`` runs as its spec says, and returns once that is under way (slow work shows in the status).

        * QueryContainer: its log is opened and its ``{name}-control`` subscription is there.
        * Source: an instance of ``settings.kind`` with ``settings.properties`` runs, or restarts at its position if they changed.
        * ContinuousQuery: its container has subscriptions to the ``{source}-change`` topics of ``spec.sources.subscriptions``, also
          of sources that are not there yet. Management sends the ``configure`` message itself, with ``control``, right afterwards.
        * Reaction: an instance runs, with ``settings.queries``.

        ``settings`` is None for queries and containers. Where ``resource.stopped`` is set, a source or reaction is made but does
        not run.

        Raises:
            DrasiError: It cannot be done; ``message`` goes to the user.
        """
        ...

    async def remove(self, resource: Resource, *, force: bool = False) -> None:
        """Takes it away with its state; what is not there is no error.

        A source is deprovisioned (retried until it succeeds; with ``force`` the containers also drop its elements), a reaction
        loses its subscriptions and state, a container its log. Management has sent a query's ``delete`` message before.
        """
        ...

    async def status(self, kind: str, name: str) -> Mapping[str, Any]:
        """The status as cli-and-api.md section 6 names its fields, as far as they are known; empty if nothing of it runs yet.

        Sources and reactions: ``available``, ``messages`` …; containers: ``available``, ``messages``, ``entry`` …;
        queries: ``status``, ``container``, ``hostName``, ``errorMessage``, ``sequence``, ``rows``, ``bootstrap``, ``rowErrors`` …
        """
        ...

    async def errors(self, kind: str, name: str) -> Sequence[Mapping[str, Any]]:
        """Row errors of a query (``{"type", "detail", "message", "elements", "since"}``) and dead letters of anything
        (``{"id", "error", "position", "at", …}``, without secrets); ``"what"`` says which: ``rowError`` or ``deadLetter``."""
        ...

    async def control(self, container: str, message: ControlMessage) -> None:
        """Publishes ``message`` on ``{container}-control``; returns when the bus holds it durably."""
        ...

    async def explain(self, container: str, query: str) -> str:
        """The plan of a running query as text."""
        ...
