"""WebSockets through the gateway: what one side sends goes to the other, until one of them ends it."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

OPEN_S: Final = 5.0
_ABNORMAL: Final = frozenset((1005, 1006, 1015))
"""Codes that say that there was none; they are never sent."""
_DENIAL: Final = "websocket.http.response"


async def forward_socket(url: str, token: str | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Opens the same socket at the function at ``url``, and joins the two.

    Args:
        url: Without a path.
        token: Shown to the function in a header; its address has none.
    """
    socket = WebSocket(scope, receive, send)
    await socket.receive()
    query = scope["query_string"].decode("latin-1")
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    target = f"ws{url.removeprefix('http')}{raw.decode('latin-1')}" + (f"?{query}" if query else "")
    try:
        # The guard has looked at the origin, which is not the function's.
        function = await connect(
            target,
            additional_headers={"Authorization": f"Bearer {token}"} if token else None,
            subprotocols=[Subprotocol(name) for name in scope.get("subprotocols") or ()] or None,
            compression=None,
            max_size=None,
            open_timeout=OPEN_S,
            proxy=None,
        )
    except InvalidStatus as error:
        await _deny(socket, error.response.status_code, (error.response.body or b"").decode(errors="replace"))
        return
    except (InvalidHandshake, OSError) as error:
        await _deny(socket, 503, f"its function does not answer ({type(error).__name__}); it is being started")
        return
    try:
        await socket.accept(function.subprotocol)
        await _join(socket, function)
    finally:
        await function.close()


async def _join(socket: WebSocket, function: ClientConnection) -> None:
    ways = [asyncio.ensure_future(_out(socket, function)), asyncio.ensure_future(_in(socket, function))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        outcomes = await asyncio.gather(*ways, return_exceptions=True)
    for outcome in outcomes:
        # What a side did that is gone already says nothing new.
        if isinstance(outcome, Exception) and not isinstance(outcome, (ConnectionClosed, WebSocketDisconnect, OSError)):
            raise outcome


async def _out(socket: WebSocket, function: ClientConnection) -> None:
    """From the function to the browser."""
    try:
        while True:
            message = await function.recv()
            await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd is not None else 1012
        reason = closed.rcvd.reason if closed.rcvd is not None else "its function ended; it is being started again"
        await socket.close(1000 if code in _ABNORMAL else code, reason)


async def _in(socket: WebSocket, function: ClientConnection) -> None:
    """From the browser to the function."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or 1000
            await function.close(1000 if code in _ABNORMAL else code, message.get("reason") or "")
            return
        text = message.get("text")
        await function.send(message["bytes"] if text is None else text)


async def _deny(socket: WebSocket, status: int, text: str) -> None:
    if _DENIAL in (socket.scope.get("extensions") or {}):
        await socket.send_denial_response(PlainTextResponse(text, status))
    else:
        await socket.close(1008 if status < 500 else 1013, text[:120])
