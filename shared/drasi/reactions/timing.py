"""Time and chance as deliveries need them, replaced in tests."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

FIRST_S = 1.0
LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Timing:
    """A monotonic clock, the wall clock, sleep, and numbers in [0, 1)."""

    monotonic: Callable[[], float] = time.monotonic
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th failure in a row (from 1): 1 s, doubled up to 60 s, half of it by chance."""
        longest = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt - 1, 10))
        return max(FIRST_S / 2, longest * (0.5 + self.random() / 2))

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Waits until ``event`` is set, at most ``seconds``; answers whether it is set."""
        if event.is_set():
            return True
        await self.first(asyncio.ensure_future(event.wait()), seconds, keep=False)
        return event.is_set()

    async def first(self, task: asyncio.Future[Any], seconds: float, *, keep: bool = True) -> bool:
        """Waits for ``task``, at most ``seconds``; answers whether it is done. It is cancelled unless ``keep``."""
        sleeping = asyncio.ensure_future(self.sleep(seconds))
        try:
            await asyncio.wait({task, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            return task.done()
        finally:
            ended = [sleeping] if keep else [sleeping, task]
            for future in ended:
                future.cancel()
            await asyncio.gather(*ended, return_exceptions=True)
