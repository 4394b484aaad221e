from __future__ import annotations

import jwt
import pytest

from drasi.auth import scopes
from drasi.auth.issue import BETWEEN_FUNCTIONS_S, LONGEST_S, TokenIssuer, TokenRefused
from drasi.auth.keys import MemoryKeyStore
from drasi.auth.scopes import UnknownScope, grants, parse

NOW = 1_790_000_000


def said(text: str) -> dict[str, object]:
    return dict(jwt.decode(text, options={"verify_signature": False}))


def test_a_token_says_what_was_asked() -> None:
    issuer = TokenIssuer(MemoryKeyStore(), installation="drasi-a", now=lambda: NOW)
    token = issuer.issue("ada", ["resource:read", "query:read:berths"], ttl_s=60)
    content = said(token.text)
    assert len(str(content.pop("jti"))) >= 12
    assert content == {
        "iss": "drasi-a",
        "aud": "drasi-a",
        "sub": "ada",
        "scope": "query:read:berths resource:read",
        "iat": NOW,
        "exp": NOW + 60,
    }
    assert jwt.get_unverified_header(token.text) == {"alg": "ES256", "typ": "JWT", "kid": issuer.ring().current.kid}
    assert token.text not in repr(token)


@pytest.mark.parametrize("ttl_s", [0, -1, LONGEST_S + 1])
def test_a_life_has_limits(ttl_s: int) -> None:
    issuer = TokenIssuer(MemoryKeyStore(), now=lambda: NOW)
    with pytest.raises(TokenRefused):
        issuer.issue("ada", ["admin"], ttl_s=ttl_s)


def test_a_token_has_a_subject_and_known_scopes() -> None:
    issuer = TokenIssuer(MemoryKeyStore(), now=lambda: NOW)
    with pytest.raises(TokenRefused):
        issuer.issue("", ["admin"])
    with pytest.raises(UnknownScope) as caught:
        issuer.issue("ada", ["resource:erase"])
    assert "resource:write" in caught.value.hint


def test_functions_show_each_other_short_tokens_and_renew_them() -> None:
    now = NOW
    issuer = TokenIssuer(MemoryKeyStore(), now=lambda: now)
    first = issuer.between_functions("query:default", ["source:read:harbour"])
    content = said(first)
    assert int(str(content["exp"])) - NOW == BETWEEN_FUNCTIONS_S
    now += 400
    assert issuer.between_functions("query:default", ["source:read:harbour"]) == first
    assert issuer.between_functions("query:default", ["source:read:other"]) != first
    now += 81  # less than two minutes are left
    second = issuer.between_functions("query:default", ["source:read:harbour"])
    assert second != first
    issuer.rotate(overlap_s=0)
    assert issuer.between_functions("query:default", ["source:read:harbour"]) != second


@pytest.mark.parametrize(
    ("held", "needed", "granted"),
    [
        ("query:read:berths", "query:read:berths", True),
        ("query:read:berths", "query:read:ships", False),
        ("query:read:*", "query:read:ships", True),
        ("query:read:*", "query:deliver:ships", False),
        ("resource:write", "resource:read", False),
        ("resource:read", "resource:write", False),
        ("admin", "secret:write", True),
        ("admin", "query:read:ships", True),
        ("resource:write", "admin", False),
        ("", "resource:read", False),
    ],
)
def test_what_scopes_grant(held: str, needed: str, granted: bool) -> None:
    assert grants(parse(held), needed) is granted


@pytest.mark.parametrize(
    "word", ["query:read", "query:read:", "query:read:a/b", "admin:*", "resource:*", "*", "query:read:-a", "Admin"]
)
def test_what_is_no_scope(word: str) -> None:
    assert not scopes.is_scope(word)
    with pytest.raises(UnknownScope):
        parse([word])
