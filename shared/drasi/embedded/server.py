"""The HTTP server around an application: uvicorn on a socket, stopped by whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import ClassVar

import uvicorn
from starlette.types import ASGIApp

from drasi.errors import DrasiError

HOST = "127.0.0.1"
_BACKLOG = 2048


class PortUnavailable(DrasiError):
    """The port cannot be listened on."""

    code: ClassVar[str] = "PortUnavailable"


def bind(port: int, host: str = HOST) -> socket.socket:
    """A socket on an address of this machine, loopback if not told otherwise; port 0 takes a free one.

    Raises:
        PortUnavailable
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise PortUnavailable(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="stop what uses the port, or choose another with --port",
        ) from error
    sock.setblocking(False)
    return sock


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the caller's."""
        yield


class HttpServer:
    """Serves an application on a bound socket until ``stop``."""

    def __init__(self, app: ASGIApp, sock: socket.socket, *, drain_s: float) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="websockets-sansio",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        self._server = _Server(config)
        self._socket = sock
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Returns when it accepts requests."""
        self._socket.listen(_BACKLOG)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http server")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise PortUnavailable("the HTTP server ended while it started")
            await asyncio.sleep(0.005)

    def begin_stop(self) -> None:
        """Accepts nothing more; requests under way go on."""
        self._server.should_exit = True

    async def stopped(self) -> None:
        """Returns when the last request has ended, or the time to drain is over."""
        if self._task is not None:
            await self._task
        self._socket.close()
