"""An application behind a real server on a free port: streams stream, and a client that goes away has gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.types import ASGIApp

from drasi.embedded.server import HttpServer, bind


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    sock = bind(0)
    server = HttpServer(app, sock, drain_s=1.0)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10.0) as client:
            yield client
    finally:
        server.begin_stop()
        await server.stopped()
