from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from drasi.auth.issue import TokenIssuer
from drasi.auth.issuers import GOOGLE, google_push, installation, oidc
from drasi.auth.jwks import FetchedKeys, RingKeys
from drasi.auth.keys import KeyRing, MemoryKeyStore
from drasi.auth.verify import InvalidToken, Verifier
from tests.auth import attacks

NOW = 1_790_000_000
RING = KeyRing.generate(NOW - 3600, "drasi-harbour")
OIDC = "https://login.example"
PUSHER = "push@port.iam.gserviceaccount.com"


def _rsa_keys() -> FetchedKeys:
    async def fetch() -> bytes:
        return json.dumps({"keys": [attacks.rsa_jwk(attacks.RSA, "g1")]}).encode()

    return FetchedKeys(fetch)


def verifier(ring: KeyRing = RING, now: Callable[[], float] = lambda: NOW) -> Verifier:
    issuers = [
        installation(ring.installation, RingKeys(MemoryKeyStore(ring), now), audiences=["https://query.example"]),
        google_push({PUSHER: ["query:deliver:default"]}, ["https://query.example/changes"], _rsa_keys()),
        oidc(OIDC, ["drasi"], {"operators": ["resource:write", "resource:read"], "rows": ["query:read:*"]}, keys=_rsa_keys()),
    ]
    return Verifier(issuers, now=now)


def by_google(**changes: Any) -> str:
    said = {
        "iss": GOOGLE,
        "sub": "1081",
        "aud": "https://query.example/changes",
        "email": PUSHER,
        "email_verified": True,
        "iat": NOW,
        "exp": NOW + 3600,
    }
    return jwt.encode({**said, **changes}, attacks.RSA, algorithm="RS256", headers={"kid": "g1"})


def by_oidc(**changes: Any) -> str:
    said = {"iss": OIDC, "sub": "ada", "aud": "drasi", "groups": ["operators"], "iat": NOW, "exp": NOW + 3600}
    return jwt.encode({**said, **changes}, attacks.RSA, algorithm="RS256", headers={"kid": "g1"})


async def test_a_genuine_token_says_who_and_what() -> None:
    token = TokenIssuer(MemoryKeyStore(RING), now=lambda: NOW).issue("clock", ["query:deliver:default", "resource:read"], ttl_s=600)
    principal = await verifier().verify(token.text)
    assert (principal.subject, principal.issuer, principal.expires) == ("clock", "drasi-harbour", NOW + 600)
    assert principal.scopes == {"query:deliver:default", "resource:read"}


@pytest.mark.parametrize(("name", "token"), [*attacks.forged(RING, NOW), *attacks.untrue(RING, NOW), *attacks.malformed()])
async def test_an_attack_is_refused(name: str, token: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        await verifier().verify(token)
    assert str(caught.value) == "the token is missing, or is not valid here"
    assert len(caught.value.reason) < 40


async def test_the_attacks_would_pass_with_the_right_key() -> None:
    """The tokens above differ from this one in a single thing."""
    principal = await verifier().verify(attacks.signed(RING, attacks.claims(RING, NOW)))
    assert principal.scopes == {"admin"}


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"iat": NOW - 600, "exp": NOW - 29}, True),
        ({"iat": NOW - 600, "exp": NOW - 30}, False),
        ({"nbf": NOW + 30}, True),
        ({"nbf": NOW + 31}, False),
        ({"iat": NOW + 30}, True),
        ({"iat": NOW + 31}, False),
        ({"aud": ["elsewhere", "https://query.example"]}, True),
        ({"exp": NOW + 24 * 3600}, True),
        ({"exp": NOW + 24 * 3600 + 1}, False),
    ],
)
async def test_limits(changes: dict[str, Any], passes: bool) -> None:
    token = attacks.signed(RING, attacks.claims(RING, NOW, **changes))
    if passes:
        assert (await verifier().verify(token)).subject == "mallory"
    else:
        with pytest.raises(InvalidToken):
            await verifier().verify(token)


async def test_scopes_nobody_knows_mean_nothing() -> None:
    token = attacks.signed(RING, attacks.claims(RING, NOW, scope="query:read:* everything admin:* query:read:../x"))
    assert (await verifier().verify(token)).scopes == {"query:read:*"}


async def test_a_remembered_token_still_ends() -> None:
    now = NOW
    checks = verifier(now=lambda: now)
    token = attacks.signed(RING, attacks.claims(RING, NOW, exp=NOW + 10))
    await checks.verify(token)
    now = NOW + 39
    await checks.verify(token)
    now = NOW + 40
    with pytest.raises(InvalidToken):
        await checks.verify(token)


async def test_a_retired_key_verifies_nothing() -> None:
    now = NOW
    ring = RING.rotated(NOW, overlap_s=3600)
    checks = verifier(ring, now=lambda: now)
    old = attacks.signed(RING, attacks.claims(RING, NOW, exp=NOW + 20_000))
    new = attacks.signed(ring, attacks.claims(ring, NOW, exp=NOW + 20_000))
    now = NOW + 3_569
    assert (await checks.verify(old)).subject == "mallory"
    now = NOW + 3_600  # it is remembered for 30 s, no longer
    with pytest.raises(InvalidToken) as caught:
        await checks.verify(old)
    assert caught.value.reason == "key"
    assert (await checks.verify(new)).subject == "mallory"


