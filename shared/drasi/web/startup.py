"""An application that is built once, begun by whoever needs it first.

The functions framework has no lifespan: restore and background tasks begin with the first request, or with ``/readyz``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi import redaction
from drasi.errors import DrasiError
from drasi.web.authentication import PRINCIPAL, shows_signature
from drasi.web.push import respond

_log = structlog.get_logger("drasi.startup")


class Startup:
    """Runs ``build`` once; a failure is raised to all who wait, and the next request tries again."""

    def __init__(self, build: Callable[[], Awaitable[ASGIApp]]) -> None:
        self._build = build
        self._task: asyncio.Task[ASGIApp] | None = None
        self.app: ASGIApp | None = None

    def begin(self) -> None:
        """Begins, if nobody has, without waiting."""
        if self._task is None or (self._task.done() and self.app is None):
            self._task = asyncio.create_task(self._run(), name="startup")

    async def ensure(self) -> ASGIApp:
        """Returns the application when it is built; raises what ``build`` raised."""
        if self.app is None:
            self.begin()
            assert self._task is not None
            return await asyncio.shield(self._task)
        return self.app

    async def _run(self) -> ASGIApp:
        try:
            self.app = await self._build()
        except Exception as error:
            _log.exception("start-up failed; the next request tries again", error=type(error).__name__)
            raise
        return self.app


class Lazy:
    """The application of a function: ``/healthz`` at once, ``/readyz`` begins the start without waiting, the rest waits for it."""

    def __init__(self, build: Callable[[], Awaitable[ASGIApp]]) -> None:
        self._startup = Startup(build)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._startup.app
        if app is None:
            if scope["type"] == "http" and scope["path"] in ("/healthz", "/readyz"):
                self._startup.begin()
                await respond(send, 200 if scope["path"] == "/healthz" else 503)
                return
            try:
                app = await self._startup.ensure()
            except Exception as error:
                # The log has it. Who shows a signature instead of a token comes this far before anybody has looked at it.
                told = isinstance(error, DrasiError) and not (shows_signature(scope) and PRINCIPAL not in scope)
                text = f"{error.code}: {error.message}; {error.hint}" if told and isinstance(error, DrasiError) else ""
                await respond(send, 503, redaction.clean(text).encode())
                return
        await app(scope, receive, send)
