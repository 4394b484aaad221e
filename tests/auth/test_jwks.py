from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drasi.auth.jwks import FetchedKeys, KeysUnavailable, by_discovery, over_http, read_jwks
from drasi.auth.keys import KeyRing
from tests.auth import attacks
from tests.web.served import serving

RING = KeyRing.generate(0, "drasi-a")


class Issuer:
    """A JWKS somewhere, and a clock."""

    def __init__(self) -> None:
        self.ring = RING
        self.fetches = 0
        self.now = 1000.0
        self.broken = False
        self.keys = FetchedKeys(self._fetch, monotonic=lambda: self.now)

    async def _fetch(self) -> bytes:
        self.fetches += 1
        await asyncio.sleep(0)
        if self.broken:
            raise OSError("refused")
        return json.dumps(self.ring.jwks(0)).encode()

    async def has(self, kid: str) -> bool:
        return await self.keys.find(kid) is not None


async def test_a_set_is_kept_for_minutes() -> None:
    issuer = Issuer()
    assert await issuer.has(RING.current.kid)
    issuer.now += 599
    assert await issuer.has(RING.current.kid)
    assert issuer.fetches == 1
    issuer.now += 2
    assert await issuer.has(RING.current.kid)
    assert issuer.fetches == 2


async def test_unknown_names_cause_one_fetch_a_minute() -> None:
    issuer = Issuer()
    assert await issuer.has(RING.current.kid)
    issuer.now += 60
    issuer.ring = RING.rotated(0)
    assert await asyncio.gather(*(issuer.has(f"guess-{n}") for n in range(50))) == [False] * 50
    assert issuer.fetches == 2
    assert await issuer.has(issuer.ring.current.kid), "what that fetch brought is known"
    for second in range(59):
        issuer.now += 1
        assert not await issuer.has(f"guess again {second}")
    assert issuer.fetches == 2
    issuer.now += 1
    assert not await issuer.has("guess")
    assert issuer.fetches == 3


async def test_an_issuer_that_is_away_is_believed_for_a_day() -> None:
    issuer = Issuer()
    assert await issuer.has(RING.current.kid)
    issuer.broken = True
    issuer.now += 3600
    assert await issuer.has(RING.current.kid)
    assert await issuer.has(RING.current.kid)
    assert issuer.fetches == 2, "it is not asked again at once"
    issuer.now += 24 * 3600
    with pytest.raises(KeysUnavailable):
        await issuer.has(RING.current.kid)
    issuer.broken = False
    with pytest.raises(KeysUnavailable):
        await issuer.has(RING.current.kid)
    issuer.now += 60
    assert await issuer.has(RING.current.kid)


def test_only_keys_that_can_verify_are_taken() -> None:
    good = [RING.current.public_jwk(), attacks.rsa_jwk(attacks.RSA, "rsa")]
    koblitz = {**ECAlgorithm.to_jwk(generate_ec(SECP256K1()).public_key(), as_dict=True), "kid": "koblitz"}
    bad = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric", "alg": "HS256"},
        attacks.rsa_jwk(generate_rsa(65537, 1024), "weak"),
        koblitz,
        {**RING.current.public_jwk(), "kid": "for encryption", "use": "enc"},
        {**RING.current.public_jwk(), "kid": 7},
        {**RING.current.public_jwk(), "kid": "cut", "x": "AAAA"},
        {**attacks.rsa_jwk(attacks.RSA, "lies"), "alg": "HS256"},
        "text",
    ]
    found = read_jwks(json.dumps({"keys": [*bad, *good]}).encode())
    usable = {kid: set(key.algorithms) for kid, key in found.items() if key.algorithms}
    assert usable == {RING.current.kid: {"ES256"}, "rsa": {"RS256"}}


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"keys": {}}', b"\xff"])
def test_what_is_no_set_is_said(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- of whatever reads JSON
        read_jwks(data)


async def test_the_configuration_of_an_issuer_leads_to_its_keys() -> None:
    address = ""

    async def configuration(request: Request) -> Response:
        issuer = f"{address}/wrong" if request.url.path.startswith("/liar") else address
        return JSONResponse({"issuer": issuer, "jwks_uri": f"{address}/keys"})

    async def keys(request: Request) -> Response:
        return JSONResponse(RING.jwks(0))

    path = "/.well-known/openid-configuration"
    routes = [Route(path, configuration), Route(f"/liar{path}", configuration), Route("/keys", keys)]
    async with serving(Starlette(routes=routes)) as client:
        address = str(client.base_url).rstrip("/")
        assert await FetchedKeys(by_discovery(address)).find(RING.current.kid) is not None
        with pytest.raises(ValueError, match="not the configuration of this issuer"):
            await by_discovery(f"{address}/liar")()
        with pytest.raises(ValueError, match="answered 404"):
            await over_http(f"{address}/nowhere")()


async def test_keys_come_over_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "AsyncClient", None)  # nothing is sent
    with pytest.raises(ValueError, match="https"):
        await over_http("http://login.example/keys")()
