"""A key of the terminal that ends what is shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def pressed(key: str) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the key is pressed; the terminal is as before afterwards. Without a terminal it never is."""
    event = asyncio.Event()
    if not sys.stdin.isatty():
        yield event
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def read() -> None:
        typed = os.read(descriptor, 100)
        if key.encode() in typed or not typed:
            event.set()

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield event
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def waited(event: asyncio.Event, seconds: float) -> bool:
    """Waits for the event, at most so long; whether it is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
