"""Waiting between two polls of an origin, which whoever asks for a snapshot cuts short."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

_LONGEST_S: Final = 60.0


class Pauses:
    """Args:
    sleep: Waits so many seconds.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Ends the present pause, or the next one at once."""
        self._woken.set()

    async def pause(self, seconds: float) -> None:
        sleep = asyncio.ensure_future(self._sleep(seconds))
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait([sleep, woken], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._woken.clear()
            sleep.cancel()
            woken.cancel()
            await asyncio.gather(sleep, woken, return_exceptions=True)

    async def after(self, failures: int) -> None:
        """After so many failures in a row: 1, 2, 4 … 60 s."""
        await self.pause(min(_LONGEST_S, 2.0 ** min(failures - 1, 6)))
