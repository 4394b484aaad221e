"""Parts in Firestore and Pub/Sub. The one module of the functions that imports Google's clients."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from prometheus_client.metrics_core import Metric

from drasi.bus.endpoint import Endpoints
from drasi.bus.port import Deliver
from drasi.bus.pubsub import PubSubBus
from drasi.bus.pubsub_client import PubSubClient
from drasi.environment import Environment
from drasi.firestore.client import FirestoreClient
from drasi.firestore.metering import Meter
from drasi.log.firestore_logs import FirestoreLogs
from drasi.reactions.firestore_state import FirestoreState as FirestoreReactionState
from drasi.reactions.state import ReactionState
from drasi.resources.store import ResourceStore
from drasi.resources.store_firestore import FirestoreResourceStore
from drasi.sources.firestore_state import FirestoreState as FirestoreSourceState
from drasi.sources.port import State
from drasi.web.metrics import firestore_metrics, pubsub_metrics
from drasi.web.stores import Logs


class GoogleParts:
    """See ``Parts``: Google's own, or the emulators that the environment names.

    Args:
        endpoints: Where subscriptions that this process makes are pushed to; None: it makes none.
    """

    def __init__(self, environment: Environment, endpoints: Endpoints | None = None) -> None:
        project, variables = environment.project, environment.variables
        database = variables.get("DRASI_DATABASE") or "(default)"
        self._meter = Meter()
        self._firestore = FirestoreClient.of(project, variables, database=database, interceptors=self._meter.interceptors())
        self._bus = PubSubBus(PubSubClient.of(project, variables), endpoints)
        self.logs: Logs = FirestoreLogs(self._firestore)

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
        await self._bus.close()
        await self._firestore.close()
