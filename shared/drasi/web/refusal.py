"""Answers to requests that may not come in: over HTTP, to a browser, to a WebSocket."""

from __future__ import annotations

from typing import ClassVar, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from drasi.errors import DrasiError
from drasi.web.problems import problem

_EXTENSION: Final = "websocket.http.response"
_NO_STORE: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class Refusal(DrasiError):
    """A request that goes no further.

    Attributes:
        status: The answer's.
        challenge: ``WWW-Authenticate``; may be empty.
    """

    status: ClassVar[int] = 403

    def __init__(self, message: str, *, hint: str = "", challenge: str = "") -> None:
        super().__init__(message, hint=hint)
        self.challenge = challenge


class Forbidden(Refusal):
    """It comes from where nothing may come from."""

    code: ClassVar[str] = "Forbidden"


class Unauthorized(Refusal):
    """There is no token, or none that is accepted."""

    code: ClassVar[str] = "Unauthorized"
    status: ClassVar[int] = 401

    def __init__(self, hint: str) -> None:
        super().__init__("the token is missing, or is not valid here", hint=hint, challenge='Bearer error="invalid_token"')


class InsufficientScope(Refusal):
    """The token is genuine and does not allow this. It says what would."""

    code: ClassVar[str] = "InsufficientScope"

    def __init__(self, needed: str) -> None:
        scope = f', scope="{needed}"' if needed else ""
        super().__init__(
            f"the token does not allow this; it needs the scope {needed}" if needed else "the token does not allow this",
            hint="an administrator makes tokens with 'drasi token create --scope …'",
            challenge=f'Bearer error="insufficient_scope"{scope}',
        )


class CannotJudge(Refusal):
    """What is needed to verify tokens cannot be had now."""

    code: ClassVar[str] = "Unavailable"
    status: ClassVar[int] = 503
    retryable = True

    def __init__(self) -> None:
        super().__init__("tokens cannot be checked now", hint="try again; the log of the function says why")


async def refuse(scope: Scope, receive: Receive, send: Send, error: DrasiError, *, page: Response | None = None) -> None:
    """Answers a request that is refused, or that cannot be judged now.

    Args:
        page: What a browser is shown instead.
    """
    if not isinstance(error, Refusal):
        # What keeps us from judging a token is none of the business of somebody without one.
        error = CannotJudge()
    status = error.status
    headers = dict(_NO_STORE)
    if error.challenge:
        headers["WWW-Authenticate"] = error.challenge
    if status == 503:
        headers["Retry-After"] = "5"
    if scope["type"] == "websocket":
        await _refuse_socket(scope, receive, send, status, headers, error)
        return
    if page is not None:
        page.headers.update(headers)
        await page(scope, receive, send)
        return
    response = problem(Request(scope), status, error.code, error.message, hint=error.hint, headers=headers)
    await response(scope, receive, send)


async def _refuse_socket(
    scope: Scope, receive: Receive, send: Send, status: int, headers: dict[str, str], error: DrasiError
) -> None:
    await receive()
    if _EXTENSION not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error.message[:120]})
        return
    body = error.message.encode()
    fields = {**headers, "Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": f"{_EXTENSION}.start", "status": status, "headers": raw})
    await send({"type": f"{_EXTENSION}.body", "body": body})
