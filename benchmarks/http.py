"""End to end over HTTP: POST in, SSE out, two processes on this machine.

Ours is the whole system (`drasi run`: source, bus, log with a durable commit, query, SSE reaction). The peer is a bare ASGI
callable around the hand-written program, on the same server, with nothing durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from statistics import quantiles

import msgspec

from benchmarks import comfort
from drasi import Insert, Relation, Update

_encode = msgspec.json.Encoder().encode

ROOT = str(Path(__file__).resolve().parents[1])
MANIFESTS = """
apiVersion: v1
kind: Source
name: facilities
spec: {{kind: Http}}
---
apiVersion: v1
kind: ContinuousQuery
name: comfort
spec:
  sources: {{subscriptions: [{{id: facilities}}]}}
  query: {query}
---
apiVersion: v1
kind: Reaction
name: stream
spec: {{kind: SSE, queries: {{comfort: null}}}}
"""


def event(change: Insert | Update) -> dict[str, object]:
    element = change.element
    relation = isinstance(element, Relation)
    body: dict[str, object] = {
        "type": "relation" if relation else "node",
        "id": element.id,
        "labels": list(element.labels),
        "properties": element.properties,
    }
    if isinstance(element, Relation):
        body |= {"from": element.start, "to": element.end}
    return {"operation": "insert" if isinstance(change, Insert) else "update", "element": body}


class Connection:
    """One kept HTTP connection, as cheap as a client can be."""

    def __init__(self, port: int, shown: str = "") -> None:
        self._port = port
        self._shown = shown

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def post(self, path: str, body: bytes) -> None:
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}{self._shown}\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if not answer.startswith((b"HTTP/1.1 202", b"HTTP/1.1 204")):
            raise RuntimeError(answer.decode())
        for line in answer.split(b"\r\n"):
            if line.lower().startswith(b"content-length:") and int(line.split(b":")[1]):
                await self._reader.readexactly(int(line.split(b":")[1]))


async def lines(port: int, path: str, opened: asyncio.Event, shown: str) -> AsyncIterator[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n{shown}\r\n".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(answer.decode())
    opened.set()
    try:
        while line := await reader.readline():
            if line.startswith(b"data:"):
                yield line
    finally:
        writer.close()


async def measure_server(
    port: int, post: str, stream: str, changes: Sequence[Update], connections: int, shown: str = ""
) -> tuple[float, list[float]]:
    """Changes per second of a burst over ``connections``, and latencies (ms) of single changes one after the other."""
    opened = asyncio.Event()
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def follow() -> None:
        async for line in lines(port, stream, opened, shown):
            seen.put_nowait(line)

    following = asyncio.create_task(follow())
    await opened.wait()

    def marked(temp: float) -> bytes:
        node = {"name": "Room 0", "temp": temp, "humidity": 42, "co2": 500}
        return _encode({"operation": "update", "element": {"type": "node", "id": "r0", "labels": ["Room"], "properties": node}})

    async def until(text: bytes) -> None:
        while text not in await seen.get():
            pass

    latencies = []
    async with Connection(port, shown) as one:
        for number in range(300):
            started = time.perf_counter()
            await one.post(post, marked(1000.0 + number))
            await until(f'"ComfortLevel":{978.0 + number}'.encode())
            latencies.append((time.perf_counter() - started) * 1000)
    bodies = [_encode(event(change)) for change in changes]
    started = time.perf_counter()

    async def send(part: Sequence[bytes]) -> None:
        async with Connection(port, shown) as connection:
            for body in part:
                await connection.post(post, body)

    async with asyncio.TaskGroup() as group:
        for first in range(connections):
            group.create_task(send(bodies[first::connections]))
    async with Connection(port, shown) as one:
        await one.post(post, marked(5000.0))
    await until(b'"ComfortLevel":4978.0')
    elapsed = time.perf_counter() - started
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    return len(changes) / elapsed, latencies


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listening(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("the server does not listen")


async def _with_server(command: Sequence[str], port: int, rooms: int, count: int, state: Path | None) -> tuple[float, list[float]]:
    environment = {**os.environ, "PYTHONPATH": ROOT}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.DEVNULL)
    try:
        await _listening(port)
        changes = [change for change in comfort.changes(rooms, count) if change.element.id != "r0"]
        if state is None:
            return await measure_server(port, "/events", "/stream", changes, 16)
        shown = f"Authorization: Bearer {Path(state, 'token').read_text().strip()}\r\n"  # noqa: ASYNC240 -- nothing else runs here
        async with Connection(port, shown) as loader:
            elements = [event(insert) for insert in comfort.elements(rooms)]
            for first in range(0, len(elements), 500):
                await loader.post("/sources/facilities/events/batch", _encode({"events": elements[first : first + 500]}))
        stream = "/reactions/stream/events?query=comfort"
        return await measure_server(port, "/sources/facilities/events", stream, changes, 16, shown)
    finally:
        process.terminate()
        await process.wait()


def measure(rooms: int, count: int) -> dict[str, tuple[float, float, float]]:
    """Per server: (changes per second over 16 connections, p50 and p99 of the latency of single changes in ms)."""
    results = {}
    for name in ("ours", "by hand"):
        port = free_port()
        with tempfile.TemporaryDirectory() as directory:
            state = None
            if name == "ours":
                state = Path(directory, "state")
                manifests = Path(directory, "manifests")
                manifests.mkdir()
                text = _encode(comfort.QUERIES["room level"]).decode()
                Path(manifests, "all.yaml").write_text(MANIFESTS.format(query=text))
                command = [
                    sys.executable,
                    "-m",
                    "drasi",
                    "run",
                    str(manifests),
                    "--port",
                    str(port),
                    "--state",
                    str(state),
                ]
            else:
                command = [sys.executable, "-m", "benchmarks.bare", str(port), str(rooms)]
            rate, latencies = asyncio.run(_with_server(command, port, rooms, count, state))
        cuts = quantiles(latencies, n=100)
        results[name] = (rate, cuts[49], cuts[98])
    return results
