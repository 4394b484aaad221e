"""The whole: emulators, functions, example, gateway."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import httpx

from drasi.auth.scopes import ADMIN
from drasi.embedded import manifests
from drasi.embedded.example import Driver, Example, find
from drasi.embedded.identity import WHERE, Identity
from drasi.embedded.server import HOST, HttpServer, bind
from drasi.emulate.child import Say
from drasi.emulate.emulators import FIRESTORE, PUBSUB, Emulator
from drasi.emulate.fleet import Fleet, document
from drasi.emulate.gateway import Gateway, gateway_app
from drasi.errors import DrasiError
from drasi.firestore.client import FirestoreClient
from drasi.firestore.presence import Presence, StateLost
from drasi.resources.known import container_of
from drasi.resources.resource import CONTINUOUS_QUERY, KINDS, ROUTE_OF, Resource
from drasi.resources.secrets import LocalSecrets
from drasi.resources.store_firestore import FirestoreResourceStore
from drasi.web.access import AUTH

PROJECT: Final = "drasi-emulated"
FUNCTIONS: Final = Path(__file__).parents[3] / "functions"
_SEQUENCES_FROM: Final = "DRASI_SEQUENCES_FROM"
_LOOK_S = 0.5
_APPLY_S = 60.0


class NotApplied(DrasiError):
    """Management did not take the manifests."""

    code: ClassVar[str] = "NotApplied"


class EmulatedSystem:
    """Functions in processes of their own on Google's emulators. Use it with ``async with``, or ``start`` and ``close``.

    Args:
        state: A directory for the example's data, manifests, ports.
        say: Takes lines: of whom, and the text.
        port: Of the gateway; 0: a free one.
        firestore, pubsub: ``host:port`` of emulators that run already; None: they are started.
        project: Their project; what is in one is not seen in another.
        functions: The folder of the functions.
        variables: More for the environment of every function.
        auth: Whether tokens are checked.
        heal: Whether everything begins anew when Firestore came back empty.
        sequences_from: Queries count their events from this number on; None: from 1.

    Attributes:
        url: The gateway's.
        project: See above.
        fleet: The processes.
        identity: Keys and token of the state directory.
        resources: As they were stored at the last look.
    """

    def __init__(
        self,
        state: Path,
        say: Say,
        *,
        port: int = 0,
        firestore: str | None = None,
        pubsub: str | None = None,
        project: str = PROJECT,
        functions: Path = FUNCTIONS,
        variables: dict[str, str] | None = None,
        auth: bool = AUTH,
        heal: bool = True,
        sequences_from: int | None = None,
    ) -> None:
        self._state = state
        self._say = say
        self._port = port
        self._hosts = {FIRESTORE: firestore, PUBSUB: pubsub}
        self.project = project
        self._functions = functions
        self._variables = variables or {}
        self._auth = auth
        self._heal = heal
        self._stack = AsyncExitStack()
        self._emulators: dict[str, Emulator] = {}
        self._examples: list[Example] = []
        self._emptied = asyncio.Event()
        self._arranging = asyncio.Lock()
        self.resources: list[Resource] = []
        self.url = ""
        self.fleet: Fleet
        self.identity: Identity
        self._client: FirestoreClient
        self._presence: Presence
        self._store: FirestoreResourceStore
        self._sequences: dict[str, str] = {} if sequences_from is None else {_SEQUENCES_FROM: str(sequences_from)}
        self._management = ""

    async def start(self, directories: Sequence[Path] = ()) -> None:
        """Starts all, and applies the manifests of directories; an example in one of them brings its page and panel.

        Raises:
            EmulatorMissing, NotApplied, DrasiError: As they say.
        """
        async with AsyncExitStack() as stack:
            self._state.mkdir(parents=True, exist_ok=True)
            # Before the functions, which all sign with these keys.
            self.identity = Identity(self._state)
            self.identity.write_token()
            renewing = asyncio.create_task(self.identity.keep_token(), name="token")
            stack.push_async_callback(_cancel, renewing)
            self._examples = [example for directory in directories if (example := find(directory)) is not None]
            for example in self._examples:
                await example.setup(self._state)
            await self._start_emulators(stack)
            environment = self._environment()
            await self._open_store()
            stack.push_async_callback(self._close_store)
            self.fleet = Fleet(self._functions, self._state / "functions", environment, self._say, LocalSecrets(self._state))
            stack.push_async_callback(self.fleet.stop)
            await self._start_gateway(stack)
            self._management = await self.fleet.start_management(self._sequences)
            await self.apply(directories)
            watching = asyncio.create_task(self._watch(), name="fleet")
            stack.push_async_callback(_cancel, watching)
            self._stack = stack.pop_all()

    async def apply(self, directories: Sequence[Path]) -> None:
        """Applies manifests, and starts what they ask for.

        Raises:
            NotApplied
        """
        text = "\n---\n".join(file.read_text(encoding="utf-8") for file in manifests.files(directories))
        if text:
            await self._post(text)
        await self.arrange()

    async def arrange(self) -> None:
        """Looks at what is stored, and starts and stops functions accordingly."""
        async with self._arranging:
            found = [resource for kind in KINDS for resource in await self._store.of_kind(kind)]
            if not {resource.path for resource in self.resources} <= {resource.path for resource in found}:
                # Deleted; or the database was emptied.
                await self._presence.look()
            self.resources = found
            await self.fleet.arrange(self.resources)

    async def drive(self) -> list[Driver]:
        """Starts what plays the world of the examples."""
        drivers = []
        for example in self._examples:
            if example.drives:
                driver = Driver(example, self._state)
                await driver.start()
                self._stack.push_async_callback(driver.stop)
                drivers.append(driver)
        return drivers

    def locate(self, kind: str, name: str) -> str | None:
        """The URL of a function; of a query: of its container's."""
        if kind == "query":
            queries = {resource.name: resource for resource in self.resources if resource.kind == CONTINUOUS_QUERY}
            return self.fleet.url("container", container_of(queries[name])) if name in queries else None
        return self.fleet.url(kind, name) if self.fleet.of(kind, name) else None

    @property
    def token(self) -> str:
        """One that may do everything, and lives for minutes."""
        return self.identity.issuer.between_functions("emulate", [ADMIN])

    async def close(self) -> None:
        """Stops all."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _start_emulators(self, stack: AsyncExitStack) -> None:
        for name in (FIRESTORE, PUBSUB):
            if self._hosts[name] is None:
                self._emulators[name] = Emulator(name, self._state, self.project, self._say)
                stack.push_async_callback(self._emulators[name].stop)
        await asyncio.gather(*(emulator.start() for emulator in self._emulators.values()))
        for name, emulator in self._emulators.items():
            self._hosts[name] = emulator.host

    async def _start_gateway(self, stack: AsyncExitStack) -> None:
        client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None))
        stack.push_async_callback(client.aclose)
        page = next((example.page for example in self._examples if example.page is not None), None)
        panel = [route for example in self._examples for route in example.routes(self._state)]
        sock = bind(self._port)
        stack.callback(sock.close)
        gateway = Gateway(self.locate, client, page=page, panel=panel)
        app = gateway_app(gateway, self.identity.verifier if self._auth else None, WHERE)
        server = HttpServer(app, sock, drain_s=1.0)
        await server.start()
        stack.push_async_callback(_stop_server, server)
        self.url = f"http://{HOST}:{server.port}"

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DRASI_PROFILE": "emulator",
            "DRASI_PROJECT": self.project,
            "DRASI_STATE": str(self._state),
            "DRASI_INSECURE_NO_AUTH": "false" if self._auth else "true",
            "FIRESTORE_EMULATOR_HOST": str(self._hosts[FIRESTORE]),
            "PUBSUB_EMULATOR_HOST": str(self._hosts[PUBSUB]),
            **self._variables,
        }

    async def _post(self, text: str) -> None:
        async with httpx.AsyncClient(timeout=_APPLY_S) as client:
            headers = {"Content-Type": "application/yaml", "Authorization": f"Bearer {self.token}"}
            answer = await client.post(f"{self._management}/v1/apply", content=text.encode(), headers=headers)
        outcomes: list[dict[str, Any]] = answer.json() if answer.content[:1] == b"[" else []
        failed = [
            f"{outcome.get('kind')}/{outcome.get('name')}: {problem.get('message')}"
            for outcome in outcomes
            for problem in outcome.get("errors") or ()
        ]
        if failed or not answer.is_success:
            raise NotApplied("; ".join(failed) or answer.text[:500], hint="correct the manifests")

    async def _open_store(self) -> None:
        self._client = FirestoreClient.of(self.project, self._environment())
        self._presence = Presence(self._client, watch_s=1.0, lost=lambda _: self._emptied.set())
        self._store = FirestoreResourceStore(self._client)
        await self._presence.start()

    async def _close_store(self) -> None:
        await self._presence.close()
        await self._client.close()

    async def _watch(self) -> None:
        """Follows the resources, and begins anew when Firestore has lost everything. (Pub/Sub is made anew by management.)"""
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._emptied.wait()
            except TimeoutError:
                pass
            try:
                if self._emptied.is_set() and not self._heal:
                    return
                if self._emptied.is_set():
                    await self._begin_anew()
                else:
                    await self.arrange()
            except (DrasiError, httpx.HTTPError) as error:
                if not isinstance(error, StateLost):
                    text = error.message if isinstance(error, DrasiError) else type(error).__name__
                    self._say("emulate", f"{text}; looked at again")
                await asyncio.sleep(_LOOK_S)

    async def _begin_anew(self) -> None:
        """Functions forget what they know; then there is everything again that was there at the last look."""
        began = time.monotonic()
        self._say("emulate", "Firestore came back empty (LogLost): functions start again, everything is applied and read anew")
        async with self._arranging:
            # Their sockets go too, and with them what was pushed to them and not taken yet.
            await self.fleet.stop()
            await self._close_store()
            await asyncio.gather(*(emulator.answers() for emulator in self._emulators.values()))
            await self._open_store()
            # From here on: if it is lost once more, it is begun once more.
            self._emptied.clear()
            try:
                resources = self.resources
                # Sequences never restart: who has seen an event of before takes none of these for a later one of the same line.
                self._sequences = {_SEQUENCES_FROM: str(time.time_ns() // 1_000_000)}
                self._management = await self.fleet.start_management(self._sequences)
                if resources:
                    await self._post("\n---\n".join(json.dumps(document(resource)) for resource in resources))
                for resource in resources:
                    if resource.stopped:
                        await self._stop_again(resource)
            except BaseException:
                self._emptied.set()
                raise
        await self.arrange()
        self._say("emulate", f"everything is applied again, {time.monotonic() - began:.1f} s after the loss was seen")

    async def _stop_again(self, resource: Resource) -> None:
        async with httpx.AsyncClient(timeout=_APPLY_S) as client:
            url = f"{self._management}/v1/{ROUTE_OF[resource.kind]}/{resource.name}/stop"
            answer = await client.post(url, headers={"Authorization": f"Bearer {self.token}"})
        if not answer.is_success:
            raise NotApplied(f"{resource.path} cannot be stopped again: {answer.text[:300]}")


async def _stop_server(server: HttpServer) -> None:
    server.begin_stop()
    await server.stopped()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
