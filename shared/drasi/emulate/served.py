"""``python -m drasi.emulate.served MAIN TARGET FD``: one function behind the functions framework, on a socket that is listened on.

What it serves is ``functions_framework.aio:app``, as production does. Beside that it begins the function at once (nobody has to ask
``/readyz`` first), says so on standard output when it is ready, hands WebSockets, which the framework does not route, to the
function's own application, and ends when standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drasi.web.logs import configure_logs

READY = "\x06ready"
"""The line that says so."""
_LOOK_S = 0.05


def main(file: str, target: str, descriptor: int) -> None:
    """Serves until it is told to end."""
    os.environ["FUNCTION_SOURCE"], os.environ["FUNCTION_TARGET"] = file, target
    configure_logs()
    from functions_framework.aio import app as framework

    sock = socket.socket(fileno=descriptor)
    config = uvicorn.Config(
        _with_sockets(framework),
        http="httptools",
        ws="websockets-sansio",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=2,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(uvicorn.Server(config), framework, sock))


async def _serve(server: uvicorn.Server, app: ASGIApp, sock: socket.socket) -> None:
    threading.Thread(target=_end_with_input, args=(asyncio.get_running_loop(), server), daemon=True).start()
    beginning = asyncio.create_task(_begin(app), name="begin")
    try:
        await server.serve(sockets=[sock])
    finally:
        beginning.cancel()
        await asyncio.wait([beginning])


async def _begin(app: ASGIApp) -> None:
    """Asks ``/readyz`` within the process, until it says yes."""
    while await _status(app, "/readyz") != 200:  # noqa: ASYNC110 -- there is nobody to tell us
        await asyncio.sleep(_LOOK_S)
    print(READY, flush=True)


async def _status(app: ASGIApp, path: str) -> int:
    statuses = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"host", b"127.0.0.1")]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": headers, "http_version": "1.1", "scheme": "http", "root_path": "", "server": ("127.0.0.1", 80)}
    await app({**scope, "asgi": {"version": "3.0"}}, receive, send)
    return int(statuses[0])


def _with_sockets(framework: ASGIApp) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        own = getattr(sys.modules.get("main"), "app", None)
        await (own if scope["type"] == "websocket" and own is not None else framework)(scope, receive, send)

    return app


def _end_with_input(loop: asyncio.AbstractEventLoop, server: uvicorn.Server) -> None:
    # Not by sys.stdin: its lock, held by this thread, would abort the interpreter's end.
    os.read(0, 1)

    def end() -> None:
        server.should_exit = True

    loop.call_soon_threadsafe(end)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
