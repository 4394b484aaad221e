"""Start-up that happens once, begun by whoever needs it first.

The functions framework has no lifespan: restore and background tasks begin with the first request, or with ``/readyz``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Startup:
    """Runs ``start`` once; a failure is raised to all who wait, and the next request tries again."""

    def __init__(self, start: Callable[[], Awaitable[None]]) -> None:
        self._start = start
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begins, if nobody has, without waiting."""
        if self._task is None or (self._task.done() and self._failed):
            self._task = asyncio.create_task(self._run(), name="startup")

    async def ensure(self) -> None:
        """Returns when it is done; raises what it raised."""
        if self.done:
            return
        self.begin()
        assert self._task is not None
        await asyncio.shield(self._task)

    async def cancel(self) -> None:
        """Stops a start under way."""
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done() and not self._failed

    @property
    def _failed(self) -> bool:
        assert self._task is not None
        return self._task.cancelled() or self._task.exception() is not None

    async def _run(self) -> None:
        await self._start()
