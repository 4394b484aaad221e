"""The management function in a process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import httpx
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.embedded.console import console_app
from drasi.embedded.router import with_headers
from drasi.embedded.system import EmbeddedSystem
from drasi.environment import Environment
from drasi.errors import DrasiError
from drasi.functions.addresses import Addresses
from drasi.functions.admission import Admission
from drasi.functions.parts import on
from drasi.functions.reaction import QueryPlaces
from drasi.functions.runtime import UPKEEP_S, FunctionsRuntime, PushEndpoints
from drasi.functions.watched import told
from drasi.resources.resource import Resource
from drasi.resources.secrets import LocalSecrets
from drasi.web import permissions
from drasi.web.access import auth_wanted
from drasi.web.installation import Installation
from drasi.web.management import management_app
from drasi.web.remote import TIMEOUT, RemoteReader
from drasi.web.startup import Lazy

_log = structlog.get_logger("drasi.management")


def management_function(environment: Environment) -> ASGIApp:
    """The application of an installation's management."""
    if environment.profile == "embedded":
        return _embedded(environment)
    return _of_functions(environment)


def _embedded(environment: Environment) -> ASGIApp:
    auth = auth_wanted(environment.variables)

    async def build() -> ASGIApp:
        system = EmbeddedSystem(environment.state, auth=auth, loopback_only=not auth)
        await system.start()
        return system.app

    return Lazy(build)


def _of_functions(environment: Environment) -> ASGIApp:
    from drasi.functions.bus_upkeep import BusUpkeep
    from drasi.functions.google import GoogleParts

    admission = Admission(environment)

    endpoints = PushEndpoints()

    async def build(parts: GoogleParts) -> ASGIApp:
        store = await parts.resources()
        addresses = Addresses(environment.variables)
        shown = admission.shown_as("management")

        async def forget_reaction(name: str) -> None:
            state = await parts.reaction_state(name)
            for query in await state.queries():
                await state.forget(query)

        async def forget_container(container: Resource) -> None:
            for name, content in container.spec.get("storage", {}).items():
                if content.get("kind") != "memory" and await parts.logs.exists(container.name, container.spec, name):
                    await parts.logs.open(container.name, container.spec, name).delete()

        bus = await parts.bus()
        runtime = FunctionsRuntime(
            store,
            bus,
            endpoints,
            addresses,
            reader=RemoteReader(
                httpx.AsyncClient(timeout=TIMEOUT), QueryPlaces(addresses, parts.resources, known_s=0), credentials=shown
            ),
            client=httpx.AsyncClient(),
            endpoint=admission.endpoint,
            credentials=shown,
            forget_reaction=forget_reaction,
            forget_container=forget_container,
        )
        installation = Installation(
            store,
            runtime,
            LocalSecrets(environment.state),
            profile=environment.profile,
            sequences_from=environment.number("DRASI_SEQUENCES_FROM"),
        )
        born = parts.presence.born.hex()
        emulated = environment.profile == "emulator"
        # Pub/Sub itself forgets nothing: there it is about what was not finished.
        keeping = BusUpkeep(parts.marker, born, installation, bus, sweep=emulated, watch_s=1.0 if emulated else 60.0)
        with contextlib.suppress(DrasiError):
            # Before anything is subscribed: what an emptied database left there goes. What cannot be done now is done soon.
            await keeping.look()
        await installation.restore()
        upkeeps = [
            asyncio.create_task(keeping.run(), name="upkeep of Pub/Sub"),
            asyncio.create_task(upkeep(installation, runtime), name="upkeep"),
        ]
        _running.update(upkeeps)

        async def end() -> None:
            for task in upkeeps:
                task.cancel()
            await asyncio.wait(upkeeps)

        def troubles() -> dict[str, str]:
            return {keeping.trouble.code: told(keeping.trouble)} if keeping.trouble is not None else {}

        issuer = admission.access.issuer if admission.access is not None else None
        app = _Routed(management_app(installation, issuer), console_app(installation))
        return admission.permitted(parts.watched(app, end, troubles=troubles), permissions.management)

    return admission.served(lambda: on(GoogleParts(environment, endpoints), build))


async def upkeep(
    installation: Installation, runtime: FunctionsRuntime, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Looks after subscriptions, for ever: what fails is done the next time."""
    while True:
        await sleep(UPKEEP_S)
        try:
            await installation.between_changes(runtime.renew)
        except DrasiError as error:
            _log.warning("subscriptions could not be looked after", code=error.code, error=error.message)


_running: set[asyncio.Task[None]] = set()
"""The framework has no lifespan: what runs beside the requests ends with the process."""


class _Routed:
    """Management, and the console at ``/``."""

    def __init__(self, management: ASGIApp, console: ASGIApp) -> None:
        self._management = management
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/" or scope["path"].startswith("/console"):
            await self._console(scope, receive, with_headers(send))
        else:
            await self._management(scope, receive, send)
