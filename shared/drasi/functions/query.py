"""The query function in a process: one container, its clock, and the way to its sources."""

from __future__ import annotations

import asyncio

import httpx
from starlette.types import ASGIApp

from drasi.auth import scopes
from drasi.environment import Environment
from drasi.functions.addresses import Addresses
from drasi.functions.admission import Admission
from drasi.functions.control import send_control
from drasi.functions.manifest import container
from drasi.functions.parts import parts_of
from drasi.messages.control import ControlMessage
from drasi.web import permissions
from drasi.web.clock import Clock
from drasi.web.query import query_app
from drasi.web.remote import TIMEOUT, RemoteSnapshots
from drasi.web.stores import Stores


def query_function(environment: Environment) -> ASGIApp:
    """The application of the container that the environment names."""
    admission = Admission(environment, pushed_as=f"{scopes.QUERY_DELIVER}:*")

    async def build() -> ASGIApp:
        resource = container(environment)
        parts = parts_of(environment)
        bus = await parts.bus()
        addresses = Addresses(environment.variables)
        snapshots = RemoteSnapshots(
            httpx.AsyncClient(timeout=TIMEOUT),
            lambda source: addresses.of("source", source),
            credentials=admission.shown_as(f"query:{resource.name}"),
        )
        stores = Stores(resource.name, resource.spec, logs=parts.logs, bus=bus, snapshots=snapshots)
        await stores.start()
        app = query_app(stores, attend=parts.attend, metrics=parts.metrics)
        if environment.profile != "embedded":

            async def send(name: str, message: ControlMessage) -> None:
                await send_control(bus, name, message)

            clock = Clock({resource.name: stores}, send)
            _running.add(asyncio.create_task(clock.run(), name="clock"))
        return admission.permitted(app, permissions.query(resource.name))

    return admission.served(build, pushed=("/changes", "/control"))


_running: set[asyncio.Task[None]] = set()
"""The framework has no lifespan: what runs beside the requests ends with the process."""
