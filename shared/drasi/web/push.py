"""The hot path: push deliveries answered by a bare ASGI callable, in front of the router.

A router, its middleware and its request object cost more than the evaluation of the change that they carry.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.bus.port import LARGEST_MESSAGE, Deliver
from drasi.messages.envelope import decode_push

LARGEST_BODY = LARGEST_MESSAGE * 4 // 3 + 100_000
"""Base64 of the largest message, and its attributes."""

_log = structlog.get_logger("drasi.push")


class BodyTooLarge(Exception):
    """More than ``LARGEST_BODY``."""


class PushFront:
    """Answers ``POST`` on the paths of ``deliveries``, and leaves everything else to ``app``.

    Args:
        deliveries: Path → what takes the decoded message and answers a status.
        app: The router.
    """

    def __init__(self, deliveries: Mapping[str, Deliver], app: ASGIApp) -> None:
        self._deliveries = deliveries
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            deliver = self._deliveries.get(scope["path"])
            if deliver is not None:
                status, text = await self._answer(deliver, receive)
                await respond(send, status, text)
                return
        await self._app(scope, receive, send)

    async def _answer(self, deliver: Deliver, receive: Receive) -> tuple[int, bytes]:
        try:
            message, _ = decode_push(await read_body(receive))
        except BodyTooLarge:
            return 413, f"a push is at most {LARGEST_BODY} bytes".encode()
        except ValueError as error:
            return 400, str(error).encode()
        try:
            return await deliver(message), b""
        except Exception as error:  # the bus delivers again; nothing of the message goes to the log
            _log.exception("push failed", topic_key=message.ordering_key, error=type(error).__name__)
            return 500, b""


async def read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge
    """
    event = await receive()
    body = event.get("body", b"")
    if not event.get("more_body", False):
        if len(body) > LARGEST_BODY:
            raise BodyTooLarge
        return bytes(body)
    parts = [body]
    size = len(body)
    while event.get("more_body", False):
        event = await receive()
        part = event.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            raise BodyTooLarge
        parts.append(part)
    return b"".join(parts)


async def respond(send: Send, status: int, text: bytes = b"") -> None:
    """A whole response of plain text."""
    headers = [(b"content-length", str(len(text)).encode())] if status != 204 else []
    if text:
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
