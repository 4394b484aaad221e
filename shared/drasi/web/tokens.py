"""Tokens and signing keys over REST, and the public keys for everybody (cli-and-api.md section 4.2)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from drasi.auth import scopes
from drasi.auth.issue import LONGEST_S, TokenIssuer
from drasi.auth.keys import OVERLAP_S, SigningKey
from drasi.errors import DrasiError

JWKS_PATH: Final = "/.well-known/jwks.json"
JWKS_AGE_S: Final = 300
_LARGEST_BODY = 64 * 1024
_LONGEST_OVERLAP_S: Final = 30 * 24 * 3600

T = TypeVar("T")


class BadRequest(DrasiError):
    code: ClassVar[str] = "BadRequest"


class TokenWanted(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/tokens``; ``scope`` is a text with blanks between scopes, or a list."""

    subject: str
    scope: str | list[str]
    ttlSeconds: int = 3600  # noqa: N815 -- a name of the wire


class RotationWanted(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/keys/rotate``; it may be empty."""

    overlapSeconds: int = OVERLAP_S  # noqa: N815 -- a name of the wire


def token_routes(
    issuer: TokenIssuer, *, rotated: Callable[[], None] = lambda: None, now: Callable[[], float] = time.time
) -> list[BaseRoute]:
    """The routes of an installation that signs with ``issuer``.

    Args:
        rotated: Told when the keys have changed.
        now: The wall clock, in seconds.
    """

    async def create(request: Request) -> Response:
        wanted = await _body(request, TokenWanted)
        scope = scopes.parse(wanted.scope)
        if not scope:
            raise BadRequest("a token without a scope allows nothing", hint="name at least one scope")
        token = issuer.issue(wanted.subject, scope, ttl_s=wanted.ttlSeconds)
        return _json({"token": token.text, "expires": _time(token.expires)}, 201)

    async def keys(request: Request) -> Response:
        return _json([_key(key) for key in issuer.ring().valid(now())])

    async def rotate(request: Request) -> Response:
        wanted = await _body(request, RotationWanted, empty=True)
        if not 0 <= wanted.overlapSeconds <= _LONGEST_OVERLAP_S:
            raise BadRequest(f"overlapSeconds must be 0 to {_LONGEST_OVERLAP_S}, not {wanted.overlapSeconds}")
        ring = issuer.rotate(wanted.overlapSeconds)
        rotated()
        return _json(_key(ring.current), 201)

    async def jwks(request: Request) -> Response:
        return _json(issuer.ring().jwks(now()), headers={"Cache-Control": f"public, max-age={JWKS_AGE_S}"})

    return [
        Route("/v1/tokens", create, methods=["POST"]),
        Route("/v1/keys", keys, methods=["GET"]),
        Route("/v1/keys/rotate", rotate, methods=["POST"]),
        Route(JWKS_PATH, jwks, methods=["GET"]),
    ]


def _key(key: SigningKey) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "alg": "ES256",
        "state": "current" if key.retires is None else "retiring",
        "created": _time(key.created),
        "retires": None if key.retires is None else _time(key.retires),
        "jwk": key.public_jwk(),
    }


async def _body(request: Request, form: type[T], *, empty: bool = False) -> T:
    """The body as ``form``. What is wrong with it is said without its content."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_BODY:
            raise BadRequest(f"the body is larger than {_LARGEST_BODY} bytes")
    try:
        return msgspec.json.decode(bytes(body) if body or not empty else b"{}", type=form)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error), hint=f"a token lives at most {LONGEST_S} seconds") from None
    except msgspec.DecodeError:
        raise BadRequest("the body is not JSON", hint="see /api-doc/openapi.json") from None


def _json(body: Any, status: int = 200, *, headers: dict[str, str] | None = None) -> Response:
    headers = headers or {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(body), status, media_type="application/json", headers=headers)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
