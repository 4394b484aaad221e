"""Whether what a process keeps in Firestore is still there: an emulator that restarts comes back empty."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from drasi.errors import DrasiError
from drasi.firestore.client import FirestoreClient, FirestoreUnavailable, Refused

_AGAIN_S = 0.5


class StateLost(DrasiError):
    """The database was emptied under the process."""

    code = "LogLost"


class Presence:
    """Watches one document with a random name, made by whoever comes first: gone or another one, everything is gone.

    From ``start`` on the client writes nothing over a connection on which the document was not seen: who came back may be empty.

    Args:
        path: The document; the root of the stores is good for it.
        watch_s: How often it is looked at, beside every loss of the connection.
        silence_s: An answer that takes longer is worth saying so.
        lost: Called once, when ``problem`` is set.

    Attributes:
        problem: ``StateLost`` as soon as it is noticed.
        trouble: Why it cannot be told at the moment: Firestore does not answer.
        born: What the document says.
    """

    def __init__(
        self,
        client: FirestoreClient,
        path: str = "drasi/installation",
        *,
        watch_s: float = 5.0,
        silence_s: float = 3.0,
        lost: Callable[[StateLost], None] = lambda _: None,
    ) -> None:
        self.problem: StateLost | None = None
        self.trouble: DrasiError | None = None
        self.born = b""
        self._client = client
        self._path = path
        self._watch_s = watch_s
        self._silence_s = silence_s
        self._lost = lost
        self._connection = -1
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Finds or makes the document, and begins to watch.

        Raises:
            FirestoreUnavailable
        """
        while not self.born:
            with contextlib.suppress(Refused):
                connection = self._client.connection
                self.born = await self._find()
                if not self.born:
                    await self._client.commit([self._client.create(self._path, {"born": os.urandom(12)})])
        self._connection = connection
        self._client.guard = self.sure
        self._task = asyncio.create_task(self._watch(), name=f"watch of {self._path}")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def sure(self) -> None:
        """Returns when what is stored is known to be what was there at the start; without a call, if the connection has held since.

        Raises:
            StateLost, FirestoreUnavailable
        """
        if not self._proved:
            async with self._looking:
                if not self._proved:
                    await self._look()

    async def look(self) -> None:
        """The same, by looking. Same errors."""
        async with self._looking:
            await self._look()

    @property
    def _proved(self) -> bool:
        return self.problem is None and self._client.connected and self._client.connection == self._connection

    async def _look(self) -> None:
        if self.problem is None:
            connection = self._client.connection
            born = await self._find()
            if born == self.born:
                self._connection = connection
                return
            self.problem = StateLost(
                f"{self._path} is {'another one' if born else 'not there any more'}: the database was emptied under this process",
                hint="an emulator restarted: restart the process and apply the resources again",
            )
            self._lost(self.problem)
        raise self.problem

    async def _find(self) -> bytes:
        found, _ = await self._client.read([self._path])
        return bytes(found[self._path].fields.get("born", b"")) if self._path in found else b""

    async def _watch(self) -> None:
        while self.problem is None:
            with contextlib.suppress(TimeoutError, DrasiError):
                await asyncio.wait_for(self._client.disconnected(), self._watch_s if self.trouble is None else _AGAIN_S)
            looking = asyncio.create_task(self.look())
            try:
                done, _ = await asyncio.wait([looking], timeout=self._silence_s)
                if not done:
                    self.trouble = FirestoreUnavailable(
                        f"{self._client.where} has not answered for {self._silence_s:g} s", hint="everything waits until it does"
                    )
                    await asyncio.wait([looking])
            finally:
                looking.cancel()
                await asyncio.wait([looking])
            error = looking.exception()
            if error is not None and not isinstance(error, DrasiError):
                raise error
            self.trouble = error if isinstance(error, FirestoreUnavailable) else None
