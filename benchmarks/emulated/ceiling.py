"""What is possible at best: an empty function behind the same server, and how fast the Pub/Sub emulator pushes to one."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from starlette.types import Receive, Scope, Send

from benchmarks import comfort
from benchmarks.container import message
from benchmarks.emulated.kept import Kept
from benchmarks.http import Connection
from benchmarks.wire import source_change
from drasi.auth import scopes
from drasi.bus.endpoint import Endpoint, FunctionEndpoints
from drasi.bus.pubsub import PubSubBus
from drasi.bus.pubsub_client import PubSubClient
from drasi.embedded.server import HttpServer, bind
from drasi.emulate.child import Child, python
from drasi.messages.changes import encode
from drasi.messages.envelope import Message, encode_push
from drasi.web.bearer import PARAMETER
from drasi.web.push import read_body, respond

CONNECTIONS = 16
_TOPIC = "ceiling-change"


@asynccontextmanager
async def empty_function() -> AsyncIterator[tuple[int, int]]:
    """An empty function in a process of its own; gives its port and its number."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=512)
    sock.setblocking(False)
    main = str(Path(__file__).parent / "empty" / "main.py")
    command = python("drasi.emulate.served", main, "empty", str(sock.fileno()))
    child = Child("empty", command, dict(os.environ), print, descriptors=[sock.fileno()])
    await child.start()
    try:
        async with asyncio.timeout(60):
            await child.ready()
        yield int(sock.getsockname()[1]), child.pid or 0
    finally:
        await child.stop()
        sock.close()


def bodies(kept: Kept, rooms: int, count: int, batch: int) -> list[list[bytes]]:
    """Push bodies of ``batch`` changes, for each connection; each connection is a partition of the source, so its order counts."""
    made: list[list[bytes]] = []
    for connection in range(CONNECTIONS):
        changes = []
        for change in comfort.changes(rooms, count // CONNECTIONS, seed=kept.number + connection):
            kept.number += 1
            each = source_change(change, kept.number)
            each.payload.source.partition = f"c{connection}"
            changes.append(encode(each))
        starts = range(0, len(changes), batch)
        messages = [message(changes[start : start + batch], 1) for start in starts]
        made.append(
            [encode_push(_without_positions(each), "projects/p/subscriptions/default.facilities.changes") for each in messages]
        )
    return made


def _without_positions(each: Message) -> Message:
    attributes = {name: value for name, value in each.attributes.items() if "Position" not in name}
    return Message(each.data, attributes, each.ordering_key, "1234567890123456", "2026-01-01T00:00:00.000Z")


async def posts(port: int, path: str, parts: Sequence[Sequence[bytes]]) -> float:
    """Requests per second, each connection one after the other."""

    async def send(part: Sequence[bytes]) -> None:
        async with Connection(port) as connection:
            for body in part:
                await connection.post(path, body)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(send(part))
    return sum(map(len, parts)) / (time.perf_counter() - started)


def path_of(kept: Kept) -> str:
    """Where the emulator pushes changes to: with the token as a parameter, which the function checks."""
    token = kept.identity.issuer.issue("pubsub", [f"{scopes.QUERY_DELIVER}:default"], ttl_s=3_600)
    return f"/changes?{PARAMETER}={token.text}"


async def pushes(pubsub: str, project: str, port: int, parts: Sequence[bytes]) -> float:
    """Messages per second from the emulator to the empty function, in order."""
    url = f"http://127.0.0.1:{port}/"
    async with _pushed(pubsub, project, url) as bus, httpx.AsyncClient() as client, asyncio.timeout(120):
        before = int((await client.get(url)).text)
        started = time.perf_counter()
        await asyncio.gather(*(bus.publish(_TOPIC, part, ordering_key="db") for part in parts))
        while int((await client.get(url)).text) < before + len(parts):  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.02)
        return len(parts) / (time.perf_counter() - started)


async def push_latency(pubsub: str, project: str, count: int) -> list[float]:
    """Milliseconds from publishing a message, when there is no other, until it is pushed to this process."""
    came: asyncio.Queue[float] = asyncio.Queue()

    async def take(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        came.put_nowait(time.perf_counter())
        await respond(send, 204)

    server = HttpServer(take, bind(0), drain_s=1.0)
    await server.start()
    latencies = []
    async with _pushed(pubsub, project, f"http://127.0.0.1:{server.port}/") as bus, asyncio.timeout(120):
        for number in range(count):
            # Not in step with whatever beats in the emulator.
            await asyncio.sleep(0.05 + number % 10 * 0.01)
            started = time.perf_counter()
            await bus.publish(_TOPIC, b"x" * 500, ordering_key="db")
            latencies.append((await came.get() - started) * 1_000)
    server.begin_stop()
    await server.stopped()
    return latencies


@asynccontextmanager
async def _pushed(pubsub: str, project: str, url: str) -> AsyncIterator[PubSubBus]:
    """A bus with one subscription, pushed to a URL."""
    bus = PubSubBus(PubSubClient(project, emulator=pubsub), FunctionEndpoints(lambda _: Endpoint(url)))

    async def elsewhere(message: Message) -> int:
        raise AssertionError("pushes go to the URL")

    await bus.subscribe("ceiling", _TOPIC, elsewhere)
    try:
        yield bus
    finally:
        await bus.unsubscribe("ceiling")
        await bus.close()
