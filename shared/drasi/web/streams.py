"""Long answers: an iterator that also beats while nothing comes, and that is closed when its reader has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def with_heartbeat(items: AsyncIterator[T], every_s: float) -> AsyncIterator[T | None]:
    """The items of ``items``, and None whenever none has come for ``every_s`` seconds. Closes ``items`` at the end."""
    upcoming: asyncio.Task[T] | None = None
    try:
        while True:
            if upcoming is None:
                upcoming = asyncio.create_task(_next(items))
            done, _ = await asyncio.wait({upcoming}, timeout=every_s)
            if not done:
                yield None
                continue
            task, upcoming = upcoming, None
            try:
                item = task.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        if upcoming is not None:
            upcoming.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await upcoming
        await close(items)


async def close(items: AsyncIterator[object]) -> None:
    """Closes an async generator; other iterators have nothing to close."""
    aclose = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)
