"""A reaction behind a real HTTP server on a loopback port, and readers of its streams."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount


@asynccontextmanager
async def serving(routes: Sequence[BaseRoute], *, ws: Any = "none") -> AsyncIterator[int]:
    """Serves ``routes`` below ``/reactions/r``; gives the port."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    app = Starlette(routes=[Mount("/reactions/r", routes=list(routes))])
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws=ws, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    try:
        yield listening.getsockname()[1]
    finally:
        server.force_exit = True
        await server.shutdown(sockets=[listening])
        listening.close()


@dataclass
class Frame:
    id: str = ""
    data: str = ""
    comment: str = ""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.data)


@dataclass
class Stream:
    """One open event stream, read as fast as ``read`` is called."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    headers: str = ""
    _text: bytes = b""
    frames: list[Frame] = field(default_factory=list)

    async def read(self, count: int) -> list[Frame]:
        """The next ``count`` frames (comments are none)."""
        found: list[Frame] = []
        while len(found) < count:
            frame = await asyncio.wait_for(self.one(), 10)
            assert frame is not None, "the stream ended"
            if frame.data:
                found.append(frame)
        return found

    async def one(self) -> Frame | None:
        """The next frame or comment; None at the end."""
        while b"\n\n" not in self._text:
            size = (await self.reader.readline()).strip()
            if not size or int(size, 16) == 0:
                return None
            self._text += await self.reader.readexactly(int(size, 16))
            await self.reader.readexactly(2)
        block, _, self._text = self._text.partition(b"\n\n")
        frame = Frame()
        lines: list[str] = []
        for line in block.decode().split("\n"):
            if line.startswith("id: "):
                frame.id = line[4:]
            elif line.startswith("data: "):
                lines.append(line[6:])
            elif line.startswith(": "):
                frame.comment = line[2:]
        frame.data = "\n".join(lines)
        if frame.data:
            self.frames.append(frame)
        return frame

    async def rest(self) -> list[Frame]:
        """Everything up to the end, however it comes."""
        try:
            while await self.one() is not None:
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        return self.frames

    @property
    def last_id(self) -> str:
        return next(frame.id for frame in reversed(self.frames) if frame.id)

    async def close(self) -> None:
        self.writer.transport.abort()


async def open_stream(port: int, path: str = "/reactions/r/events", *, last: str = "", buffer: int = 0) -> Stream:
    """Opens a stream. ``buffer``: how little the system may hold for this reader."""
    client = socket.socket()
    if buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=client, limit=buffer or 2**16)
    extra = f"last-event-id: {last}\r\n" if last else ""
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n{extra}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    return Stream(reader, writer, int(head.split()[1]), head.lower())
