"""Secrets over REST: written and removed, never read (cli-and-api.md section 4.2)."""

from __future__ import annotations

import re
from typing import ClassVar, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from drasi.errors import DrasiError
from drasi.web.installation import Installation

LARGEST: Final = 1024 * 1024
"""As large as a secret of Kubernetes."""

_WORD = re.compile(r"[A-Za-z0-9](?:[-._A-Za-z0-9]{0,251}[A-Za-z0-9])?")


class BadRequest(DrasiError):
    code: ClassVar[str] = "BadRequest"


class SecretNotFound(DrasiError):
    code: ClassVar[str] = "NotFound"


class SecretValue(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a ``PUT`` as JSON; ``text/plain`` is the value itself."""

    value: str


def secret_routes(installation: Installation) -> list[BaseRoute]:
    """``/v1/secrets/{name}/{key}``."""

    async def secret(request: Request) -> Response:
        name, key = _name(request, "name"), _name(request, "key")
        if request.method == "PUT":
            await installation.set_secret(name, key, await _value(request))
        elif not await installation.delete_secret(name, key):
            raise SecretNotFound(f"there is no key '{key}' in a secret '{name}' here")
        return Response(status_code=204)

    return [Route("/v1/secrets/{name}/{key}", secret, methods=["PUT", "DELETE"])]


def _name(request: Request, part: str) -> str:
    word: str = request.path_params[part]
    if _WORD.fullmatch(word) is None:
        raise BadRequest(f"a secret's {part} has letters, digits and '-', '_', '.' between them")
    return word


async def _value(request: Request) -> str:
    """The value; what is wrong with the body is said without a word of it."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise BadRequest(f"a secret has at most {LARGEST} bytes")
    try:
        if "json" in request.headers.get("content-type", "json"):
            value = msgspec.json.decode(bytes(body), type=SecretValue).value
        else:
            value = body.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadRequest("the body is no secret", hint='send {"value": "…"} as JSON, or the value as text/plain') from None
    if not value:
        raise BadRequest("no value provided")
    return value
