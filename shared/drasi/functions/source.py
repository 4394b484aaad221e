"""The source function in a process."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp

from drasi.auth import scopes
from drasi.bus.endpoint import Endpoint
from drasi.environment import Environment
from drasi.functions.addresses import Addresses
from drasi.functions.admission import Admission
from drasi.functions.control import send_control
from drasi.functions.manifest import connector
from drasi.functions.parts import Parts, on_parts
from drasi.messages.control import ControlMessage
from drasi.resources.known import container_of
from drasi.resources.resource import CONTINUOUS_QUERY, SOURCE, sources_of
from drasi.resources.settings import with_paths
from drasi.sources import registry
from drasi.sources.function import SourceFunction
from drasi.web import permissions
from drasi.web.source import source_app


def source_function(environment: Environment) -> ASGIApp:
    """The application of the source in the environment's manifest."""
    admission = Admission(environment, pushed_as=f"{scopes.SOURCE_PUBLISH}:*")

    async def build(parts: Parts) -> ASGIApp:
        resource, settings = connector(environment, SOURCE)
        name = resource.name
        kind = registry.kinds()[settings.kind]
        properties, _ = with_paths(kind.schema, settings.properties, environment.state)
        bus = await parts.bus()
        addresses = Addresses(environment.variables)

        async def renew(reason: str) -> None:
            for query in await (await parts.resources()).of_kind(CONTINUOUS_QUERY):
                if name in sources_of(query):
                    message = ControlMessage(kind="bootstrap", queryId=query.name, reason=reason)
                    await send_control(bus, container_of(query), message)

        def push_endpoint(path: str) -> Endpoint:
            return admission.endpoint(addresses.of("source", name) + path, f"{scopes.SOURCE_PUBLISH}:{name}")

        source = SourceFunction(
            name,
            kind,
            properties,
            bus=bus,
            state=await parts.source_state(name),
            schedule_s=settings.schedule_s,
            renew=renew if environment.profile != "embedded" else None,
            instance=environment.variables.get("DRASI_INSTANCE", "0"),
            push_endpoint=push_endpoint if environment.profile != "embedded" else None,
        )
        await source.start()

        def back() -> None:
            if kind.subscribes:
                _running.add(asyncio.create_task(source.restart(), name="restart"))

        app = source_app(name, source, metrics=parts.metrics)
        return admission.permitted(parts.watched(app, source.close, back), permissions.source(name, source.signed))

    return admission.served(on_parts(environment, build), pushed=("/push",), signed=True)


_running: set[asyncio.Task[None]] = set()
"""The framework has no lifespan: what runs beside the requests ends with the process."""
