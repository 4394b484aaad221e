"""How a browser gets in, and what a person without a token is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from drasi.auth.issue import TokenIssuer
from drasi.auth.issuers import TrustedIssuer, installation
from drasi.auth.jwks import KeysUnavailable, RingKeys, VerifyingKey
from drasi.auth.keys import MemoryKeyStore
from drasi.auth.verify import Verifier
from drasi.web.access import protected
from drasi.web.sign_in import address_with

WHERE = "Paste the <token> that an administrator made."
HINT = "paste the <token> that an administrator made."
STORE = MemoryKeyStore()
ISSUER = TokenIssuer(STORE)


async def whoami(request: Request) -> Response:
    return PlainTextResponse(request.scope["drasi.subject"])


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    verifier = Verifier([installation(ISSUER.ring().installation, RingKeys(STORE))])
    app = protected(Starlette(routes=[Route("/", whoami, methods=["GET", "POST"])]), verifier, where=WHERE, loopback_only=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080") as client:
        yield client


async def test_a_browser_is_shown_where_the_token_is(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "Paste the &lt;token&gt; that an administrator made." in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert policy.count("'sha256-") == 2


async def test_others_are_told_in_words_they_read(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"Accept": "application/json"})
    assert (answer.json()["status"], answer.json()["code"], answer.json()["hint"]) == (401, "Unauthorized", HINT)
    text = await client.get("/")
    assert text.text == f"the token is missing, or is not valid here; {HINT}"


async def test_the_token_becomes_a_cookie_that_scripts_cannot_read(client: httpx.AsyncClient) -> None:
    token = ISSUER.issue("ada", ["admin"], ttl_s=600)
    answer = await client.post("/sign-in", headers={"Authorization": f"Bearer {token.text}"})
    assert answer.status_code == 204
    cookie = SimpleCookie(answer.headers["set-cookie"])["drasi_token"]
    assert cookie.value == token.text
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"], cookie["secure"]) == (True, "strict", "/", "")
    assert 590 <= int(cookie["max-age"]) <= 600
    assert (await client.get("/")).text == "ada"
    own = {"Origin": "http://127.0.0.1:8080"}
    assert (await client.post("/", headers=own)).text == "ada"
    assert (await client.post("/", headers={"Origin": "http://127.0.0.1:9090"})).status_code == 403
    shown = await client.get("/sign-in", headers={"Accept": "application/json"})
    assert shown.json() == {"subject": "ada", "scope": "admin", "expires": token.expires}
    page = await client.get("/sign-in", headers={"Accept": "text/html"})
    assert (page.status_code, "token" in page.text) == (200, True)
    assert (await client.patch("/sign-in")).status_code == 405
    away = await client.delete("/sign-in")
    assert (away.status_code, SimpleCookie(away.headers["set-cookie"])["drasi_token"].value) == (204, "")
    assert (await client.get("/")).status_code == 401


async def test_over_https_the_cookie_stays_there(client: httpx.AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {ISSUER.issue('ada', ['admin']).text}"}
    answer = await client.post("https://127.0.0.1/sign-in", headers=headers)
    assert SimpleCookie(answer.headers["set-cookie"])["drasi_token"]["secure"] is True
    headers = {"Authorization": f"Bearer {ISSUER.issue('ada', ['admin']).text}", "Origin": "https://127.0.0.1:8080"}
    behind_tls = await client.post("/sign-in", headers=headers)
    assert SimpleCookie(behind_tls.headers["set-cookie"])["drasi_token"]["secure"] is True


async def test_nobody_signs_in_with_a_token_that_is_not_valid(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        answer = await client.post("/sign-in", headers=headers)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers


def test_the_token_is_where_no_server_sees_it() -> None:
    assert httpx.URL(address_with("http://127.0.0.1:8080", "abc")).raw_path == b"/sign-in"


async def test_while_keys_cannot_be_had_it_is_said_that_it_is_not_the_token() -> None:
    class Away:
        async def find(self, kid: str) -> VerifyingKey | None:
            raise KeysUnavailable("the keys of the token's issuer cannot be had now")

    trusted: TrustedIssuer = installation(ISSUER.ring().installation, Away())
    app = protected(Starlette(), Verifier([trusted]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answer = await client.get("/", headers={"Authorization": f"Bearer {ISSUER.issue('ada', ['admin']).text}"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
