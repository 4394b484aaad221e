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

from drasi.auth.jwks import Fetch, FetchedKeys, KeysUnavailable, by_discovery, over_http, read_jwks
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


@pytest.mark.parametrize(
    "fault", [RecursionError(), httpx.InvalidURL("no host"), NotImplementedError(), ExceptionGroup("", [OverflowError()])]
)
async def test_no_answer_of_an_issuer_is_a_defect_of_ours(fault: Exception) -> None:
    async def fetch() -> bytes:
        raise fault

    with pytest.raises(KeysUnavailable):
        await FetchedKeys(fetch).find("a")


async def test_one_strange_key_does_not_spoil_the_others() -> None:
    strange = {**RING.current.public_jwk(), "kid": "strange", "alg": "none"}
    found = read_jwks(json.dumps({"keys": [strange, RING.current.public_jwk()]}).encode())
    assert list(found) == [RING.current.kid]
    with pytest.raises(KeysUnavailable):
        await FetchedKeys(_answering(b"[" * 200_000)).find("a")


async def test_while_an_issuer_hangs_its_known_keys_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    hanging = asyncio.Event()

    async def fetch() -> bytes:
        if now:
            hanging.set()
            await asyncio.Event().wait()
        return json.dumps(RING.jwks(0)).encode()

    keys = FetchedKeys(fetch, monotonic=lambda: now)
    assert await keys.find(RING.current.kid)
    now = 3600.0
    guess = asyncio.create_task(keys.find("a guess"))
    await hanging.wait()
    assert await keys.find(RING.current.kid)
    guess.cancel()
    monkeypatch.setattr("drasi.auth.jwks.FETCH_S", 0.01)
    now += 60
    assert await keys.find("another guess") is None, "a fetch ends by itself"


async def test_an_issuer_elsewhere_cannot_send_us_to_this_machine() -> None:
    asked: list[str] = []
    issuer = "https://people.example"
    configuration = {"issuer": issuer, "jwks_uri": "http://127.0.0.1:8080/v1/keys"}

    async def get(url: str) -> bytes:
        asked.append(url)
        return json.dumps(configuration).encode()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("drasi.auth.jwks._get", get)
        with pytest.raises(ValueError, match="on this machine"):
            await by_discovery(issuer)()
    assert asked == [f"{issuer}/.well-known/openid-configuration"]


def _answering(body: bytes) -> Fetch:
    async def fetch() -> bytes:
        return body

    return fetch
