"""One function in a process of its own, configured by the environment: what ``functions/*/main.py`` expose.

====================  ==========================================================  ===============================
variable              meaning                                                     used by
====================  ==========================================================  ===============================
``DRASI_STATE``       the state directory (``.drasi``)                            all
``DRASI_MANIFEST``    file with the function's own resource                       source, reaction; query: optional
``DRASI_CONTAINER``   name of the container (``default``)                         query, without a manifest
``DRASI_SOURCE_URL``  where sources are: ``http://{name}.svc:8080``               query
``DRASI_QUERY_URL``   where queries are, likewise                                 reaction
====================  ==========================================================  ===============================

Whose tokens are believed: see ``drasi.web.access``. ``DRASI_KEYS`` is ``keys.json`` of the state directory if nothing is said.

Profile ``embedded``, the only one so far: logs and memory are files of the state directory, and the bus reaches subscribers of the
same process only. So a query function answers pushes, bootstraps from source functions and serves rows and tails; a reaction
function follows the tails; a source function serves snapshots, and what it publishes reaches nobody until there is Pub/Sub. The
management function runs what it manages within its own process.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import httpx
from starlette.types import ASGIApp

from drasi.auth import scopes
from drasi.bus.embedded import EmbeddedBus
from drasi.embedded.system import STATE_FILE, EmbeddedSystem
from drasi.errors import DrasiError
from drasi.reactions import registry as reaction_kinds
from drasi.reactions.function import ReactionFunction
from drasi.reactions.sqlite_state import SqliteStates
from drasi.resources.known import DEFAULT_CONTAINER, Known, default_container
from drasi.resources.load import load
from drasi.resources.resource import QUERY_CONTAINER, REACTION, SOURCE, Resource, Settings
from drasi.resources.secrets import LocalSecrets
from drasi.resources.settings import settings_of
from drasi.resources.validate import validate
from drasi.sources import registry as source_kinds
from drasi.sources.function import SourceFunction
from drasi.sources.state import FileState
from drasi.statefile import StateFile
from drasi.web import permissions
from drasi.web.access import ASK_AN_ADMINISTRATOR, KEYS_FILE, Access, auth_wanted, protected
from drasi.web.authentication import Needs, Permitted
from drasi.web.guard import Guard
from drasi.web.query import query_app
from drasi.web.reaction import reaction_app
from drasi.web.remote import TIMEOUT, Address, Credentials, RemoteReader, RemoteSnapshots
from drasi.web.source import source_app
from drasi.web.startup import Lazy
from drasi.web.stores import LogFiles, Stores


class NotConfigured(DrasiError):
    """A variable of the environment is missing, or what it names is not as it must be."""

    code: ClassVar[str] = "NotConfigured"


class Environment:
    """The functions that an environment describes. Nothing is opened before the first request."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self.state = Path(self._variables.get("DRASI_STATE", ".drasi"))
        self._auth = auth_wanted(self._variables)
        self._access: Access | None = None

    def query(self) -> ASGIApp:
        """The query function of one container."""

        async def build() -> ASGIApp:
            container = self._container()
            bus = await EmbeddedBus.open(await self._state_file(f"{container.name}-bus.db"))
            snapshots = RemoteSnapshots(
                httpx.AsyncClient(timeout=TIMEOUT),
                self._address("DRASI_SOURCE_URL"),
                credentials=self._as(f"query:{container.name}"),
            )
            stores = Stores(container.name, container.spec, logs=LogFiles(self.state), bus=bus, snapshots=snapshots)
            await stores.start()
            return self._permitted(query_app(stores), permissions.query(container.name))

        return self._served(build, pushed=("/changes", "/control"), pushed_as=f"{scopes.QUERY_DELIVER}:*")

    def source(self) -> ASGIApp:
        """The source function of one source."""

        async def build() -> ASGIApp:
            resource, settings = self._resource(SOURCE)
            file = await self._state_file(STATE_FILE)
            source = SourceFunction(
                resource.name,
                source_kinds.kinds()[settings.kind],
                settings.properties,
                bus=await EmbeddedBus.open(file),
                state=await FileState.open(file, resource.name),
                schedule_s=settings.schedule_s,
            )
            await source.start()
            return self._permitted(source_app(resource.name, source), permissions.source(resource.name))

        return self._served(build, pushed_as=f"{scopes.SOURCE_PUBLISH}:*")

    def reaction(self) -> ASGIApp:
        """The reaction function of one reaction."""

        async def build() -> ASGIApp:
            resource, settings = self._resource(REACTION)
            self.state.mkdir(parents=True, exist_ok=True)
            reaction = ReactionFunction(
                resource.name,
                reaction_kinds.kinds()[settings.kind],
                settings.properties,
                settings.queries,
                reader=RemoteReader(
                    httpx.AsyncClient(timeout=TIMEOUT),
                    self._address("DRASI_QUERY_URL"),
                    credentials=self._as(f"reaction:{resource.name}"),
                ),
                state=SqliteStates(self.state / STATE_FILE).of(resource.name),
                start=resource.spec.get("start") or "snapshot",
                on_failure=resource.spec.get("onFailure"),
            )
            await reaction.start()
            needs = permissions.reaction(resource.name, list(settings.queries), reaction.reads)
            return self._permitted(reaction_app(resource.name, reaction), needs)

        return self._served(build, pushed=("/results", "/"), pushed_as=f"{scopes.REACTION_DELIVER}:*")

    def management(self) -> ASGIApp:
        """The management function, with everything that it manages."""

        async def build() -> ASGIApp:
            system = EmbeddedSystem(self.state, auth=self._auth, loopback_only=not self._auth)
            await system.start()
            return system.app

        return Lazy(build)

    def _served(self, build: Callable[[], Awaitable[ASGIApp]], *, pushed: Sequence[str] = (), pushed_as: str) -> ASGIApp:
        """The application, begun by whoever needs it first, behind the guard."""
        app = Lazy(build)
        if not self._auth:
            return Guard(app, loopback_only=False)
        self._access = Access(self._variables, default_keys=self.state / KEYS_FILE, pushed_as=[pushed_as])
        emulated = "PUBSUB_EMULATOR_HOST" in self._variables
        return protected(app, self._access.verifier, pushed=pushed if emulated else ())

    def _permitted(self, app: ASGIApp, needs: Needs) -> ASGIApp:
        return Permitted(app, needs, hint=ASK_AN_ADMINISTRATOR) if self._auth else app

    def _as(self, subject: str) -> Credentials:
        """What this function shows to others: a short-lived token for exactly what it asks."""

        def headers(scope: str) -> dict[str, str]:
            if self._access is None or self._access.issuer is None:
                return {}
            return {"Authorization": f"Bearer {self._access.issuer.between_functions(subject, [scope])}"}

        return headers

    def _container(self) -> Resource:
        if "DRASI_MANIFEST" in self._variables:
            return self._manifest(QUERY_CONTAINER)
        container = default_container()
        container.name = self._variables.get("DRASI_CONTAINER", DEFAULT_CONTAINER)
        return container

    def _resource(self, kind: str) -> tuple[Resource, Settings]:
        resource = self._manifest(kind)
        return resource, settings_of(resource, Known.of([resource]), LocalSecrets(self.state))

    def _manifest(self, kind: str) -> Resource:
        file = self._variables.get("DRASI_MANIFEST")
        if file is None:
            raise NotConfigured(f"a {kind} function needs its manifest", hint="set DRASI_MANIFEST to a file with the resource")
        try:
            text = Path(file).read_text(encoding="utf-8")
        except OSError as error:
            raise NotConfigured(f"cannot read {file}: {error.strerror}", hint="DRASI_MANIFEST names the file") from error
        reports = [report for report in validate(load(text, file), Known()) if report.kind == kind]
        if len(reports) != 1:
            raise NotConfigured(f"{file} has {len(reports)} resources of kind {kind}", hint="give exactly one")
        report = reports[0]
        report.refuse_not_yet()
        if report.resource is None:
            raise NotConfigured(f"{file}: " + "; ".join(problem.text() for problem in report.errors), hint="correct the manifest")
        return report.resource

    def _address(self, variable: str) -> Address:
        pattern = self._variables.get(variable)

        def address(name: str) -> str:
            if pattern is None:
                raise NotConfigured(f"nobody said where '{name}' is", hint=f"set {variable}, for instance to http://{{name}}:8080")
            return pattern.replace("{name}", name).rstrip("/")

        return address

    async def _state_file(self, name: str) -> StateFile:
        self.state.mkdir(parents=True, exist_ok=True)
        return await StateFile.open(self.state / name)