async def test_google_may_push_as_the_account_of_the_subscription() -> None:
    principal = await verifier().verify(by_google())
    assert principal.issuer == GOOGLE
    assert principal.scopes == {"query:deliver:default"}


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "other@port.iam.gserviceaccount.com"},
        {"email": [PUSHER]},
        {"email": ""},
        {"email_verified": False},
        {"email_verified": "true"},
        {"aud": "https://reaction.example/results"},
        {"aud": RING.installation},
        {"iss": "accounts.google.com"},
        {"iss": RING.installation},
        {"iss": OIDC},
        {"exp": NOW - 31},
    ],
)
async def test_google_is_not_believed_in_anything_else(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        await verifier().verify(by_google(**changes))


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        ({}, {"resource:write", "resource:read"}),
        ({"groups": ["operators", "rows", "guests"]}, {"resource:write", "resource:read", "query:read:*"}),
        ({"groups": [], "scope": "openid rows"}, {"query:read:*"}),
        ({"groups": "operators"}, set()),
        ({"groups": ["admin"], "scope": "admin"}, set()),
    ],
)
async def test_groups_and_scopes_of_people_are_mapped(changes: dict[str, Any], scopes: set[str]) -> None:
    assert (await verifier().verify(by_oidc(**changes))).scopes == scopes


async def test_each_issuer_has_its_own_keys_and_algorithms() -> None:
    said = attacks.claims(RING, NOW)
    with pytest.raises(InvalidToken):  # a genuine signature of Google's key over the installation's claims
        await verifier().verify(jwt.encode(said, attacks.RSA, algorithm="RS256", headers={"kid": "g1"}))
    with pytest.raises(InvalidToken):  # the installation's key over Google's claims
        await verifier().verify(attacks.signed(RING, {"iss": GOOGLE, **attacks.claims(RING, NOW, iss=GOOGLE)}))
    with pytest.raises(InvalidToken):  # RSA, but not the algorithm that is pinned
        await verifier().verify(jwt.encode({**said, "iss": GOOGLE}, attacks.RSA, algorithm="RS512", headers={"kid": "g1"}))


def test_only_these_algorithms_can_be_configured_for_people() -> None:
    with pytest.raises(ValueError, match="RS256 or ES256"):
        oidc(OIDC, ["drasi"], {}, algorithms=["HS256"])


async def test_verifying_costs_little_the_second_time() -> None:
    """A thousand pushes with one token: one signature is verified."""
    checked = 0
    keys = RingKeys(MemoryKeyStore(RING), lambda: NOW)

    class Counting:
        async def find(self, kid: str) -> Any:
            nonlocal checked
            checked += 1
            return await keys.find(kid)

    checks = Verifier([installation(RING.installation, Counting())], now=lambda: NOW)
    token = attacks.signed(RING, attacks.claims(RING, NOW))
    for _ in range(1_000):
        await checks.verify(token)
    assert checked == 1
    checks.forget()
    await checks.verify(token)
    assert checked == 2


async def test_the_wall_clock_is_the_default() -> None:
    store = MemoryKeyStore()
    issuer = TokenIssuer(store)
    checks = Verifier([installation(issuer.ring().installation, RingKeys(store))])
    principal = await checks.verify(issuer.issue("me", ["admin"]).text)
    assert principal.expires > time.time()


def _both_by_google(audience: str) -> Verifier:
    pushes = google_push({PUSHER: ["query:deliver:default"]}, ["https://query.example/changes"], _rsa_keys())
    people = oidc(GOOGLE, [audience], {"operators": ["resource:read"]}, keys=_rsa_keys())
    return Verifier([pushes, people], now=lambda: NOW)


async def test_google_may_vouch_for_pushes_and_for_people() -> None:
    verifier = _both_by_google("drasi")
    assert (await verifier.verify(by_google())).scopes == {"query:deliver:default"}
    ada = by_google(aud="drasi", email="ada@port.example", groups=["operators"])
    assert (await verifier.verify(ada)).scopes == {"resource:read"}
    # The account of the pushes is nobody among people, and the groups of people are nothing among pushes.
    assert (await verifier.verify(by_google(aud="drasi"))).scopes == frozenset()
    with pytest.raises(InvalidToken):
        await verifier.verify(by_google(email="ada@port.example", groups=["operators"]))


def test_one_audience_has_one_meaning() -> None:
    with pytest.raises(ValueError, match="have the audience"):
        _both_by_google("https://query.example/changes")


@pytest.mark.parametrize("subject", ["\ud800", "a\r\nb", "\x00", "a\u2028"])
async def test_a_subject_can_be_written_down(subject: str) -> None:
    with pytest.raises(InvalidToken):
        await verifier().verify(by_oidc(sub=subject))
