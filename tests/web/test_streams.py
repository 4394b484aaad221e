"""Long answers beat while nothing comes, and close what they read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from drasi.web.streams import with_heartbeat


async def test_items_come_through_and_the_source_is_closed() -> None:
    closed = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.set()

    assert [item async for item in with_heartbeat(items(), 60)] == [1, 2]
    assert closed.is_set()


async def test_silence_beats_and_loses_nothing() -> None:
    gate = asyncio.Event()

    async def items() -> AsyncIterator[str]:
        await gate.wait()
        yield "late"

    got: list[str | None] = []
    async for item in with_heartbeat(items(), 0.001):
        got.append(item)
        if len(got) == 3:
            gate.set()
    assert got[:3] == [None, None, None]
    assert [item for item in got if item is not None] == ["late"]


async def test_a_reader_that_goes_away_cancels_the_wait() -> None:
    cancelled = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        try:
            await asyncio.get_running_loop().create_future()
            yield 0
        finally:
            cancelled.set()

    stream = with_heartbeat(items(), 0.001)
    assert await anext(stream) is None
    await stream.aclose()  # type: ignore[attr-defined]
    assert cancelled.is_set()


async def test_an_error_of_the_source_is_the_readers() -> None:
    async def items() -> AsyncIterator[int]:
        yield 1
        raise OSError("gone")

    stream = with_heartbeat(items(), 60)
    assert await anext(stream) == 1
    with pytest.raises(OSError, match="gone"):
        await anext(stream)
