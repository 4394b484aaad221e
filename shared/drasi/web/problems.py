"""Errors of management as answers: ``application/problem+json``, or the text of resources.md section 9."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from drasi import redaction
from drasi.errors import DrasiError
from drasi.messages.reading import Gone
from drasi.resources.problems import Problem
from drasi.web.answers import answer_error

_STATUS: Final = {
    "BadRequest": 400,
    "Conflict": 409,
    "Forbidden": 403,
    "InUse": 409,
    "InvalidValue": 400,
    "NotFound": 404,
    "NotYet": 400,
    "SecretsReadOnly": 409,
    "TooLarge": 413,
    "UnknownScope": 400,
    "UnsupportedMediaType": 415,
}
_log = logging.getLogger("drasi.management")


def status_of(error: DrasiError) -> int:
    """The HTTP status of an error: management's own, else that of every function."""
    return _STATUS.get(error.code) or answer_error(error).status_code


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Problem] = (),
    hint: str = "",
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer: JSON for those who ask for JSON, else text.

    Args:
        detail: One sentence for a person.
        errors: What is wrong in a manifest, each with its place.
        more: Further members of the JSON form.
    """
    trace = trace_id(request)
    detail = redaction.clean(detail)
    if "json" in request.headers.get("accept", ""):
        body = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": code,
            "detail": detail,
            **({"hint": hint} if hint else {}),
            "errors": list(errors),
            "traceId": trace,
            **(more or {}),
        }
        return Response(msgspec.json.encode(body), status, media_type="application/problem+json", headers=dict(headers or {}))
    text = lines(errors) or (f"{detail}; {hint}" if hint else detail)
    return Response(text, status, media_type="text/plain", headers={**(headers or {}), "X-Trace-Id": trace})


def lines(errors: Iterable[Problem]) -> str:
    """One error after another, with excerpts."""
    return "\n".join(error.text() for error in errors)


def refused(request: Request, errors: Sequence[Problem], *, more: Mapping[str, Any] | None = None) -> Response:
    """400 for manifests that are invalid; the code is that of the first error."""
    code = errors[0].code if errors else "Invalid"
    detail = errors[0].message if len(errors) == 1 else f"{len(errors)} errors"
    return problem(request, 400, code, detail, errors=errors, more=more)


async def on_drasi_error(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for everything that is raised on purpose."""
    assert isinstance(error, DrasiError)
    status = status_of(error)
    headers = {"Retry-After": "1"} if status == 503 else None
    more = None
    if isinstance(error, Gone):
        more = {"requested": error.requested, "earliest": error.earliest, "latest": error.latest}
    return problem(request, status, error.code, error.message, hint=error.hint, headers=headers, more=more)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's own errors (no such path, wrong verb)."""
    assert isinstance(error, HTTPException)
    return problem(request, error.status_code, HTTPStatus(error.status_code).name, error.detail, headers=error.headers)


async def on_defect(request: Request, error: Exception) -> Response:
    """What nobody meant to raise: logged with the trace id, answered without content."""
    trace = trace_id(request)
    _log.error("internal error, trace %s, %s %s", trace, request.method, request.url.path, exc_info=error)
    return problem(request, 500, "InternalError", f"Internal server error (trace {trace})")


def trace_id(request: Request) -> str:
    """That of the caller's ``traceparent``, else a new one; the same for the whole request."""
    known: str | None = request.scope.get("drasi.trace")
    if known is None:
        parts = request.headers.get("traceparent", "").split("-")
        known = parts[1] if len(parts) == 4 and len(parts[1]) == 32 else uuid.uuid4().hex
        request.scope["drasi.trace"] = known
    return known
