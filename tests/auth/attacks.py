"""Tokens that must never be accepted, made by somebody who knows everything but the private keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from drasi.auth.issue import TokenIssuer
from drasi.auth.keys import KeyRing, MemoryKeyStore

RSA = generate_private_key(65537, 2048)
ELSEWHERE = "https://keys.attacker.example/jwks.json"


def claims(ring: KeyRing, now: int, **changes: Any) -> dict[str, Any]:
    """What a token of the installation that may do everything says, with changes; ``None`` leaves a claim out."""
    said = {"iss": ring.installation, "sub": "mallory", "aud": ring.installation, "scope": "admin", "iat": now, "exp": now + 600}
    return {name: value for name, value in (said | changes).items() if value is not None}


def signed(ring: KeyRing, said: dict[str, Any], **header: Any) -> str:
    """Signed with the current key of the ring."""
    return jwt.encode(said, ring.current.private, algorithm="ES256", headers={"kid": ring.current.kid, **header})


def forged(ring: KeyRing, now: int) -> Iterator[tuple[str, str]]:
    """Tokens that look as if the installation had signed them, by name."""
    said = claims(ring, now)
    current = ring.current
    strange = KeyRing.generate(now, ring.installation)
    stolen_name = {"kid": current.kid}
    embedded = {**strange.current.public_jwk(), "kid": current.kid}
    yield "none", jwt.encode(said, "", algorithm="none", headers=stolen_name)
    yield "None", unsigned({"alg": "None", "typ": "JWT", **stolen_name}, said)
    for form, encoding in (("PEM", serialization.Encoding.PEM), ("DER", serialization.Encoding.DER)):
        public = current.public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        yield f"HS256 with the public key as {form}", hs256(stolen_name, said, public)
    yield "HS256 with the public key as JWK", hs256(stolen_name, said, json.dumps(current.public_jwk()).encode())
    yield "HS256 with nothing", hs256(stolen_name, said, b"")
    yield "another algorithm", jwt.encode(said, RSA, algorithm="RS256", headers=stolen_name)
    yield "unknown kid", signed(strange, said)
    yield "unknown kid that is a path", signed(ring, said, kid="../../../../dev/null")
    yield "no kid", unnamed(ring, said)
    yield "kid that is no text", jwt_with_header({"alg": "ES256", "kid": [current.kid]}, ring, said)
    yield "another key under a known kid", signed(strange, said, **stolen_name)
    yield "jwk", signed(strange, said, jwk=embedded, **stolen_name)
    yield "jku", signed(strange, said, jku=ELSEWHERE, **stolen_name)
    yield "x5u", signed(strange, said, x5u=ELSEWHERE, **stolen_name)
    yield "crit", jwt_with_header({"alg": "ES256", "kid": current.kid, "crit": ["exp"], "exp": 1}, ring, said)
    genuine = signed(ring, said)
    head, body, signature = genuine.split(".")
    yield "changed claims", f"{head}.{_base64(json.dumps(said | {'sub': 'root'}).encode())}.{signature}"
    yield "no signature", f"{head}.{body}."
    yield "a signature of zeros", f"{head}.{body}.{_base64(bytes(64))}"
    yield "a token in a token", signed(strange, said | {"token": genuine})


def untrue(ring: KeyRing, now: int) -> Iterator[tuple[str, str]]:
    """Tokens with a genuine signature that are not for here and now, by name."""
    other = TokenIssuer(MemoryKeyStore(KeyRing.generate(now, "drasi-elsewhere")), now=lambda: now)
    yield "of another installation", other.issue("mallory", ["admin"]).text
    wrong: dict[str, dict[str, Any]] = {
        "expired": {"iat": now - 1000, "exp": now - 31},
        "not yet valid": {"nbf": now + 60},
        "issued in the future": {"iat": now + 60},
        "wrong audience": {"aud": "https://other.example"},
        "wrong audiences": {"aud": ["https://other.example", "drasi-elsewhere"]},
        "wrong issuer": {"iss": "drasi-elsewhere"},
        "issuer that is no text": {"iss": [ring.installation]},
        "no sub": {"sub": None},
        "empty sub": {"sub": ""},
        "sub that is no text": {"sub": 7},
        "no aud": {"aud": None},
        "no exp": {"exp": None},
        "no iat": {"iat": None},
        "no iss": {"iss": None},
        "exp that is no time": {"exp": "tomorrow"},
        "exp that is true": {"exp": True},
        "exp without end": {"exp": 10**30},
        "nbf that is no time": {"nbf": "now"},
        "too long a life": {"exp": now + 25 * 3600},
        "no scope": {"scope": None},
        "oversized": {"note": "x" * 9000},
    }
    for name, changes in wrong.items():
        said = claims(ring, now, **changes)
        yield name, jwt_with_header({"alg": "ES256", "typ": "JWT", "kid": ring.current.kid}, ring, said)


def malformed() -> Iterator[tuple[str, str]]:
    """What is no token at all, by name."""
    yield "a word", "token"
    yield "dots", ".."
    yield "many dots", "." * 500
    yield "no JSON", ".".join([_base64(b"no json"), _base64(b"{}"), "AAAA"])
    yield "a header that is a list", ".".join([_base64(b"[]"), _base64(b"{}"), "AAAA"])
    yield "claims that are a list", ".".join([_base64(b'{"alg":"ES256","kid":"a"}'), _base64(b"[]"), "AAAA"])
    yield "deep JSON", ".".join([_base64(b'{"alg":"ES256","kid":"a"}'), _base64(b"[" * 3000), "AAAA"])
    yield "bytes", "\xff\xfe"


def unsigned(header: dict[str, Any], said: dict[str, Any]) -> str:
    return f"{_base64(json.dumps(header).encode())}.{_base64(json.dumps(said).encode())}."


def hs256(header: dict[str, Any], said: dict[str, Any], secret: bytes) -> str:
    """PyJWT refuses to make these; nobody else does."""
    text = unsigned({"alg": "HS256", "typ": "JWT", **header}, said).rstrip(".")
    return f"{text}.{_base64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def unnamed(ring: KeyRing, said: dict[str, Any]) -> str:
    return jwt.encode(said, ring.current.private, algorithm="ES256")


def jwt_with_header(header: dict[str, Any], ring: KeyRing, said: dict[str, Any]) -> str:
    """A genuine ES256 signature over any header and any claims."""
    text = unsigned(header, said).rstrip(".")
    signature = jwt.get_algorithm_by_name("ES256").sign(text.encode(), ring.current.private)
    return f"{text}.{_base64(signature)}"


def rsa_jwk(key: RSAPrivateKey, kid: str) -> dict[str, Any]:
    """The public part, as an issuer's JWKS has it."""
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": "RS256", "use": "sig"}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
