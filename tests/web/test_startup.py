"""A function is built once, by whoever needs it first."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.errors import DrasiError
from drasi.web.push import respond
from drasi.web.startup import Lazy
from tests.web.served import serving


class Closed(DrasiError):
    code: ClassVar[str] = "Closed"


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, scope["path"].encode())


async def test_readyz_begins_without_waiting_and_is_the_applications_afterwards() -> None:
    gate, builds = asyncio.Event(), 0

    async def build() -> ASGIApp:
        nonlocal builds
        builds += 1
        await gate.wait()
        return _app

    async with serving(Lazy(build)) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        waiting = asyncio.create_task(client.get("/queries/q"))
        gate.set()
        assert (await waiting).text == "/queries/q"
        assert (await client.get("/readyz")).text == "/readyz"
    assert builds == 1


async def test_a_failed_start_says_why_and_is_tried_again() -> None:
    failures = [Closed("the store is closed", hint="open it")]

    async def build() -> ASGIApp:
        if failures:
            raise failures.pop()
        return _app

    async with serving(Lazy(build)) as client:
        first = await client.get("/x")
        assert (first.status_code, first.text) == (503, "Closed: the store is closed; open it")
        assert (await client.get("/x")).status_code == 200


async def test_whoever_only_shows_a_signature_is_told_nothing_of_a_failed_start() -> None:
    async def build() -> ASGIApp:
        raise Closed("cannot read /mnt/manifest.yaml", hint="DRASI_MANIFEST names it")

    async with serving(Lazy(build)) as client:
        for path in ("/", "/sources/harbour/"):
            answer = await client.post(path, headers={"webhook-signature": "v1,AAAA"})
            assert (answer.status_code, answer.text) == (503, "")
        assert "cannot read" in (await client.post("/")).text, "without it the guard has seen a token"


async def test_a_defect_at_the_start_is_for_the_log() -> None:
    async def build() -> ASGIApp:
        raise RuntimeError("secret-word")

    async with serving(Lazy(build)) as client:
        answer = await client.get("/x")
        assert (answer.status_code, answer.text) == (503, "")
