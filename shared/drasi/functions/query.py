"""The query function in a process: one container, its clock, and the way to its sources."""

from __future__ import annotations

import asyncio

import httpx
from starlette.types import ASGIApp

from drasi.auth import scopes
from drasi.container import Settings
from drasi.environment import Environment
from drasi.functions.addresses import Addresses
from drasi.functions.admission import Admission
from drasi.functions.collection import resting_collector
from drasi.functions.control import send_control
from drasi.functions.labels import HeardSnapshots, change_subscription, change_topic
from drasi.functions.manifest import container
from drasi.functions.parts import Parts, on_parts
from drasi.messages.control import ControlMessage
from drasi.web import permissions
from drasi.web.clock import Clock
from drasi.web.query import query_app
from drasi.web.remote import TIMEOUT, RemoteSnapshots
from drasi.web.stores import Stores


def query_function(environment: Environment) -> ASGIApp:
    """The application of the container that the environment names."""
    admission = Admission(environment, pushed_as=f"{scopes.QUERY_DELIVER}:*")

    async def build(parts: Parts) -> ASGIApp:
        resource = container(environment)
        bus = await parts.bus()
        addresses = Addresses(environment.variables)
        remote = RemoteSnapshots(
            httpx.AsyncClient(timeout=TIMEOUT),
            lambda source: addresses.of("source", source),
            credentials=admission.shown_as(f"query:{resource.name}"),
        )

        async def hears(source: str, labels: frozenset[str] | None) -> bool:
            return await parts.hears(change_subscription(resource.name, source), change_topic(source), labels)

        snapshots = HeardSnapshots(remote, hears)
        settings = _settings(environment)
        stores = Stores(resource.name, resource.spec, logs=parts.logs, bus=bus, snapshots=snapshots, settings=settings)
        with resting_collector():
            await stores.start()
        app = query_app(stores, attend=parts.attend, metrics=parts.metrics)
        if environment.profile != "embedded":

            async def send(name: str, message: ControlMessage) -> None:
                await send_control(bus, name, message)

            clock = Clock({resource.name: stores}, send)
            _running.add(asyncio.create_task(clock.run(), name="clock"))
        return admission.permitted(parts.watched(app, stores.close), permissions.query(resource.name))

    return admission.served(on_parts(environment, build), pushed=("/changes", "/control"))


def _settings(environment: Environment) -> Settings:
    usual = Settings()
    return Settings(
        snapshot_entries=environment.number("DRASI_SNAPSHOT_ENTRIES") or usual.snapshot_entries,
        log_bytes=environment.number("DRASI_LOG_BYTES"),
    )


_running: set[asyncio.Task[None]] = set()
"""The framework has no lifespan: what runs beside the requests ends with the process."""
