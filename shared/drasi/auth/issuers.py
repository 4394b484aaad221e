"""Whose tokens are believed, and what each may say: Google's pushes, the installation itself, one OIDC issuer for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from drasi.auth import scopes
from drasi.auth.issue import LONGEST_S
from drasi.auth.jwks import FetchedKeys, KeySource, by_discovery, over_http
from drasi.auth.keys import ALGORITHM

GOOGLE: Final = "https://accounts.google.com"
GOOGLE_KEYS: Final = "https://www.googleapis.com/oauth2/v3/certs"
OIDC_ALGORITHMS: Final = ("RS256", "ES256")

Claims = Mapping[str, Any]


class NotAccepted(Exception):
    """A genuine token that this issuer's rules refuse; the text is a word for tests and debug logs."""


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer and its rules.

    Attributes:
        issuer: What ``iss`` must be.
        audiences: ``aud`` must name one of them.
        algorithms: Those it may sign with, whatever a token says.
        keys: Its public keys.
        scopes: What a token with these (verified) claims allows. Raises NotAccepted.
        longest_s: The longest life of its tokens; None: any.
    """

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    keys: KeySource
    scopes: Callable[[Claims], frozenset[str]]
    longest_s: int | None = None


def installation(id_: str, keys: KeySource, *, audiences: Iterable[str] = ()) -> TrustedIssuer:
    """The installation itself: ``aud`` is its id, or one of ``audiences`` (the function's URL)."""

    def scopes_of(claims: Claims) -> frozenset[str]:
        return _words(claims.get("scope"))

    return TrustedIssuer(id_, frozenset({id_, *audiences}), frozenset({ALGORITHM}), keys, scopes_of, LONGEST_S)


def google_push(accounts: Mapping[str, Iterable[str]], audiences: Iterable[str], keys: KeySource | None = None) -> TrustedIssuer:
    """Google, for pushes of Pub/Sub (and Eventarc): what each service account may do.

    Args:
        accounts: Email of a service account → scopes.
        audiences: Those of the subscriptions.
        keys: Google's; tests bring their own.
    """
    allowed = {email: scopes.parse(words) for email, words in accounts.items()}

    def scopes_of(claims: Claims) -> frozenset[str]:
        if claims.get("email_verified") is not True:
            raise NotAccepted("email_verified")
        email = claims.get("email")
        if not isinstance(email, str) or email not in allowed:
            raise NotAccepted("email")
        return allowed[email]

    return TrustedIssuer(GOOGLE, frozenset(audiences), frozenset({"RS256"}), keys or FetchedKeys(over_http(GOOGLE_KEYS)), scopes_of)


def oidc(
    issuer: str,
    audiences: Iterable[str],
    roles: Mapping[str, Iterable[str]],
    *,
    algorithms: Iterable[str] = OIDC_ALGORITHMS,
    keys: KeySource | None = None,
) -> TrustedIssuer:
    """An OIDC issuer for people: what its groups and scopes mean here.

    Args:
        issuer: What ``iss`` must be, and where its configuration is.
        audiences: Those of this installation's client.
        roles: A word of the claims ``groups`` or ``scope`` → scopes (the setting ``auth.oidc.roles``).
        algorithms: Of RS256 and ES256, those it signs with.
        keys: Its keys; None: those that its configuration names.

    Raises:
        ValueError: Another algorithm.
    """
    pinned = frozenset(algorithms)
    if not pinned or pinned - set(OIDC_ALGORITHMS):
        raise ValueError(f"an OIDC issuer signs with {' or '.join(OIDC_ALGORITHMS)}")
    meant = {role: scopes.parse(words) for role, words in roles.items()}

    def scopes_of(claims: Claims) -> frozenset[str]:
        groups = claims.get("groups")
        words = {word for word in groups if isinstance(word, str)} if isinstance(groups, list) else set()
        scope = claims.get("scope")
        words |= set(scope.split()) if isinstance(scope, str) else set()
        return frozenset().union(*(meant[word] for word in words if word in meant))

    return TrustedIssuer(issuer, frozenset(audiences), pinned, keys or FetchedKeys(by_discovery(issuer)), scopes_of)


def _words(scope: object) -> frozenset[str]:
    if not isinstance(scope, str):
        raise NotAccepted("scope")
    return frozenset(word for word in scope.split() if scopes.is_scope(word))
