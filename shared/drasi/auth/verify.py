"""Tokens in: whether one is genuine, meant for us and valid now. Nothing that it says about its own verification is believed."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

import jwt
from jwt.exceptions import PyJWTError

from drasi.auth.issuers import NotAccepted, TrustedIssuer
from drasi.auth.principal import Principal
from drasi.errors import DrasiError

LARGEST: Final = 8 * 1024
LEEWAY_S: Final = 30
REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat")

_REMEMBERED_S = 30.0
_REMEMBERED = 4_096


class InvalidToken(DrasiError):
    """A token that is not accepted. The message is the same for all: what was wrong with it helps only who forges one.

    Attributes:
        reason: A word for tests and debug logs; it holds nothing of the token.
    """

    code: ClassVar[str] = "InvalidToken"

    def __init__(self, reason: str) -> None:
        super().__init__("the token is missing, or is not valid here")
        self.reason = reason


class Verifier:
    """Verifies tokens of the issuers that are trusted.

    A token that passed is remembered for some seconds by its digest, because pushes come by the thousand with the same one; so a
    retired key is noticed that much later.

    Args:
        issuers: Those trusted. Two may have one ``iss`` (Google, for pushes and for people): then their audiences differ.
        now: The wall clock, in seconds.
        remembered_s: For how long a verified token is not verified again.

    Raises:
        ValueError: Two issuers have one ``iss`` and an audience in common.
    """

    def __init__(
        self, issuers: Iterable[TrustedIssuer], *, now: Callable[[], float] = time.time, remembered_s: float = _REMEMBERED_S
    ) -> None:
        self._issuers: dict[tuple[str, str], TrustedIssuer] = {}
        for issuer in issuers:
            for audience in issuer.audiences:
                if self._issuers.setdefault((issuer.issuer, audience), issuer) is not issuer:
                    raise ValueError(f"two kinds of tokens of {issuer.issuer} have the audience {audience}")
        self._now = now
        self._remembered_s = remembered_s
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """Who the token speaks for.

        Raises:
            InvalidToken: It is not accepted.
            KeysUnavailable: The keys of its issuer cannot be had now.
        """
        if len(token) > LARGEST:
            raise InvalidToken("size")
        try:
            digest = hashlib.blake2b(token.encode("ascii"), digest_size=32).digest()
        except UnicodeEncodeError:
            raise InvalidToken("malformed") from None
        now = self._now()
        known = self._known.get(digest)
        if known is not None:
            until, principal = known
            if now < until:
                return principal
            del self._known[digest]
        principal = await self._verify(token, now)
        self._known[digest] = (min(now + self._remembered_s, principal.expires + LEEWAY_S), principal)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return principal

    def forget(self) -> None:
        """Verifies every token anew (a key was retired at once)."""
        self._known.clear()

    async def _verify(self, token: str, now: float) -> Principal:
        try:
            header = jwt.get_unverified_header(token)
            said = jwt.decode(token, options={"verify_signature": False})
        except (PyJWTError, ValueError, TypeError, RecursionError):
            raise InvalidToken("malformed") from None
        # The claimed issuer and audience choose the rules by which it is then refused or believed.
        issuer = self._chosen(said.get("iss"), said.get("aud"))
        kid = header.get("kid")
        if not isinstance(kid, str) or "crit" in header:
            raise InvalidToken("header")
        key = await issuer.keys.find(kid)
        if key is None:
            raise InvalidToken("key")
        try:
            claims = jwt.decode(
                token,
                key=key.key,
                algorithms=sorted(issuer.algorithms & key.algorithms),
                audience=sorted(issuer.audiences),
                issuer=issuer.issuer,
                # Times are compared below, with the clock of this object.
                options={"require": list(REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except (PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise InvalidToken(type(error).__name__) from None
        expires = _check_times(claims, now, issuer.longest_s)
        if not claims["sub"] or not claims["sub"].isprintable():
            raise InvalidToken("sub")
        try:
            scopes = issuer.scopes(claims)
        except NotAccepted as error:
            raise InvalidToken(str(error)) from None
        return Principal(claims["sub"], issuer.issuer, scopes, expires)

    def _chosen(self, issuer: object, audience: object) -> TrustedIssuer:
        audiences = audience if isinstance(audience, list) else [audience]
        for one in audiences:
            found = self._issuers.get((issuer, one)) if isinstance(issuer, str) and isinstance(one, str) else None
            if found is not None:
                return found
        raise InvalidToken("issuer or audience")


def _check_times(claims: dict[str, Any], now: float, longest_s: int | None) -> int:
    expires, issued, begins = _seconds(claims["exp"]), _seconds(claims["iat"]), _seconds(claims.get("nbf", 0))
    if now >= expires + LEEWAY_S:
        raise InvalidToken("expired")
    if begins > now + LEEWAY_S or issued > now + LEEWAY_S:
        raise InvalidToken("not yet")
    if longest_s is not None and expires - issued > longest_s:
        raise InvalidToken("too long a life")
    return expires


def _seconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise InvalidToken("times")
    return int(value)
