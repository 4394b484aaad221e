"""Both emulators, of one test alone: it pauses them, or lets them come back empty."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from tests.embedded.waiting import eventually
from tests.emulator.course import kept
from tests.emulator.emulators import Emulator
from tests.emulator.harbour import Harbour, harbour

PROCESSES = 8
"""The container ``pair`` has two."""
WORKS_S = 120
"""It may take so long on a machine that is busy."""


class Pair:
    """The two."""

    def __init__(self) -> None:
        self.firestore = Emulator("firestore")
        self.pubsub = Emulator("pubsub")

    def empty(self, *emulators: Emulator) -> None:
        """They end, and come back."""
        for emulator in emulators:
            emulator.stop()
            while _connects(emulator):
                # Its Java is a child of what was waited for.
                time.sleep(0.01)
            emulator.begin()

    async def answer(self, *emulators: Emulator) -> None:
        """Returns when they do again."""

        async def all_answer() -> bool:
            try:
                for emulator in emulators:
                    await client.get(f"http://{emulator.host}/")
            except httpx.HTTPError:
                return False
            return True

        async with httpx.AsyncClient(timeout=WORKS_S) as client:
            await eventually(all_answer, "they are there again", WORKS_S)


def _connects(emulator: Emulator) -> bool:
    host, _, port = emulator.host.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


@contextmanager
def pair() -> Iterator[Pair]:
    """They run."""
    one = Pair()
    try:
        for emulator in (one.firestore, one.pubsub):
            emulator.begin()
        for emulator in (one.firestore, one.pubsub):
            while not emulator.listens():
                time.sleep(0.05)
        yield one
    finally:
        one.firestore.stop()
        one.pubsub.stop()


class Lines(list[str]):
    """What is said, with the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()
        self.at: list[tuple[float, str]] = []

    def append(self, line: str) -> None:
        self.at.append((time.monotonic(), line))
        super().append(line)


@asynccontextmanager
async def running_on(
    emulators: Pair, directory: Path, *, heal: bool = True
) -> AsyncIterator[tuple[Harbour, list[tuple[float, str]]]]:
    """The harbour, and its lines with the moment they came."""
    lines = Lines()
    try:
        async with harbour(directory, lines, firestore=emulators.firestore.host, pubsub=emulators.pubsub.host, heal=heal) as one:
            await eventually(one.agrees, "the answers are those of the database", WORKS_S)
            await eventually(lambda: kept(one), "the collection is the answer", WORKS_S)
            yield one, lines.at
    finally:
        print("\n".join(f"{at - lines.began:7.2f} {line}" for at, line in lines.at[-300:]))
