"""Tokens out: what the installation signs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

import jwt

from drasi.auth import scopes
from drasi.auth.keys import ALGORITHM, OVERLAP_S, KeyRing, KeyStore
from drasi.errors import DrasiError

LONGEST_S: Final = 24 * 3600
"""No token of an installation lives longer."""
BETWEEN_FUNCTIONS_S: Final = 600
"""One that a function shows to another lives no longer."""
_RENEWED_BEFORE_S: Final = 120


class TokenRefused(DrasiError):
    """A token that the installation does not give."""

    code: ClassVar[str] = "InvalidValue"


@dataclass(frozen=True, slots=True)
class Token:
    """A signed token; ``expires`` in seconds since the epoch. It is not shown when the object is."""

    text: str
    expires: int

    def __repr__(self) -> str:
        return f"Token(expires={self.expires})"


class TokenIssuer:
    """Signs tokens with the current key of a ring.

    Args:
        store: Keeps the ring. A ring is made if there is none.
        installation: The id of a ring that is made; none: a random one.
        now: The wall clock, in seconds.
    """

    def __init__(self, store: KeyStore, *, installation: str = "", now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._new_id = installation
        self._now = now
        self._kept: dict[tuple[str, frozenset[str], str, int], tuple[str, Token]] = {}

    def ring(self) -> KeyRing:
        """The ring as it is now."""
        ring = self._store.load()
        if ring is not None:
            return ring
        return self._store.change(lambda found: found or KeyRing.generate(int(self._now()), self._new_id))

    def rotate(self, overlap_s: int = OVERLAP_S) -> KeyRing:
        """Makes a new signing key; the old one verifies for ``overlap_s`` more."""
        now = int(self._now())
        return self._store.change(
            lambda found: found.rotated(now, overlap_s) if found is not None else KeyRing.generate(now, self._new_id)
        )

    def issue(self, subject: str, scope: Iterable[str], *, ttl_s: int = 3600, audience: str = "") -> Token:
        """A new token.

        Args:
            subject: Who it speaks for.
            scope: What it allows.
            ttl_s: How long it lives, at most 24 hours.
            audience: Where it is good; none: everywhere in the installation.

        Raises:
            TokenRefused, UnknownScope: As they say.
        """
        if not 0 < len(subject) <= 256:
            raise TokenRefused("a token's subject has 1 to 256 characters", hint="say who will use it")
        if not 0 < ttl_s <= LONGEST_S:
            raise TokenRefused(f"a token lives 1 to {LONGEST_S} seconds, not {ttl_s}", hint="make a new one when it ends")
        ring = self.ring()
        now = int(self._now())
        claims = {
            "iss": ring.installation,
            "sub": subject,
            "aud": audience or ring.installation,
            "scope": " ".join(sorted(scopes.parse(scope))),
            "iat": now,
            "exp": now + ttl_s,
            "jti": secrets.token_urlsafe(9),
        }
        text = jwt.encode(claims, ring.current.private, algorithm=ALGORITHM, headers={"kid": ring.current.kid})
        return Token(text, now + ttl_s)

    def between_functions(self, subject: str, scope: Iterable[str], audience: str = "") -> str:
        """A token that one function shows to another, kept until shortly before it ends or its key is replaced."""
        return self.kept(subject, scope, ttl_s=BETWEEN_FUNCTIONS_S, renewed_before_s=_RENEWED_BEFORE_S, audience=audience)

    def kept(self, subject: str, scope: Iterable[str], *, ttl_s: int, renewed_before_s: int, audience: str = "") -> str:
        """The same token again, until it ends in less than ``renewed_before_s`` or its key is replaced."""
        asked = (subject, frozenset(scope), audience, ttl_s)
        kid = self.ring().current.kid
        kept = self._kept.get(asked)
        if kept is None or kept[0] != kid or kept[1].expires - self._now() < renewed_before_s:
            kept = self._kept[asked] = (kid, self.issue(subject, asked[1], ttl_s=ttl_s, audience=audience))
        return kept[1].text
