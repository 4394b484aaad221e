"""``python -m benchmarks.bare PORT ROOMS``: the hand-written program behind a bare ASGI callable, peer of ``benchmarks.http``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec
import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from benchmarks import comfort, handwritten
from drasi import Node, Update


class Element(msgspec.Struct):
    id: str
    properties: dict[str, object]


class Event(msgspec.Struct):
    element: Element


class Bare:
    def __init__(self, rooms: int) -> None:
        self._program = handwritten.RoomLevel(list(comfort.elements(rooms)))
        self._decode = msgspec.json.Decoder(Event).decode
        self._readers: list[asyncio.Queue[bytes]] = []

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/stream":
            await self._stream(send)
            return
        body = b""
        while True:
            part: Any = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        element = self._decode(body).element
        for difference in self._program.apply(Update(Node("facilities", element.id, (), element.properties))):
            ((key, _, after),) = difference.changes
            assert after is not None
            frame = b'data: {"op":"u","payload":{"after":{"RoomId":"%b","ComfortLevel":%b}}}\n\n' % (
                key.encode(),
                repr(after[1]).encode(),
            )
            for reader in self._readers:
                reader.put_nowait(frame)
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")], "trailers": False})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, send: ASGISendCallable) -> None:
        reader: asyncio.Queue[bytes] = asyncio.Queue()
        self._readers.append(reader)
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
        while True:
            frames = [await reader.get()]
            while not reader.empty():
                frames.append(reader.get_nowait())
            await send({"type": "http.response.body", "body": b"".join(frames), "more_body": True})


if __name__ == "__main__":
    uvicorn.run(Bare(int(sys.argv[2])), port=int(sys.argv[1]), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
