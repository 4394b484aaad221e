"""Between Pub/Sub and the functions: pushes pass, are remembered, go to an instance of the test's choice, and may come again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from drasi.embedded.server import HOST, HttpServer, bind
from drasi.web.push import read_body, respond

PUSHES = ("/changes", "/control", "/results")
_PATIENCE_S = 8.0
_AGAIN = 503
_OF_THE_HOP = (b"host", b"connection", b"transfer-encoding", b"content-length", b"keep-alive")


@dataclass(frozen=True)
class Push:
    """One that was acknowledged."""

    place: str
    name: str
    target: str
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Instance:
    """One process of several that share a port: a connection to it, and the means to be sure that it is one to it.

    Args:
        pid: Of the process.
        url: Of the function.
        headers: What it is shown.
    """

    def __init__(self, pid: int, url: str, headers: Callable[[], dict[str, str]]) -> None:
        self.pid = pid
        self._url = url
        self._headers = headers
        self._client: httpx.AsyncClient | None = None

    async def client(self) -> httpx.AsyncClient:
        """With one connection, which is to this process."""
        while True:
            if self._client is None:
                # The system chooses by the ports of both sides, so another connection may be to another process.
                limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
                self._client = httpx.AsyncClient(base_url=self._url, limits=limits, timeout=_PATIENCE_S)
            try:
                answer = await self._client.get("/status", headers=self._headers())
                if answer.status_code == 200 and pid_of(answer.json()) == self.pid:
                    return self._client
            except httpx.HTTPError:
                await asyncio.sleep(0.01)
            await self.close()

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def pid_of(status: dict[str, Any]) -> int:
    """The process that gave a container's status."""
    (instance,) = status["instances"]
    return int(instance.split("-")[-2])


class Relay:
    """Every request to a function passes here: ``http://127.0.0.1:PORT/{place}/{name}…``.

    Args:
        url: From place and name to the function's own URL.

    Attributes:
        acknowledged: Pushes that were, in the order in which they were.
        pushed_to: Of a container: the instances that get its pushes, each push one of them. None given: whoever comes.
        twice: How often a push goes to another of them, too, at the same time.
    """

    def __init__(self, url: Callable[[str, str], str], seed: int) -> None:
        self.acknowledged: list[Push] = []
        self.pushed_to: dict[str, Sequence[int]] = {}
        self.twice = 0.0
        self.port = 0
        self._url = url
        self._chance = random.Random(seed)
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(_PATIENCE_S, read=60), limits=httpx.Limits(max_connections=None))
        # A connection for each request: the instances of a function get them in turn.
        self._fresh = httpx.AsyncClient(timeout=_PATIENCE_S, limits=httpx.Limits(max_keepalive_connections=0))
        self._pools: dict[int, list[httpx.AsyncClient]] = {}
        self._headers: Callable[[], dict[str, str]] = dict

    @property
    def variables(self) -> dict[str, str]:
        """For the functions, which then find each other here."""
        there = f"http://{HOST}:{self.port}"
        return {
            "DRASI_SOURCE_URL": f"{there}/source/{{name}}",
            "DRASI_CONTAINER_URL": f"{there}/container/{{name}}",
            "DRASI_REACTION_URL": f"{there}/reaction/{{name}}",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, place, name, rest = scope["path"].split("/", 3)
        target = f"/{rest}" + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        body = await read_body(receive)
        if scope["method"] == "POST" and f"/{rest}" in PUSHES:
            push = Push(place, name, target, body)
            status = await self.deliver(push)
            if status == 204:
                self.acknowledged.append(push)
            await respond(send, status)
            return
        passing = asyncio.create_task(self._pass(scope, place, name, target, body, send))
        gone = asyncio.create_task(_gone(receive))
        # Who reads a stream may go at any time; then nobody reads it on.
        await asyncio.wait([passing, gone], return_when=asyncio.FIRST_COMPLETED)
        for task in (passing, gone):
            task.cancel()
        await asyncio.wait([passing, gone])

    async def _pass(self, scope: Scope, place: str, name: str, target: str, body: bytes, send: Send) -> None:
        headers = [(key, value) for key, value in scope["headers"] if key not in _OF_THE_HOP]
        url = self._url(place, name) + target
        begun = False
        try:
            async with self._client.stream(scope["method"], url, headers=headers, content=body) as answer:
                given = [(key.lower(), value) for key, value in answer.headers.raw if key.lower() not in _OF_THE_HOP]
                await send({"type": "http.response.start", "status": answer.status_code, "headers": given})
                begun = True
                async for part in answer.aiter_raw():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body"})
        except httpx.HTTPError:
            if not begun:
                await respond(send, _AGAIN)

    async def deliver(self, push: Push) -> int:
        """Hands a push to its function; the status it is answered, or 503."""
        chosen = self.pushed_to.get(push.name, ()) if push.place == "container" else ()
        if not chosen:
            return await self._post(self._fresh, push)
        several = self._chance.sample(list(chosen), 2 if len(chosen) > 1 and self._chance.random() < self.twice else 1)
        return (await asyncio.gather(*(self._to(pid, push) for pid in several)))[0]

    async def _to(self, pid: int, push: Push) -> int:
        """By a connection that is to this process."""
        pool = self._pools.setdefault(pid, [])
        if pool:
            client = pool.pop()
        else:
            client = await Instance(pid, self._url(push.place, push.name), self._headers).client()
        status = await self._post(client, push)
        if status == _AGAIN:
            await client.aclose()
        else:
            pool.append(client)
        return status

    async def _post(self, client: httpx.AsyncClient, push: Push) -> int:
        url = self._url(push.place, push.name) + push.target
        try:
            answer = await client.post(url, content=push.body, headers={"Content-Type": "application/json"})
        except httpx.HTTPError:
            return _AGAIN
        return answer.status_code

    def shows(self, headers: Callable[[], dict[str, str]]) -> None:
        """What instances are shown when they are asked who they are."""
        self._headers = headers

    async def close(self) -> None:
        for client in (self._client, self._fresh, *(client for pool in self._pools.values() for client in pool)):
            await client.aclose()


async def _gone(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def relay(url: Callable[[str, str], str], seed: int) -> AsyncIterator[Relay]:
    """A relay that listens."""
    found = Relay(url, seed)
    server = HttpServer(found, bind(0), drain_s=1.0)
    await server.start()
    found.port = server.port
    try:
        yield found
    finally:
        server.begin_stop()
        await server.stopped()
        await found.close()
