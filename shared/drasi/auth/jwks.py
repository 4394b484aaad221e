"""Public keys of an issuer, found by ``kid``: those of the installation's own ring, or a JWKS that is fetched and kept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol
from urllib.parse import urlsplit

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from drasi.auth.keys import ALGORITHM, KeyStore
from drasi.errors import DrasiError

FRESH_S: Final = 600.0
"""How long a fetched set is not fetched again."""
STALE_S: Final = 24 * 3600.0
"""How long it is still believed while its issuer does not answer."""
REFRESH_S: Final = 60.0
"""An unknown ``kid``, or an issuer that does not answer, causes at most one fetch in this time."""
LARGEST_SET: Final = 256 * 1024
FETCH_S: Final = 10.0
"""How long a fetch may take in all, from an issuer that answers a byte at a time as from one that does not."""

_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384"}
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_LEAST_RSA_BITS = 2048

Fetch = Callable[[], Awaitable[bytes]]

_log = structlog.get_logger("drasi.auth")


class KeysUnavailable(DrasiError):
    """The issuer's keys cannot be had now, and none are known."""

    code: ClassVar[str] = "KeysUnavailable"
    retryable = True


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key, and the algorithms that may be used with it."""

    key: RSAPublicKey | EllipticCurvePublicKey
    algorithms: frozenset[str]


class KeySource(Protocol):
    async def find(self, kid: str) -> VerifyingKey | None:
        """The key of that name, or None.

        Raises:
            KeysUnavailable
        """
        ...


class RingKeys:
    """The keys of a ring that this process has."""

    def __init__(self, store: KeyStore, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now

    async def find(self, kid: str) -> VerifyingKey | None:
        ring = self._store.load()
        key = ring.find(kid, self._now()) if ring is not None else None
        return VerifyingKey(key.public, frozenset({ALGORITHM})) if key is not None else None


class FetchedKeys:
    """A JWKS from elsewhere, kept; one fetch at a time.

    Args:
        fetch: Gets the JWKS; raises if it cannot.
        monotonic: A clock, in seconds.
    """

    def __init__(self, fetch: Fetch, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: dict[str, VerifyingKey] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._fetching = asyncio.Lock()

    async def find(self, kid: str) -> VerifyingKey | None:
        # While somebody else asks the issuer anew, a key that is still believed keeps nobody waiting.
        if kid in self._keys and not self._older_than(STALE_S if self._fetching.locked() else FRESH_S):
            return self._keys[kid]
        async with self._fetching:
            if (self._older_than(FRESH_S) or kid not in self._keys) and self._may_fetch():
                await self._refresh()
        if self._older_than(STALE_S):
            raise KeysUnavailable("the keys of the token's issuer cannot be had now", hint="try again in a minute")
        return self._keys.get(kid)

    def _older_than(self, seconds: float) -> bool:
        return self._fetched is None or self._monotonic() - self._fetched > seconds

    def _may_fetch(self) -> bool:
        return self._tried is None or self._monotonic() - self._tried >= REFRESH_S

    async def _refresh(self) -> None:
        self._tried = self._monotonic()
        try:
            async with asyncio.timeout(FETCH_S):
                keys = read_jwks(await self._fetch())
        except Exception as error:  # whatever an issuer answers, it is not the fault of who shows a token
            _log.warning("the keys of an issuer cannot be fetched", error=type(error).__name__)
            return
        self._keys = keys
        self._fetched = self._tried


def read_jwks(data: bytes) -> dict[str, VerifyingKey]:
    """The keys of a JWKS that can verify, by ``kid``; the others are passed over.

    Raises:
        ValueError: It is no JWKS.
    """
    content = json.loads(data)
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no JWKS")
    found = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("kid"), str) and entry.get("use", "sig") == "sig":
            key = _key(entry)
            if key is not None:
                found[entry["kid"]] = key
    return found


def _key(entry: dict[str, Any]) -> VerifyingKey | None:
    if entry.get("kty") not in ("RSA", "EC"):
        return None
    try:
        key = PyJWK.from_dict(entry, algorithm=entry.get("alg")).key
    except (PyJWTError, ValueError, TypeError, NotImplementedError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        algorithms = _RSA
    elif isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        algorithms = frozenset({_CURVES[key.curve.name]})
    else:
        return None
    named = entry.get("alg")
    return VerifyingKey(key, algorithms & {named} if isinstance(named, str) else algorithms)


def over_http(url: str) -> Fetch:
    """Fetches the JWKS at ``url``."""

    async def fetch() -> bytes:
        return await _get(url)

    return fetch


def by_discovery(issuer: str) -> Fetch:
    """Fetches the JWKS that an OIDC issuer names in its configuration."""

    async def fetch() -> bytes:
        content = json.loads(await _get(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
        if not isinstance(content, dict) or content.get("issuer") != issuer or not isinstance(content.get("jwks_uri"), str):
            raise ValueError("not the configuration of this issuer")
        if urlsplit(content["jwks_uri"]).scheme != "https" and urlsplit(issuer).scheme == "https":
            raise ValueError("an issuer elsewhere has no keys on this machine")
        return await _get(content["jwks_uri"])

    return fetch


async def _get(url: str) -> bytes:
    import httpx

    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")):
        raise ValueError("keys are fetched over https")
    try:
        async with (
            httpx.AsyncClient(timeout=5.0, follow_redirects=False) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"answered {answer.status_code}")
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > LARGEST_SET:
                    raise ValueError("too large")
            return bytes(body)
    except httpx.HTTPError as error:
        raise OSError(type(error).__name__) from error
