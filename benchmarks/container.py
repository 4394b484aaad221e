"""Through the container on SQLite: messages of 1, 100, 500 changes, each committed durably before it is acknowledged."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks import comfort
from benchmarks.wire import source_change
from drasi.bus.port import Deliver
from drasi.container import Container, SnapshotPart
from drasi.log.sqlite import SQLiteLog
from drasi.messages import control as control_messages
from drasi.messages.changes import encode
from drasi.messages.control import ControlMessage
from drasi.messages.envelope import Message

IN_FLIGHT = 16
"""Messages a source has on the way at once: what waits while a commit is under way becomes the next entry."""


class Nowhere:
    """A bus that takes everything at once."""

    def __init__(self) -> None:
        self.events = 0

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        self.events += 1
        return ""

    async def subscribe(self, subscription: str, topic: str, deliver: Deliver, *, durable: bool = True) -> None: ...

    async def detach(self, subscription: str) -> None: ...

    async def unsubscribe(self, subscription: str) -> None: ...

    async def close(self) -> None: ...


class NothingYet:
    """Sources without a snapshot: what there is comes as changes."""

    async def read(self, source: str, nodes: frozenset[str], relations: frozenset[str], cursor: str | None) -> SnapshotPart:
        return SnapshotPart((), None, 0, marked=False)


def message(changes: list[bytes], first: int) -> Message:
    attributes = {
        "drasi-type": "changes",
        "source": comfort.SOURCE,
        "count": str(len(changes)),
        "firstPosition": f"{first:020d}",
        "lastPosition": f"{first + len(changes) - 1:020d}",
    }
    return Message(b"[" + b",".join(changes) + b"]", attributes, comfort.SOURCE)


async def _measure(text: str, rooms: int, count: int, batch: int, directory: Path) -> float:
    container = Container("bench", SQLiteLog(directory / f"{batch}.db"), Nowhere(), NothingYet())
    await container.start()
    spec = {"query": text, "sources": {"subscriptions": [{"id": comfort.SOURCE}]}}
    order = ControlMessage(kind="configure", queryId="comfort", version=1, spec=spec)
    assert await container.control(Message(control_messages.encode(order), {})) == 204
    number = 1
    loading = [encode(source_change(insert, number + i)) for i, insert in enumerate(comfort.elements(rooms))]
    for start in range(0, len(loading), 1000):
        assert await container.changes(message(loading[start : start + 1000], number + start)) == 204
    number += len(loading)
    changes = [encode(source_change(change, number + i)) for i, change in enumerate(comfort.changes(rooms, count))]
    messages = [message(changes[i : i + batch], number + i) for i in range(0, count, batch)]
    waiting = asyncio.Semaphore(IN_FLIGHT)

    async def send(one: Message) -> None:
        assert await container.changes(one) == 204
        waiting.release()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for one in messages:
            await waiting.acquire()
            group.create_task(send(one))
    elapsed = time.perf_counter() - started
    await container.close()
    return count / elapsed


def measure(rooms: int, batches: Mapping[int, int]) -> dict[str, dict[int, float]]:
    """Per query and batch size (with its number of changes): changes per second."""
    results: dict[str, dict[int, float]] = {}
    for name, text in comfort.QUERIES.items():
        with tempfile.TemporaryDirectory() as directory:
            results[name] = {
                batch: asyncio.run(_measure(text, rooms, count, batch, Path(directory))) for batch, count in batches.items()
            }
    return results
