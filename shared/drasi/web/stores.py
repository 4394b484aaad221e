"""One query container as a process runs it: a state machine for each of its stores that is in use (resources.md section 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from drasi.bus.port import Bus
from drasi.container import Container, Settings, SnapshotReader
from drasi.log.memory import MemoryLog
from drasi.log.port import Log
from drasi.log.sqlite import SQLiteLog
from drasi.messages import control as control_messages
from drasi.messages.control import ControlMessage
from drasi.messages.envelope import Message
from drasi.messages.reading import QueryNotFound
from drasi.resources.containers import default_store, store_of
from drasi.resources.resource import Resource

ACKNOWLEDGED = 204


class Logs(Protocol):
    """Where a container's durable stores have their logs."""

    def open(self, container: str, spec: Mapping[str, Any], store: str) -> Log: ...

    async def exists(self, container: str, spec: Mapping[str, Any], store: str) -> bool: ...


class LogFiles:
    """Logs in files of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self, container: str, spec: Mapping[str, Any], store: str) -> Log:
        return SQLiteLog(_log_file(self._directory, container, spec, store))

    async def exists(self, container: str, spec: Mapping[str, Any], store: str) -> bool:
        return _log_file(self._directory, container, spec, store).exists()


class Stores:
    """The machines of one container. A message is acknowledged when all of them have it.

    Args:
        name: The container's name.
        spec: ``QueryContainer.spec``.
        logs: Where durable stores are.
        bus: Result events are published on it.
        snapshots: Reads the sources.
        settings: Bounds and intervals of each machine.
    """

    def __init__(
        self,
        name: str,
        spec: Mapping[str, Any],
        *,
        logs: Logs,
        bus: Bus,
        snapshots: SnapshotReader,
        settings: Settings | None = None,
    ) -> None:
        self.name = name
        self.spec = spec
        self._logs = logs
        self._bus = bus
        self._snapshots = snapshots
        self._settings = settings
        self._machines: dict[str, Container] = {}
        self._opening = asyncio.Lock()

    @property
    def machines(self) -> Mapping[str, Container]:
        """The state machines in use, by store."""
        return self._machines

    async def start(self) -> None:
        """Restores the default store, and every other that has a log already."""
        default = default_store(self.spec)
        for store in self.spec.get("storage", {}):
            if store == default or await self._exists(store):
                await self._machine(store)

    async def changes(self, message: Message) -> int:
        """Takes a message of a change topic; answers the HTTP status for the bus."""
        machines = list(self._machines.values())
        if len(machines) == 1:
            return await machines[0].changes(message)
        return max(await asyncio.gather(*(machine.changes(message) for machine in machines)), default=503)

    async def control(self, message: Message) -> int:
        """Takes a message of the control topic: a query's goes to the store it is in, a tick to all of them."""
        try:
            order = control_messages.decode(message.data)
        except msgspec.MsgspecError:
            return await (await self._machine(self._default())).control(message)
        if order.kind == "configure":
            return await self._configure(order, message)
        machines = list(self._machines.values())
        if order.kind not in ("tick", "forget", "reread"):
            machines = [machine for machine in machines if order.queryId in machine.queries()] or machines[:1]
        return max([await machine.control(message) for machine in machines], default=ACKNOWLEDGED)

    async def _configure(self, order: ControlMessage, message: Message) -> int:
        """Gives a query to its store; where another one had it, the sequence goes on and the old place is emptied."""
        wanted = store_of(self.spec, (order.spec or {}).get("storageProfile")) or self._default()
        target = await self._machine(wanted)
        query = order.queryId or ""
        left = [machine for machine in self._machines.values() if machine is not target and query in machine.queries()]
        if left and query not in target.queries():
            last = max(int(machine.query_status(query).get("sequence") or 0) for machine in left)
            order.sequenceFrom = max(order.sequenceFrom or 0, last + 1)
            message = _like(message, order)
        status = await target.control(message)
        if status != ACKNOWLEDGED:
            return status
        leave = _like(message, ControlMessage(kind="delete", queryId=query))
        return max([status, *[await machine.control(leave) for machine in left]])

    def machine_of(self, query_id: str) -> Container:
        """The machine that keeps this query.

        Raises:
            QueryNotFound
        """
        for machine in self._machines.values():
            if query_id in machine.queries():
                return machine
        raise QueryNotFound(f"View `{query_id}` not found")

    async def refresh(self) -> None:
        """Reads what other instances have committed, if this one has not looked for a while."""
        await asyncio.gather(*(machine.refresh() for machine in self._machines.values()))

    def labels(self, source: str) -> tuple[frozenset[str] | None, frozenset[str] | None]:
        """Labels and types that some query of some store wants of a source; None: everything."""
        nodes: frozenset[str] | None = frozenset()
        relations: frozenset[str] | None = frozenset()
        for machine in self._machines.values():
            of_machine = machine.labels(source)
            nodes = None if nodes is None or of_machine[0] is None else nodes | of_machine[0]
            relations = None if relations is None or of_machine[1] is None else relations | of_machine[1]
        return nodes, relations

    def ready(self) -> bool:
        return bool(self._machines) and all(machine.ready() for machine in self._machines.values())

    def status(self) -> dict[str, Any]:
        """That of the container's machines together: counts are added, messages are named by store."""
        parts = {store: machine.status() for store, machine in self._machines.items()}
        if len(parts) == 1:
            return dict(next(iter(parts.values())))
        return {
            "available": bool(parts) and all(part.get("available") for part in parts.values()),
            "messages": {
                f"{store}: {name}": text for store, part in parts.items() for name, text in part.get("messages", {}).items()
            },
            "elements": sum(part.get("elements", 0) for part in parts.values()),
            "stores": parts,
        }

    async def close(self) -> None:
        async with self._opening:
            await asyncio.gather(*(machine.close() for machine in self._machines.values()))
            self._machines.clear()

    async def delete(self) -> None:
        """Closes, and removes the logs (the container was deleted)."""
        await self.close()
        for store in self.spec.get("storage", {}):
            if await self._exists(store):
                await self._log(store).delete()

    async def _machine(self, store: str) -> Container:
        async with self._opening:
            machine = self._machines.get(store)
            if machine is None:
                machine = Container(self.name, self._log(store), self._bus, self._snapshots, settings=self._settings)
                await machine.start()
                self._machines[store] = machine
            return machine

    def _log(self, store: str) -> Log:
        return self._logs.open(self.name, self.spec, store) if self._durable(store) else MemoryLog()

    async def _exists(self, store: str) -> bool:
        return self._durable(store) and await self._logs.exists(self.name, self.spec, store)

    def _durable(self, store: str) -> bool:
        return str(self.spec["storage"][store].get("kind", "memory")) != "memory"

    def _default(self) -> str:
        return default_store(self.spec) or next(iter(self.spec["storage"]))


def log_files(directory: Path, container: Resource) -> list[Path]:
    """The files in which a container keeps its logs; some may not be there."""
    storage = container.spec.get("storage", {})
    return [
        _log_file(directory, container.name, container.spec, store) for store in storage if storage[store].get("kind") != "memory"
    ]


def _log_file(directory: Path, container: str, spec: Mapping[str, Any], store: str) -> Path:
    path = spec["storage"][store].get("path")
    if path:
        return directory / str(path)
    suffix = "" if store in (default_store(spec), "durable") else f"-{store}"
    return directory / f"{container}{suffix}.db"


def _like(message: Message, order: ControlMessage) -> Message:
    return Message(
        control_messages.encode(order),
        message.attributes,
        message.ordering_key,
        message.message_id,
        message.publish_time,
        message.subscription,
    )
