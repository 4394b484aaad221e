"""Parts in files of the state directory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path

from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp

from drasi.bus.embedded import EmbeddedBus
from drasi.bus.port import Bus, Deliver
from drasi.embedded.system import STATE_FILE
from drasi.reactions.sqlite_state import SqliteStates
from drasi.reactions.state import ReactionState
from drasi.resources.store import ResourceStore
from drasi.resources.store_sqlite import SqliteResourceStore
from drasi.sources.port import State
from drasi.sources.state import FileState
from drasi.statefile import StateFile
from drasi.web.stores import LogFiles, Logs


class FileParts:
    """See ``Parts``. The bus reaches subscribers of this process only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.logs: Logs = LogFiles(directory)
        self._opened: StateFile | None = None

    async def begin(self) -> None:
        """Files are opened when they are needed."""

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    async def bus(self) -> Bus:
        return await EmbeddedBus.open(await self._file())

    def watched(self, app: ASGIApp, end: Callable[[], Awaitable[None]], back: Callable[[], None] = lambda: None) -> ASGIApp:
        return app

    def attend(self, deliver: Deliver) -> Deliver:
        return deliver

    async def hears(self, subscription: str, topic: str, labels: Collection[str] | None) -> bool:
        return True

    async def source_state(self, name: str) -> State:
        return await FileState.open(await self._file(), name)

    async def reaction_state(self, name: str) -> ReactionState:
        self._directory.mkdir(parents=True, exist_ok=True)
        return SqliteStates(self._directory / STATE_FILE).of(name)

    async def resources(self) -> ResourceStore:
        self._directory.mkdir(parents=True, exist_ok=True)
        return await SqliteResourceStore.open(self._directory / STATE_FILE)

    def metrics(self) -> Iterable[Metric]:
        """Files cost nothing."""
        return ()

    async def _file(self) -> StateFile:
        if self._opened is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._opened = await StateFile.open(self._directory / STATE_FILE)
        return self._opened
