"""WebSockets through the gateway: whose token they show, what passes, and what both sides hear when one of them ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from drasi.auth.scopes import ADMIN
from drasi.embedded.identity import Identity
from drasi.embedded.server import HttpServer, bind
from drasi.emulate.gateway import Gateway, gateway_app

DEADLINE_S = 20.0


class Function:
    """A function with sockets: says how it was asked, sends back what comes, and keeps how each reader left."""

    def __init__(self) -> None:
        self.left: asyncio.Queue[int] = asyncio.Queue()
        self.opened: list[WebSocket] = []
        self.app = Starlette(
            routes=[
                WebSocketRoute("/reactions/board/echo", self._echo),
                WebSocketRoute("/reactions/board/end", self._end),
                WebSocketRoute("/reactions/board/deny", self._deny),
            ]
        )

    async def _echo(self, socket: WebSocket) -> None:
        self.opened.append(socket)
        await socket.accept("b" if "b" in socket.scope["subprotocols"] else None)
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message["code"])
                if message.get("text") is not None:
                    await socket.send_text(message["text"])
                else:
                    await socket.send_bytes(message["bytes"])
        except WebSocketDisconnect as gone:
            await self.left.put(gone.code)

    async def _end(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("last words")
        await socket.close(4001, "enough")

    async def _deny(self, socket: WebSocket) -> None:
        await socket.send_denial_response(PlainTextResponse("not yours", 403))


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[HttpServer]:
    server = HttpServer(app, bind(0), drain_s=1.0)
    await server.start()
    try:
        yield server
    finally:
        server.begin_stop()
        await server.stopped()


class World:
    """A function behind the gateway, and a token."""

    def __init__(self, state: Path) -> None:
        self.function = Function()
        self.identity = Identity(state)
        self.token = self.identity.issuer.between_functions("tests", [ADMIN])
        self.url = ""
        self.place: str | None = None
        self.abort: Callable[[], None]

    def open(self, path: str, *, token: str = "", **settings: Any) -> connect:
        headers = {"Cookie": f"drasi_token={token or self.token}", **settings.pop("headers", {})}
        return connect(f"{self.url}/reactions/{path}", additional_headers=headers, proxy=None, max_size=None, **settings)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    found = World(tmp_path)
    async with served(found.function.app) as function, httpx.AsyncClient() as client:
        found.place = f"http://127.0.0.1:{function.port}"

        def abort() -> None:
            for connection in list(function._server.server_state.connections):
                connection.transport.abort()

        found.abort = abort
        gateway = Gateway(lambda kind, name: found.place if (kind, name) == ("reaction", "board") else None, client)
        async with served(gateway_app(gateway, found.identity.verifier, "here")) as server, asyncio.timeout(DEADLINE_S):
            found.url = f"ws://127.0.0.1:{server.port}"
            yield found


async def test_what_one_side_sends_the_other_gets(world: World) -> None:
    async with world.open("board/echo?query=a%20b", subprotocols=["a", "b"]) as socket:
        assert socket.subprotocol == "b"
        for message in ("text", b"\x00bytes", "x" * 3_000_000, b"y" * 3_000_000, "", b""):
            await socket.send(message)
            assert await socket.recv() == message
        asked = world.function.opened[0]
        assert (asked.url.path, asked.query_params["query"]) == ("/reactions/board/echo", "a b")
        await socket.close(4000, "done")
        assert await world.function.left.get() == 4000


async def test_the_token_is_shown_in_a_header_and_nowhere_else(world: World) -> None:
    async with world.open("board/echo?n=1"):
        pass
    async with connect(f"{world.url}/reactions/board/echo?n=1&access_token={world.token}", proxy=None):
        pass
    async with connect(
        f"{world.url}/reactions/board/echo?n=1", additional_headers={"Authorization": f"Bearer {world.token}"}, proxy=None
    ):
        pass
    assert len(world.function.opened) == 3
    for asked in world.function.opened:
        assert asked.headers["authorization"] == f"Bearer {world.token}"
        assert "cookie" not in asked.headers
        assert str(asked.url).endswith("/reactions/board/echo?n=1")


@pytest.mark.parametrize("token", ["none", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"])
async def test_without_a_token_that_is_good_nothing_is_opened(world: World, token: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await world.open("board/echo", token=token)
    assert refused.value.response.status_code == 401
    assert world.function.opened == []


async def test_a_page_of_another_site_opens_nothing(world: World) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await world.open("board/echo", origin="http://evil.example")
    assert refused.value.response.status_code == 403
    assert world.function.opened == []
    async with world.open("board/echo", origin=world.url.replace("ws", "http")) as socket:
        await socket.send("mine")
        assert await socket.recv() == "mine"


async def test_what_the_function_says_when_it_refuses_is_passed_on(world: World) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await world.open("board/deny")
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"not yours")
    with pytest.raises(InvalidStatus) as refused:
        await world.open("bord/echo")
    assert refused.value.response.status_code == 403


async def test_an_end_is_heard_with_its_code(world: World) -> None:
    async with world.open("board/end") as socket:
        assert await socket.recv() == "last words"
        assert await closed(socket) == (4001, "enough")


async def test_a_function_that_dies_ends_the_socket_and_one_that_is_not_there_is_said(world: World) -> None:
    async with world.open("board/echo") as socket:
        await socket.send("a")
        await socket.recv()
        world.abort()
        assert (await closed(socket))[0] == 1012
    world.place = "http://127.0.0.1:1"
    with pytest.raises(InvalidStatus) as refused:
        await world.open("board/echo")
    assert refused.value.response.status_code == 503
    assert b"being started" in (refused.value.response.body or b"")


async def closed(socket: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as ended:
        await socket.recv()
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code, ended.value.rcvd.reason
