"""Signing keys of an installation: ES256, named by ``kid``, replaced with an overlap in which both verify.

A ring is a value: every change makes a new one, which a store keeps (``KeyStore``; ``key_file`` has the one on disk).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Protocol, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from jwt.algorithms import ECAlgorithm

from drasi.errors import DrasiError

ALGORITHM: Final = "ES256"
OVERLAP_S: Final = 24 * 3600
"""How long a replaced key still verifies: as long as the longest token lives."""


class KeysUnreadable(DrasiError):
    """What the store holds is no ring of keys."""

    code: ClassVar[str] = "KeysUnreadable"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key.

    Attributes:
        kid: Its name in tokens.
        created: When it was made, in seconds since the epoch.
        retires: From when on it verifies nothing; None: it is the one that signs.
    """

    kid: str
    private: EllipticCurvePrivateKey
    created: int
    retires: int | None = None

    @classmethod
    def generate(cls, now: int) -> Self:
        """A new key with a random name."""
        return cls(secrets.token_urlsafe(9), generate_private_key(SECP256R1()), now)

    @property
    def public(self) -> EllipticCurvePublicKey:
        return self.private.public_key()

    def valid(self, now: float) -> bool:
        """Whether it verifies at this time."""
        return self.retires is None or now < self.retires

    def public_jwk(self) -> dict[str, Any]:
        """The public part, as a JWKS holds it."""
        return {**ECAlgorithm.to_jwk(self.public, as_dict=True), "kid": self.kid, "alg": ALGORITHM, "use": "sig"}


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one installation, the signing one last.

    Attributes:
        installation: Its id: issuer and audience of its tokens.
    """

    installation: str
    keys: tuple[SigningKey, ...]

    @classmethod
    def generate(cls, now: int, installation: str = "") -> Self:
        """A ring with one new key, of an installation with a random id if none is given."""
        return cls(installation or f"drasi-{secrets.token_hex(8)}", (SigningKey.generate(now),))

    @property
    def current(self) -> SigningKey:
        """The one that signs."""
        return self.keys[-1]

    def find(self, kid: str, now: float) -> SigningKey | None:
        """The key of that name, while it verifies."""
        return next((key for key in self.keys if key.kid == kid and key.valid(now)), None)

    def valid(self, now: float) -> tuple[SigningKey, ...]:
        return tuple(key for key in self.keys if key.valid(now))

    def rotated(self, now: int, overlap_s: int = OVERLAP_S) -> KeyRing:
        """A ring with a new key that signs; the others verify for ``overlap_s`` more, those already retired are forgotten."""
        until = now + overlap_s
        kept = [
            replace(key, retires=until if key.retires is None else min(key.retires, until)) for key in self.keys if key.valid(now)
        ]
        return replace(self, keys=(*(key for key in kept if key.valid(now)), SigningKey.generate(now)))

    def jwks(self, now: float) -> dict[str, Any]:
        """The public keys that verify at this time, as ``/.well-known/jwks.json`` gives them."""
        return {"keys": [key.public_jwk() for key in self.valid(now)]}

    def encode(self) -> bytes:
        """The ring with its private keys, for a store."""
        keys = [{"kid": key.kid, "created": key.created, "retires": key.retires, "pem": _pem(key.private)} for key in self.keys]
        return json.dumps({"installation": self.installation, "keys": keys}, indent=1).encode()

    @classmethod
    def decode(cls, data: bytes) -> KeyRing:
        """What ``encode`` wrote.

        Raises:
            KeysUnreadable: Without a word of the content.
        """
        try:
            content = json.loads(data)
            keys = tuple(
                SigningKey(str(key["kid"]), _private(key["pem"]), int(key["created"]), key["retires"]) for key in content["keys"]
            )
            ring = cls(str(content["installation"]), keys)
        except (ValueError, KeyError, TypeError):
            raise KeysUnreadable(
                "the signing keys cannot be read", hint="restore the file, or remove it: new keys are made"
            ) from None
        if not keys or ring.current.retires is not None:
            raise KeysUnreadable("there is no signing key among the keys", hint="restore the file, or remove it: new keys are made")
        return ring


class KeyStore(Protocol):
    """Keeps a ring, shared by every process that signs for the installation."""

    def load(self) -> KeyRing | None:
        """The ring as it is now, or None. Called for every token that is signed or verified: it must cost next to nothing.

        Raises:
            KeysUnreadable
        """
        ...

    def change(self, change: Callable[[KeyRing | None], KeyRing]) -> KeyRing:
        """Replaces the ring by what ``change`` makes of it, with nobody's change between, and returns it when it is durable."""
        ...


class MemoryKeyStore:
    """A ring of this process alone."""

    def __init__(self, ring: KeyRing | None = None) -> None:
        self._ring = ring

    def load(self) -> KeyRing | None:
        return self._ring

    def change(self, change: Callable[[KeyRing | None], KeyRing]) -> KeyRing:
        self._ring = change(self._ring)
        return self._ring


def _pem(key: EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _private(pem: str) -> EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise TypeError("not an ES256 key")
    return key
