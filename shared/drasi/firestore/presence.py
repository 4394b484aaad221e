"""Whether what a process keeps in Firestore is still there: an emulator that restarts comes back empty."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from drasi.errors import DrasiError
from drasi.firestore.client import FirestoreClient, Refused


class StateLost(DrasiError):
    """The database was emptied under the process."""

    code = "LogLost"


class Presence:
    """Watches one document with a random name, made by whoever comes first: gone or another one, everything is gone.

    Args:
        path: The document; the root of the stores is good for it.
        watch_s: How often it is looked at, beside every loss of the connection.
        lost: Called once, when ``problem`` is set.

    Attributes:
        problem: ``StateLost`` as soon as it is noticed.
    """

    def __init__(
        self,
        client: FirestoreClient,
        path: str = "drasi/installation",
        *,
        watch_s: float = 5.0,
        lost: Callable[[StateLost], None] = lambda _: None,
    ) -> None:
        self.problem: StateLost | None = None
        self._client = client
        self._path = path
        self._watch_s = watch_s
        self._lost = lost
        self._born = b""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Finds or makes the document, and begins to watch.

        Raises:
            FirestoreUnavailable
        """
        while not self._born:
            with contextlib.suppress(Refused):
                self._born = await self._find()
                if not self._born:
                    await self._client.commit([self._client.create(self._path, {"born": os.urandom(12)})])
        self._task = asyncio.create_task(self._watch(), name=f"watch of {self._path}")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _find(self) -> bytes:
        found, _ = await self._client.read([self._path])
        return bytes(found[self._path].fields.get("born", b"")) if self._path in found else b""

    async def _watch(self) -> None:
        while self.problem is None:
            with contextlib.suppress(TimeoutError, DrasiError):
                await asyncio.wait_for(self._client.disconnected(), self._watch_s)
            with contextlib.suppress(DrasiError):
                if await self._find() != self._born:
                    self.problem = StateLost(
                        f"{self._path} is not there any more: the database was emptied under this process",
                        hint="an emulator restarted: restart the process and apply the resources again",
                    )
                    self._lost(self.problem)
