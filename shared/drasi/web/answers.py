"""Errors as HTTP answers: the status of an error is derived here and nowhere else in the functions."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from drasi import redaction
from drasi.errors import DrasiError
from drasi.messages.reading import Gone, QueryNotFound
from drasi.sources.port import BadRequest, OriginUnavailable


def answer_error(error: DrasiError) -> Response:
    """The answer to a request that failed with ``error``."""
    if isinstance(error, Gone):
        body = {"requested": error.requested, "earliest": error.earliest, "latest": error.latest}
        return Response(msgspec.json.encode(body), 410, media_type="application/json")
    if isinstance(error, QueryNotFound):
        return PlainTextResponse(error.message, 404)
    if isinstance(error, BadRequest):
        return PlainTextResponse(_text(error), 400)
    if isinstance(error, OriginUnavailable) or error.retryable:
        return PlainTextResponse(_text(error), 503, headers={"Retry-After": "1"})
    return PlainTextResponse(_text(error), 500)


async def on_drasi_error(request: Request, error: Exception) -> Response:
    """Starlette's form of it, for ``exception_handlers``."""
    assert isinstance(error, DrasiError)
    return answer_error(error)


def _text(error: DrasiError) -> str:
    return redaction.clean(f"{error.code}: {error.message}" + (f"; {error.hint}" if error.hint else ""))
