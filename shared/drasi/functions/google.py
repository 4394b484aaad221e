"""Parts in Firestore and Pub/Sub. The one module of the functions that imports Google's clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

import structlog
from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp

from drasi.bus.endpoint import Endpoints
from drasi.bus.port import Deliver
from drasi.bus.presence import BusPresence, Marker
from drasi.bus.pubsub import PubSubBus
from drasi.bus.pubsub_client import PubSubClient
from drasi.environment import Environment
from drasi.errors import DrasiError
from drasi.firestore.client import FirestoreClient
from drasi.firestore.metering import Meter
from drasi.firestore.presence import Presence
from drasi.functions.watched import Watched, told
from drasi.log.firestore_logs import FirestoreLogs
from drasi.reactions.firestore_state import FirestoreState as FirestoreReactionState
from drasi.reactions.state import ReactionState
from drasi.resources.store import ResourceStore
from drasi.resources.store_firestore import FirestoreResourceStore
from drasi.sources.firestore_state import FirestoreState as FirestoreSourceState
from drasi.sources.port import State
from drasi.web.metrics import firestore_metrics, pubsub_metrics
from drasi.web.stores import Logs

_log = structlog.get_logger("drasi.function")


class GoogleParts:
    """See ``Parts``: Google's own, or the emulators that the environment names.

    Args:
        endpoints: Where subscriptions that this process makes are pushed to: it is management, which makes Pub/Sub anew when it
            came back empty. None: it makes none.

    Attributes:
        presence: Whether what is remembered is there.
        marker: Whether Pub/Sub has what management made there.
    """

    def __init__(self, environment: Environment, endpoints: Endpoints | None = None) -> None:
        project, variables = environment.project, environment.variables
        database = variables.get("DRASI_DATABASE") or "(default)"
        self._meter = Meter()
        self._firestore = FirestoreClient.of(project, variables, database=database, interceptors=self._meter.interceptors())
        pubsub = PubSubClient.of(project, variables)
        self.presence = Presence(self._firestore, lost=self._lost)
        self.marker = Marker(pubsub)
        # Pub/Sub itself forgets nothing; its emulator does.
        watching = endpoints is None and pubsub.emulator is not None
        self._heard = BusPresence(self.marker, lost=_said, back=self._came_back) if watching else None
        self._bus = PubSubBus(pubsub, endpoints, missing=self._heard.sure if self._heard is not None else None)
        self._end: Callable[[], Awaitable[None]] | None = None
        self._back: Callable[[], None] = _nothing
        self._ending: asyncio.Task[None] | None = None
        self.logs: Logs = FirestoreLogs(self._firestore, keep_s=environment.number("DRASI_LOG_KEEP_S"))

    async def begin(self) -> None:
        """Finds what is remembered.

        Raises:
            FirestoreUnavailable
        """
        await self.presence.start()
        if self._heard is not None:
            self._heard.start()

    def watched(
        self,
        app: ASGIApp,
        end: Callable[[], Awaitable[None]],
        back: Callable[[], None] = lambda: None,
        *,
        troubles: Callable[[], Mapping[str, str]] | None = None,
    ) -> ASGIApp:
        """See ``Parts``.

        Args:
            troubles: More that is wrong at the moment, of an application without ``/status``.
        """
        self._end, self._back = end, back
        if self.presence.problem is not None:
            self._stop()

        def all_troubles() -> Mapping[str, str]:
            return {**self._troubles(), **(troubles() if troubles is not None else {})}

        return Watched(app, lambda: self.presence.problem, all_troubles, own_status=troubles is not None)

    def _troubles(self) -> dict[str, str]:
        heard = (self._heard.problem, self._heard.trouble) if self._heard is not None else ()
        return {error.code: told(error) for error in (self.presence.trouble, *heard) if error is not None}

    def _lost(self, problem: DrasiError) -> None:
        _said(problem)
        self._stop()

    def _stop(self) -> None:
        if self._end is not None and self._ending is None:
            self._ending = asyncio.create_task(_ended(self._end), name="end")

    def _came_back(self) -> None:
        _log.info("Pub/Sub is made anew")
        self._back()

    async def bus(self) -> PubSubBus:
        return self._bus

    def attend(self, deliver: Deliver) -> Deliver:
        return self._bus.attend(deliver)

    async def hears(self, subscription: str, topic: str, labels: Collection[str] | None) -> bool:
        return await self._bus.hears(subscription, topic, labels)

    async def source_state(self, name: str) -> State:
        return FirestoreSourceState(self._firestore, name)

    async def reaction_state(self, name: str) -> ReactionState:
        return FirestoreReactionState(self._firestore, name)

    async def resources(self) -> ResourceStore:
        return FirestoreResourceStore(self._firestore)

    def metrics(self) -> Iterable[Metric]:
        yield from firestore_metrics(self._meter)
        yield from pubsub_metrics(self._bus.meter)

    async def close(self) -> None:
        await self.presence.close()
        if self._heard is not None:
            await self._heard.close()
        await self._bus.close()
        await self._firestore.close()


def _said(problem: DrasiError) -> None:
    _log.error(f"{problem.code}: {told(problem)}")


def _nothing() -> None:
    return


async def _ended(end: Callable[[], Awaitable[None]]) -> None:
    try:
        await end()
    except Exception:
        _log.exception("what this function does by itself did not end well")
