"""Waiting for something that another process or task does: by looking, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

PAUSE_S = 0.01


def until(condition: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None:
    """Returns when ``condition`` holds; fails saying ``what`` did not come."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(PAUSE_S)


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, deadline_s: float = 15.0) -> None:
    """The same for a condition that has to be awaited."""
    try:
        async with asyncio.timeout(deadline_s):
            while not await condition():  # noqa: ASYNC110 -- another process does it
                await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        raise AssertionError(f"not within {deadline_s} s: {what}") from None
