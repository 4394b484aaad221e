from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from drasi.auth.keys import KeysUnreadable
from drasi.web.guard import Forbidden, Guard, is_loopback
from drasi.web.refusal import Unauthorized

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


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403), ("0.0.0.0", 403), ("2001:db8::1", 403), ("/run/drasi.sock", 200)],
)
async def test_without_tokens_only_loopback_is_served(address: str, status: int) -> None:
    """Whatever ``Host`` says: what counts is the address that the connection came to."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers, "server": (address, 80)}
    for loopback_only in (True, False):
        sent.clear()
        await Guard(inner, loopback_only=loopback_only)(scope, receive, send)
        assert sent[0]["status"] == status

    async def anybody(scope: Scope) -> None:
        """Tokens are checked, and this one is good."""

    sent.clear()
    await Guard(inner, loopback_only=False, authorize=anybody)(scope, receive, send)
    assert sent[0]["status"] == 200


async def test_a_websocket_is_refused_with_a_status_where_the_server_can() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def nobody(scope: Scope) -> None:
        raise Unauthorized("bring one")

    scope: Scope = {"type": "websocket", "scheme": "ws", "path": "/", "headers": [(b"host", b"127.0.0.1:1")]}
    scope["extensions"] = {"websocket.http.response": {}}
    await Guard(inner, authorize=nobody)(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert sent[0]["status"] == 401
    assert (b"www-authenticate", b'Bearer error="invalid_token"') in sent[0]["headers"]


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_defect() -> None:
    asked: list[str] = []

    async def receive() -> Message:
        asked.append("receive")
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    await Guard(app)({"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}, receive, send)
    assert asked == ["receive"]


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("drasi.example", "https://drasi.example", 200),
        ("drasi.example", "http://drasi.example", 200),
        ("drasi.example:8443", "https://drasi.example:8443", 200),
        ("drasi.example:443", "https://drasi.example", 200),
        ("drasi.example", "https://drasi.example:8443", 403),
        ("drasi.example", "https://drasi.example.evil.example", 403),
        ("drasi.example", "https://evil.example", 403),
    ],
)
async def test_behind_whoever_ends_tls_a_page_is_still_our_own(host: str, origin: str, status: int) -> None:
    answer = await ask("POST", guard=Guard(inner, loopback_only=False, authorize=_anybody), Host=host, Origin=origin)
    assert answer.status_code == status


@pytest.mark.parametrize("origin", ["null", "http://[", "https://"])
async def test_two_addresses_that_are_none_are_not_the_same(origin: str) -> None:
    answer = await ask("POST", guard=Guard(inner, loopback_only=False, authorize=_anybody), Host="[", Origin=origin)
    assert answer.status_code == 403


async def test_why_tokens_cannot_be_checked_is_not_told_to_strangers() -> None:
    async def broken(scope: Scope) -> None:
        raise KeysUnreadable("cannot read /mnt/keys/keys.json: Permission denied", hint="it holds the signing keys")

    answer = await ask(guard=Guard(inner, authorize=broken))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.text == "tokens cannot be checked now; try again; the log of the function says why"


async def _anybody(scope: Scope) -> None:
    """Tokens are checked, and this one is good."""
