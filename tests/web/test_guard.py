from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Scope

from drasi.web.guard import Forbidden, Guard, is_loopback

inner = PlainTextResponse("through")


async def ask(method: str = "GET", *, guard: Guard | None = None, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(guard or Guard(inner))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        return await client.request(method, "/v1/sources", headers=headers)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1:8080", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("drasi.localhost:8080", True),
        ("[::1]:8080", True),
        ("example.org", False),
        ("127.0.0.1.example.org", False),
        ("localhost.example.org", False),
        ("10.0.0.1", False),
        ("", False),
        ("[", False),
    ],
)
async def test_only_loopback_hosts(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    answer = await ask(Host=host)
    assert answer.status_code == (200 if loopback else 403)


async def test_a_refusal_says_what_to_do() -> None:
    answer = await ask(Host="rebound.example.org", Accept="application/json")
    assert answer.json()["code"] == "Forbidden"
    assert "rebound.example.org" in answer.json()["detail"]
    assert answer.json()["hint"] == "use http://127.0.0.1 or http://localhost"


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        ("POST", None, 200),
        ("POST", "http://127.0.0.1:8080", 200),
        ("POST", "http://localhost:8080", 403),
        ("POST", "http://127.0.0.1:9090", 403),
        ("POST", "https://evil.example.org", 403),
        ("PUT", "null", 403),
        ("DELETE", "http://[", 403),
        ("GET", "https://evil.example.org", 200),
        ("OPTIONS", "https://evil.example.org", 200),
    ],
)
async def test_writing_requests_come_from_our_own_pages(method: str, origin: str | None, status: int) -> None:
    answer = await (ask(method) if origin is None else ask(method, Origin=origin))
    assert answer.status_code == status


async def test_a_websocket_of_a_foreign_page_is_closed() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": "/",
        "headers": [(b"host", b"127.0.0.1:1"), (b"origin", b"https://evil.example.org")],
    }
    await Guard(inner)(scope, receive, send)
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]


async def test_every_request_passes_the_check_of_tokens() -> None:
    seen: list[str] = []

    async def authorize(scope: Scope) -> None:
        seen.append(scope["path"])
        raise Forbidden("no token")

    answer = await ask(guard=Guard(inner, authorize=authorize))
    assert (answer.status_code, answer.text, seen) == (403, "no token", ["/v1/sources"])


async def test_behind_a_gateway_any_host_is_allowed() -> None:
    answer = await ask(guard=Guard(inner, loopback_only=False), Host="drasi.example.org")
    assert answer.status_code == 200
