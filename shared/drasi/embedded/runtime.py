"""What management asks for, done in this process: containers, sources and reactions side by side on one bus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import structlog
from starlette.types import ASGIApp

from drasi.bus.embedded import EmbeddedBus
from drasi.container import Container
from drasi.container import Settings as ContainerSettings
from drasi.embedded.reader import ProcessReader, ProcessSnapshots
from drasi.errors import DrasiError
from drasi.messages import control as control_messages
from drasi.messages.control import ControlMessage
from drasi.messages.reading import QueryNotFound
from drasi.reactions import registry as reaction_kinds
from drasi.reactions.function import ReactionFunction
from drasi.reactions.sqlite_state import SqliteStates
from drasi.resources.known import container_of
from drasi.resources.resource import CONTINUOUS_QUERY, QUERY_CONTAINER, REACTION, SOURCE, Resource, Settings, sources_of
from drasi.resources.settings import with_paths
from drasi.sources import registry as source_kinds
from drasi.sources.function import SourceFunction
from drasi.sources.state import FileState
from drasi.statefile import StateFile
from drasi.web.direct import routes_app
from drasi.web.source import SourceRoutes
from drasi.web.stores import LogFiles, Stores

RING: Final = ContainerSettings(ring_events=8_000, ring_bytes=6_000_000)
"""Of each container: what is older is read from the log, which is on the same disk, and memory is shared with everything else."""

_RETRY_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
_log = structlog.get_logger("drasi.embedded")


class NotHere(DrasiError):
    """A resource refers to something that does not run here."""

    code: ClassVar[str] = "UnknownContainer"


@dataclass(slots=True)
class RunningSource:
    settings: Settings
    stopped: bool
    streams: bool
    paths: tuple[str, ...]
    function: SourceFunction
    app: ASGIApp


@dataclass(slots=True)
class RunningReaction:
    settings: Settings
    options: tuple[Any, Any]
    stopped: bool
    function: ReactionFunction
    app: ASGIApp


class EmbeddedRuntime:
    """A ``Runtime`` in which everything is a part of this process.

    Args:
        directory: The state directory: logs, and what relative paths of sources are relative to.
        state: The state file: bus, sources' and reactions' memory.
        bus: Carries changes, control messages and results.
    """

    def __init__(self, directory: Path, state: StateFile, bus: EmbeddedBus) -> None:
        self._directory = directory
        self._bus = bus
        self._state = state
        self._reaction_states = SqliteStates(state.path)
        self.containers: dict[str, Stores] = {}
        self.sources: dict[str, RunningSource] = {}
        self.reactions: dict[str, RunningReaction] = {}
        self._snapshots = ProcessSnapshots(self._streaming)
        self._queries: dict[str, Resource] = {}
        self._subscriptions: dict[str, str] = {}
        self._clearing: set[asyncio.Task[None]] = set()
        self._reader = ProcessReader(self.machine_of)
        self.address = ""

    @property
    def reader(self) -> ProcessReader:
        return self._reader

    def machine_of(self, query_id: str) -> Container:
        """The state machine that keeps a query.

        Raises:
            QueryNotFound
        """
        for container in self.containers.values():
            try:
                return container.machine_of(query_id)
            except QueryNotFound:
                continue
        raise QueryNotFound(f"View `{query_id}` not found")

    async def refresh(self) -> None:
        """There are no other instances: one process runs on a state directory."""

    def queries(self) -> list[str]:
        """The queries that were asked for, by name."""
        return sorted(self._queries)

    def files(self) -> list[tuple[str, Path]]:
        """The files that sources watch, by source."""
        return [(name, Path(path).resolve()) for name, running in self.sources.items() for path in running.paths]

    async def ensure(self, resource: Resource, settings: Settings | None) -> None:
        if resource.kind == QUERY_CONTAINER:
            await self._ensure_container(resource)
        elif resource.kind == CONTINUOUS_QUERY:
            await self._ensure_query(resource)
        elif settings is not None and resource.kind == SOURCE:
            await self._ensure_source(resource, settings)
        elif settings is not None and resource.kind == REACTION:
            await self._ensure_reaction(resource, settings)

    async def remove(self, resource: Resource, *, force: bool = False) -> None:
        name = resource.name
        if resource.kind == QUERY_CONTAINER:
            await self._remove_container(name)
        elif resource.kind == CONTINUOUS_QUERY:
            if self._queries.pop(name, None) is not None:
                await self._subscribe_containers()
        elif resource.kind == SOURCE:
            await self._remove_source(name, force=force)
        elif resource.kind == REACTION:
            await self._remove_reaction(name)

    async def status(self, kind: str, name: str) -> Mapping[str, Any]:
        if kind == QUERY_CONTAINER and name in self.containers:
            return self.containers[name].status()
        if kind == SOURCE and name in self.sources:
            return self._with_address(
                self.sources[name].function.status(), f"sources/{name}", bool(self.sources[name].function.routes())
            )
        if kind == REACTION and name in self.reactions:
            has_routes = bool(self.reactions[name].function.routes())
            return self._with_address(self.reaction_status(name), f"reactions/{name}", has_routes)
        if kind == CONTINUOUS_QUERY:
            try:
                return self.machine_of(name).query_status(name)
            except QueryNotFound:
                return {}
        return {}

    async def errors(self, kind: str, name: str) -> Sequence[Mapping[str, Any]]:
        if kind == CONTINUOUS_QUERY:
            try:
                machine = self.machine_of(name)
            except QueryNotFound:
                return []
            return [{"what": "rowError", **error} for error in machine.row_errors(name)]
        if kind == SOURCE:
            own = await self.sources[name].function.dead_letters() if name in self.sources else []
            theirs = [letter for machine in self._machines() for letter in machine.dead_letters(name)]
            return [{"what": "deadLetter", **letter} for letter in (*own, *theirs)]
        if kind == REACTION and name in self.reactions:
            return [{"what": "deadLetter", **letter} for letter in await self.reactions[name].function.dead_letters()]
        if kind == QUERY_CONTAINER and name in self.containers:
            letters = [letter for machine in self.containers[name].machines.values() for letter in machine.dead_letters()]
            return [{"what": "deadLetter", **letter} for letter in letters]
        return []

    async def control(self, container: str, message: ControlMessage) -> None:
        await self._bus.publish(
            f"{container}-control",
            control_messages.encode(message),
            attributes={"drasi-type": "container-control", "container": container},
            ordering_key=container,
        )

    async def explain(self, container: str, query: str) -> str:
        return self.machine_of(query).explain(query)

    async def tidy(self) -> None:
        """Drops the durable subscriptions of an earlier run that nobody has any more: they would collect for ever."""
        for name in self._bus.status():
            if name not in self._subscriptions:
                await self._bus.unsubscribe(name)

    async def close(self, drain_s: float) -> None:
        """Stops sources, then reactions, then the bus, then containers; nothing is left running."""
        for task in self._clearing:
            task.cancel()
        await asyncio.gather(*self._clearing, return_exceptions=True)
        await asyncio.gather(*(source.function.close() for source in self.sources.values() if not source.stopped))
        await asyncio.gather(*(reaction.function.close(drain_s) for reaction in self.reactions.values() if not reaction.stopped))
        await self._bus.close(drain_s)
        await asyncio.gather(*(container.close() for container in self.containers.values()))
        await self._reaction_states.close()

    # containers

    async def _ensure_container(self, resource: Resource) -> None:
        running = self.containers.get(resource.name)
        if running is not None:
            running.spec = resource.spec
            return
        container = Stores(
            resource.name, resource.spec, logs=LogFiles(self._directory), bus=self._bus, snapshots=self._snapshots, settings=RING
        )
        await container.start()
        self.containers[resource.name] = container
        await self._subscribe(f"{resource.name}-control", f"{resource.name}-control", container.control)

    async def _remove_container(self, name: str) -> None:
        container = self.containers.pop(name, None)
        if container is None:
            return
        await self._unsubscribe(f"{name}-control")
        await self._subscribe_containers()
        await container.delete()

    def _machines(self) -> list[Container]:
        return [machine for container in self.containers.values() for machine in container.machines.values()]

    # queries

    async def _ensure_query(self, resource: Resource) -> None:
        container = container_of(resource)
        if container not in self.containers:
            raise NotHere(f"Query container {container} does not exist", hint=f"apply a QueryContainer named {container}")
        self._queries[resource.name] = resource
        await self._subscribe_containers()

    async def _subscribe_containers(self) -> None:
        """Each container hears of the sources of its queries, and of no others."""
        wanted = {
            (container_of(query), source)
            for query in self._queries.values()
            for source in sources_of(query)
            if container_of(query) in self.containers
        }
        names = {f"{container}-{source}-changes" for container, source in wanted}
        for name in [name for name in self._subscriptions if name.endswith("-changes") and name not in names]:
            await self._unsubscribe(name)
        for container, source in sorted(wanted):
            await self._subscribe(f"{container}-{source}-changes", f"{source}-change", self.containers[container].changes)

    # sources

    async def _ensure_source(self, resource: Resource, settings: Settings) -> None:
        name = resource.name
        kind = source_kinds.kinds()[settings.kind]
        properties, paths = with_paths(kind.schema, settings.properties, self._directory)
        running = self.sources.get(name)
        if running is not None:
            if running.settings == settings and running.stopped == resource.stopped:
                return
            await running.function.close()
        function = SourceFunction(
            name,
            kind,
            properties,
            bus=self._bus,
            state=await FileState.open(self._state, name),
            schedule_s=settings.schedule_s,
            renew=lambda reason: self._renew(name, reason),
        )
        if not resource.stopped:
            await function.start()
        self.sources[name] = RunningSource(
            settings, resource.stopped, kind.streams, paths, function, routes_app(SourceRoutes(function).routes())
        )

    async def _remove_source(self, name: str, *, force: bool) -> None:
        running = self.sources.pop(name, None)
        if running is not None:
            try:
                await running.function.deprovision()
            except DrasiError as error:
                _log.warning("the origin is not cleaned up yet, trying again", source=name, error=error.message, hint=error.hint)
                task = asyncio.create_task(_repeat(running.function.deprovision, name))
                self._clearing.add(task)
                task.add_done_callback(self._clearing.discard)
        for machine in self._machines():
            await machine.drop_source(name, elements=force)

    def _streaming(self, name: str) -> tuple[SourceFunction, bool] | None:
        running = self.sources.get(name)
        return None if running is None else (running.function, running.streams)

    async def _renew(self, source: str, reason: str) -> None:
        for name, query in list(self._queries.items()):
            if source in sources_of(query):
                await self.control(container_of(query), ControlMessage(kind="bootstrap", queryId=name, reason=reason))

    # reactions

    async def _ensure_reaction(self, resource: Resource, settings: Settings) -> None:
        name = resource.name
        options = (resource.spec.get("start"), resource.spec.get("onFailure"))
        running = self.reactions.get(name)
        if running is not None:
            if running.settings == settings and running.options == options and running.stopped == resource.stopped:
                return
            await running.function.close()
        function = ReactionFunction(
            name,
            reaction_kinds.kinds()[settings.kind],
            settings.properties,
            settings.queries,
            reader=self._reader,
            state=self._reaction_states.of(name),
            start=options[0] or "snapshot",
            on_failure=options[1],
        )
        if not resource.stopped:
            await function.start()
        self.reactions[name] = RunningReaction(settings, options, resource.stopped, function, routes_app(list(function.routes())))
        await self._subscribe_reaction(name, () if resource.stopped else settings.queries)

    async def _subscribe_reaction(self, name: str, queries: Sequence[str] | Mapping[str, Any]) -> None:
        wanted = {f"{name}-{query}-results": query for query in queries}
        ours = [key for key in self._subscriptions if key.endswith("-results") and self._subscriptions[key] == name]
        for key in [key for key in ours if key not in wanted]:
            await self._unsubscribe(key)
        for key, query in wanted.items():
            await self._subscribe(key, f"{query}-results", self.reactions[name].function.results, owner=name, durable=False)

    async def _remove_reaction(self, name: str) -> None:
        running = self.reactions.get(name)
        if running is None:
            return
        await self._subscribe_reaction(name, ())
        del self.reactions[name]
        if not running.stopped:
            await running.function.close()
        await running.function.forget()

    # the bus

    async def _subscribe(
        self, name: str, topic: str, deliver: Callable[..., Any], *, owner: str = "", durable: bool = True
    ) -> None:
        await self._bus.subscribe(name, topic, deliver, durable=durable)
        self._subscriptions[name] = owner

    async def _unsubscribe(self, name: str) -> None:
        if self._subscriptions.pop(name, None) is not None:
            await self._bus.unsubscribe(name)

    def reaction_status(self, name: str) -> dict[str, Any]:
        """The status of a reaction that runs, with its lag by the queries themselves: it knows only of events it was told of."""
        status = self.reactions[name].function.status()
        for query, progress in status.get("queries", {}).items():
            try:
                latest = self.machine_of(query).query_status(query).get("sequence")
            except QueryNotFound:
                continue
            if isinstance(latest, int) and isinstance(progress.get("sequence"), int):
                progress["behind"] = max(progress.get("behind") or 0, latest - progress["sequence"])
        return status

    def _with_address(self, status: dict[str, Any], path: str, has_routes: bool) -> dict[str, Any]:
        if has_routes and self.address:
            status.setdefault("ingress_url", f"{self.address}/{path}")
        return status


async def _repeat(work: Callable[[], Any], source: str) -> None:
    attempt = 0
    while True:
        await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
        attempt += 1
        try:
            await work()
        except DrasiError as error:
            _log.warning("the origin is not cleaned up yet, trying again", source=source, error=error.message)
        else:
            return
