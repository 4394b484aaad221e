"""One address for all functions: which path goes where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from drasi.emulate.gateway import Gateway, gateway_app

PLACES = {
    ("management", "management"): "http://management",
    ("query", "deep-ships"): "http://container",
    ("source", "harbour"): "http://source",
    ("reaction", "board"): "http://board",
}


async def _functions(scope: Scope, receive: Receive, send: Send) -> None:
    """Every function: says who was asked for what."""
    url = Request(scope).url.replace(netloc=scope["server"][0])
    await PlainTextResponse(str(url))(scope, receive, send)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "index.html").write_text("the page")
    (tmp_path / "page.css").write_text("its style")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(_functions)) as functions:
        gateway = Gateway(lambda kind, name: PLACES.get((kind, name)), functions, page=tmp_path)
        app = httpx.ASGITransport(gateway_app(gateway, None, ""), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=app, base_url="http://127.0.0.1") as found:
            yield found


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", "the page"),
        ("/page.css", "its style"),
        ("/v1/status", "http://management/v1/status"),
        ("/api-doc/openapi.json", "http://management/api-doc/openapi.json"),
        ("/console", "http://management/console"),
        ("/console/style.css", "http://management/console/style.css"),
        ("/queries/deep-ships/events?after=3", "http://container/queries/deep-ships/events?after=3"),
        ("/deep-ships", "http://container/deep-ships"),
        ("/sources/harbour/events", "http://source/sources/harbour/events"),
        ("/reactions/board/debug.css", "http://board/reactions/board/debug.css"),
        ("/reactions/bord/", "nothing here is called 'bord'"),
    ],
)
async def test_each_path_goes_to_the_function_that_answers_it(client: httpx.AsyncClient, path: str, answer: str) -> None:
    assert (await client.get(path)).text == answer
