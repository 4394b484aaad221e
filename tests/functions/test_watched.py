"""What a function answers while something is the matter with what it stands on."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket

from drasi.errors import DrasiError
from drasi.firestore.presence import StateLost
from drasi.functions.watched import Watched

PROBLEM = StateLost("it is gone", hint="start it again")


class World:
    """An application behind it."""

    def __init__(self, *, own_status: bool = False) -> None:
        self.problem: DrasiError | None = None
        self.troubles: dict[str, str] = {}
        self.asked: list[str] = []

        async def answer(request: Request) -> Response:
            self.asked.append(request.url.path)
            if request.url.path == "/status":
                return JSONResponse({"available": True, "messages": {"Old": "known"}, "entry": 3})
            return PlainTextResponse("fine")

        async def talk(socket: WebSocket) -> None:
            await socket.accept()
            await socket.close()

        app = Starlette(routes=[WebSocketRoute("/live", talk), Route("/{path:path}", answer, methods=["GET", "POST"])])
        self.app = Watched(app, lambda: self.problem, lambda: self.troubles, own_status=own_status)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://here")


async def test_a_function_that_is_well_is_not_touched() -> None:
    world = World()
    assert (await world.client.post("/changes")).text == "fine"
    assert (await world.client.get("/status")).json() == {"available": True, "messages": {"Old": "known"}, "entry": 3}


async def test_a_trouble_is_added_to_the_status() -> None:
    world = World()
    world.troubles = {"FirestoreUnavailable": "no answer"}
    status = await world.client.get("/status")
    assert status.json() == {"available": True, "messages": {"Old": "known", "FirestoreUnavailable": "no answer"}, "entry": 3}
    assert status.headers["content-length"] == str(len(status.content))
    assert (await world.client.post("/changes")).text == "fine"


@pytest.mark.parametrize("path", ["/readyz", "/changes", "/queries/q", "/"])
async def test_a_problem_is_the_answer_to_everything(path: str) -> None:
    world = World()
    world.problem = PROBLEM
    for verb in ("GET", "POST"):
        answer = await world.client.request(verb, path)
        assert (answer.status_code, answer.text) == (503, "LogLost: it is gone; start it again")
    assert world.asked == []


async def test_a_problem_is_in_the_status_and_the_process_lives() -> None:
    world = World()
    world.problem = PROBLEM
    assert (await world.client.get("/status")).json() == {"available": False, "messages": {"LogLost": "it is gone; start it again"}}
    assert (await world.client.get("/healthz")).status_code == 200
    assert (await world.client.get("/metrics")).status_code == 200
    assert world.asked == ["/healthz", "/metrics"]


async def test_management_has_a_status_of_its_own() -> None:
    world = World(own_status=True)
    assert (await world.client.get("/status")).json() == {"available": True, "messages": {}}
    world.troubles = {"BusUnavailable": "no answer"}
    assert (await world.client.get("/status")).json() == {"available": False, "messages": {"BusUnavailable": "no answer"}}
    assert world.asked == []


async def test_nobody_talks_to_a_function_with_a_problem() -> None:
    world = World()
    assert (await _connected(world))[0]["type"] == "websocket.accept"
    world.problem = PROBLEM
    assert await _connected(world) == [{"type": "websocket.close", "code": 1013}]


async def _connected(world: World) -> list[Message]:
    """What a WebSocket is told."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await world.app({"type": "websocket", "path": "/live", "headers": [], "query_string": b"", "subprotocols": []}, receive, send)
    return sent
