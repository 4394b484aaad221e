"""Push deliveries in front of the router."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from drasi.messages.envelope import Message, encode_push
from drasi.web import push
from drasi.web.push import PushFront
from tests.web.served import serving


class Taker:
    """Keeps messages, and answers what it is told to."""

    def __init__(self, status: int = 204) -> None:
        self.status = status
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> int:
        self.messages.append(message)
        if self.status == 0:
            raise RuntimeError("a defect")
        return self.status


async def _other(request: Request) -> Response:
    return PlainTextResponse("router")


def _front(taker: Taker) -> PushFront:
    return PushFront(
        {"/changes": taker}, Starlette(routes=[Route("/changes", _other), Route("/elsewhere", _other, methods=["POST"])])
    )


MESSAGE = Message(b"[]", {"drasi-type": "changes", "source": "db"}, "db", "7", "2026-03-01T08:15:30Z")


@pytest.mark.parametrize("status", [204, 429, 503])
async def test_the_message_arrives_and_the_status_is_the_answer(status: int) -> None:
    taker = Taker(status)
    async with serving(_front(taker)) as client:
        answer = await client.post("/changes", content=encode_push(MESSAGE, "projects/p/subscriptions/s"))
    assert (answer.status_code, answer.content) == (status, b"")
    assert taker.messages == [MESSAGE]


async def test_a_defect_asks_for_the_message_again_and_shows_nothing() -> None:
    async with serving(_front(Taker(0))) as client:
        answer = await client.post("/changes", content=encode_push(MESSAGE, "s"))
    assert (answer.status_code, answer.content) == (500, b"")


async def test_what_is_no_envelope_is_refused() -> None:
    taker = Taker()
    async with serving(_front(taker)) as client:
        answer = await client.post("/changes", content=b'{"message": {"data": "%%%"}}')
    assert answer.status_code == 400
    assert "not a Pub/Sub push envelope" in answer.text
    assert taker.messages == []


async def test_a_body_in_parts_is_read_whole_and_one_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker()
    large = Message(b"x" * 200_000, {}, "db")

    async def parts(body: bytes):  # type: ignore[no-untyped-def]
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    async with serving(_front(taker)) as client:
        assert (await client.post("/changes", content=parts(encode_push(large, "s")))).status_code == 204
        monkeypatch.setattr(push, "LARGEST_BODY", 100_000)
        assert (await client.post("/changes", content=parts(encode_push(large, "s")))).status_code == 413
    assert [message.data for message in taker.messages] == [large.data]


async def test_everything_else_is_the_routers() -> None:
    async with serving(_front(Taker())) as client:
        answers: list[httpx.Response] = [await client.get("/changes"), await client.post("/elsewhere")]
    assert [answer.text for answer in answers] == ["router", "router"]
