"""A function says what is the matter with what it stands on, and stops when what it remembers is gone.

Its memory is in Firestore. If that was emptied (an emulator restarted), the process still knows what nobody else knows any more:
it takes nothing more, and says so, until it is started again and begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drasi.errors import DrasiError
from drasi.web.push import respond

STATUS: Final = "/status"
_STILL: Final = frozenset(("/healthz", "/metrics"))
_TRY_AGAIN_LATER: Final = 1013


def told(error: DrasiError) -> str:
    """An error in one line."""
    return f"{error.message}; {error.hint}" if error.hint else error.message


class Watched:
    """An application, with what is the matter added to its ``/status``; with a ``problem`` it is that and nothing else.

    Args:
        problem: Why it must not go on.
        troubles: What is wrong at the moment, by name.
        own_status: The application has no ``/status``.
    """

    def __init__(
        self,
        app: ASGIApp,
        problem: Callable[[], DrasiError | None],
        troubles: Callable[[], Mapping[str, str]],
        *,
        own_status: bool = False,
    ) -> None:
        self._app = app
        self._problem = problem
        self._troubles = troubles
        self._own_status = own_status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem()
        path = scope.get("path")
        if scope["type"] == "websocket" and problem is not None:
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
        elif scope["type"] != "http" or path in _STILL:
            await self._app(scope, receive, send)
        elif path == STATUS and (problem is not None or self._own_status):
            messages = {problem.code: told(problem)} if problem is not None else dict(self._troubles())
            await _as_json(send, 200, {"available": not messages, "messages": messages})
        elif problem is not None:
            await respond(send, 503, f"{problem.code}: {told(problem)}".encode())
        elif path == STATUS and (troubles := self._troubles()):
            await self._with_troubles(troubles, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _with_troubles(self, troubles: Mapping[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        status = 500
        body = b""

        async def keep(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                body += message.get("body", b"")

        await self._app(scope, receive, keep)
        try:
            found = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.MsgspecError:
            await respond(send, status, body)
            return
        await _as_json(send, status, {**found, "messages": {**(found.get("messages") or {}), **troubles}})


async def _as_json(send: Send, status: int, value: Any) -> None:
    body = msgspec.json.encode(value)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
