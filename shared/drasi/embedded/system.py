"""The whole system in one process: what ``drasi run`` serves, and what tests and programs start by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.metrics_core import Metric
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from drasi.bus.embedded import EmbeddedBus
from drasi.embedded.console import console_app
from drasi.embedded.identity import WHERE, Identity
from drasi.embedded.lock import StateLock
from drasi.embedded.permissions import needs_of
from drasi.embedded.router import Router
from drasi.embedded.runtime import EmbeddedRuntime
from drasi.resources.apply import Outcome
from drasi.resources.load import Document, load
from drasi.resources.secrets import LocalSecrets
from drasi.resources.store_sqlite import SqliteResourceStore
from drasi.statefile import StateFile
from drasi.web.access import AUTH, protected
from drasi.web.authentication import Permitted
from drasi.web.clock import Clock
from drasi.web.guard import Guard
from drasi.web.health import health_routes
from drasi.web.installation import Installation
from drasi.web.management import management_app
from drasi.web.metrics import query_metrics, reaction_metrics, registry_of, source_metrics

STATE_FILE = "drasi.db"
DRAIN_S = 10.0


class EmbeddedSystem:
    """Sources, containers, reactions and management on one state directory.

    Use it with ``async with``, or ``start`` and ``close``. One process at a time runs on a state directory.

    Args:
        state: The state directory; made if it is not there.
        page: Static files served at ``/``; None: the console.
        panel: Routes of an example, below ``/panel``.
        lock: The lock of the directory, if the caller has it already.
        auth: Whether requests need a token. Without, only requests that come to a loopback address are answered.
        loopback_only: Whether ``Host`` must name a loopback address.

    Attributes:
        app: The ASGI application, once started.
        identity: Its keys and its owner's token, once started.
        installation: Management: apply, delete, status.
        runtime: What runs.
    """

    def __init__(
        self,
        state: str | Path,
        *,
        page: Path | None = None,
        panel: Sequence[BaseRoute] = (),
        lock: StateLock | None = None,
        auth: bool = AUTH,
        loopback_only: bool = True,
    ) -> None:
        self.directory = Path(state)
        self._page = page
        self._panel = panel
        self._lock = lock
        self._auth = auth
        self._loopback_only = loopback_only
        self._stack = AsyncExitStack()
        self._drain_s = DRAIN_S
        self.app: ASGIApp
        self.identity: Identity
        self.installation: Installation
        self.runtime: EmbeddedRuntime

    async def start(self, address: str = "") -> None:
        """Opens the state, and starts everything that is stored in it.

        Args:
            address: Where the process is reached (``http://127.0.0.1:8080``), for the status of resources.

        Raises:
            AlreadyRunning: Another process runs on this state directory.
            DrasiError: The state cannot be opened.
        """
        async with AsyncExitStack() as stack:
            self.directory.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                stack.enter_context(StateLock(self.directory))
            self.identity = Identity(self.directory)
            file = self.directory / STATE_FILE
            state = await StateFile.open(file)
            stack.push_async_callback(state.close)
            bus = await EmbeddedBus.open(state)
            store = await SqliteResourceStore.open(file)
            stack.push_async_callback(store.close)
            self.runtime = EmbeddedRuntime(self.directory, state, bus)
            self.runtime.address = address
            stack.push_async_callback(self._close_runtime)
            self.installation = Installation(store, self.runtime, LocalSecrets(self.directory))
            await self.installation.restore()
            await self.runtime.tidy()
            clock = asyncio.create_task(Clock(self.runtime.containers, self.runtime.control).run(), name="clock")
            stack.push_async_callback(_cancel, clock)
            self.app = await self._guarded(stack)
            self._stack = stack.pop_all()

    async def apply(self, manifests: str | Sequence[Document], file: str = "") -> list[Outcome]:
        """Applies manifests: a text of YAML or JSON documents, or documents read already. With one invalid, none is applied."""
        documents = load(manifests, file) if isinstance(manifests, str) else manifests
        outcomes, _ = await self.installation.apply(documents)
        return outcomes

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """Stops everything; deliveries under way get at most ``drain_s``. What is not acknowledged comes again at the next run."""
        self._drain_s = drain_s
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _close_runtime(self) -> None:
        await self.runtime.close(self._drain_s)

    async def _guarded(self, stack: AsyncExitStack) -> Guard:
        router = self._router()
        if not self._auth:
            return Guard(router)
        self.identity.write_token()
        renewing = asyncio.create_task(self.identity.keep_token(), name="token")
        stack.push_async_callback(_cancel, renewing)
        permitted = Permitted(router, needs_of(self.runtime, page=self._page is not None), hint=WHERE)
        return protected(permitted, self.identity.verifier, where=WHERE, loopback_only=self._loopback_only, signed=True)

    def _router(self) -> Router:
        registry = registry_of(self._metrics)
        return Router(
            self.runtime,
            management_app(self.installation, self.identity.issuer, self.identity.rotated),
            health_routes(self._ready, registry),
            console=console_app(self.installation),
            page=self._page,
            panel=self._panel,
        )

    def _ready(self) -> bool:
        containers = self.runtime.containers.values()
        return bool(containers) and all(container.ready() for container in containers)

    def _metrics(self) -> Iterable[Metric]:
        yield from query_metrics(self.runtime.containers.values())
        yield from source_metrics({name: running.function.status() for name, running in self.runtime.sources.items()})
        yield from reaction_metrics({name: self.runtime.reaction_status(name) for name in self.runtime.reactions})


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
