"""Push endpoints of this process: a real server on a free port, with the code that takes pushes in the functions."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from drasi.bus.endpoint import Endpoint
from drasi.bus.port import Deliver
from drasi.embedded.server import HttpServer, bind
from drasi.messages.envelope import Message
from drasi.web.push import PushFront, respond


class LocalEndpoints:
    """``Endpoints`` whose pushes come back into this process, subscription by subscription."""

    def __init__(self, token: str = "") -> None:
        self._deliveries: dict[str, Deliver] = {}
        self._running: dict[str, set[asyncio.Task[int]]] = {}
        self._front = PushFront(self._deliveries, _not_here)
        self._query = f"?token={token}" if token else ""
        self._server: HttpServer | None = None

    async def open(self, subscription: str, deliver: Deliver) -> Endpoint:
        if self._server is None:
            self._server = HttpServer(self._front, bind(0), drain_s=1.0)
            await self._server.start()
        running = self._running.setdefault(subscription, set())

        async def tracked(message: Message) -> int:
            task = asyncio.ensure_future(deliver(message))
            running.add(task)
            task.add_done_callback(running.discard)
            return await task

        self._deliveries[f"/push/{subscription}"] = tracked
        return Endpoint(f"http://127.0.0.1:{self._server.port}/push/{subscription}{self._query}")

    async def shut(self, subscription: str) -> None:
        self._deliveries.pop(f"/push/{subscription}", None)
        running = self._running.get(subscription)
        if running:
            await asyncio.wait(running)

    async def close(self) -> None:
        for subscription in [*self._running]:
            await self.shut(subscription)
        if self._server is not None:
            self._server.begin_stop()
            await self._server.stopped()
            self._server = None

    async def die(self) -> None:
        """The process ends at this instant: connections break, nobody is waited for."""
        self._deliveries.clear()
        tasks = [task for running in self._running.values() for task in running]
        for task in tasks:
            task.cancel()
        if self._server is not None:
            for connection in list(self._server._server.server_state.connections):
                connection.transport.abort()
            self._server.begin_stop()
            self._server._server.force_exit = True
            await self._server.stopped()
            self._server = None
        await asyncio.gather(*tasks, return_exceptions=True)


async def _not_here(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 503, b"nobody takes this subscription's messages now")
