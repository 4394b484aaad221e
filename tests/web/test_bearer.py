from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.types import Scope

from drasi.web.bearer import token_of
from drasi.web.scrubbing import Scrub, scrub_logs, scrubbed

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln"


def scope(method: str = "GET", query: str = "", kind: str = "http", path: str = "/events", **headers: str) -> Scope:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    found: dict[str, Any] = {"type": kind, "path": path, "query_string": query.encode(), "headers": raw}
    return found | ({"method": method} if kind == "http" else {})


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (scope(authorization=f"Bearer {TOKEN}"), TOKEN),
        (scope(authorization=f"bearer  {TOKEN}"), TOKEN),
        (scope("POST", authorization=f"BEARER {TOKEN}"), TOKEN),
        (scope(cookie=f"a=b; drasi_token={TOKEN}; c=d"), TOKEN),
        (scope("POST", cookie=f"drasi_token={TOKEN}"), TOKEN),
        (scope(authorization="Basic YTpi", cookie=f"drasi_token={TOKEN}"), ""),
        (scope(cookie="drasi_token="), ""),
        (scope(), None),
        # A parameter counts only where a header cannot be sent.
        (scope(query=f"after=3&access_token={TOKEN}", accept="text/event-stream"), TOKEN),
        (scope(query=f"access_token={TOKEN}", accept="application/json, text/event-stream"), TOKEN),
        (scope(kind="websocket", query=f"access_token={TOKEN}"), TOKEN),
        (scope(query=f"access_token={TOKEN}", accept="application/json"), None),
        (scope(query=f"access_token={TOKEN}"), None),
        (scope("POST", query=f"access_token={TOKEN}", accept="text/event-stream"), None),
        (scope(query=f"access_token={TOKEN}&access_token={TOKEN}", accept="text/event-stream"), None),
        (scope("POST", query=f"access_token={TOKEN}", path="/changes"), TOKEN),
        (scope("POST", query=f"access_token={TOKEN}", path="/control"), None),
        (scope(query=f"access_token={TOKEN}", path="/changes"), None),
    ],
)
def test_where_a_token_may_be(request_: Scope, found: str | None) -> None:
    assert token_of(request_, pushed=["/changes"]) == found


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (f"after=3&access_token={TOKEN}&limit=4", "after=3&limit=4"),
        (f"access_token={TOKEN}", ""),
        (f"acc%65ss_token={TOKEN}&a=%20", "a=%20"),
        (f"access_token={TOKEN}&access_token={TOKEN}", ""),
        ("query=a,b&x", "query=a,b&x"),
        ("", ""),
    ],
)
def test_behind_the_guard_nobody_sees_the_parameter(query: str, left: str) -> None:
    request = scope(query=query)
    token_of(request)
    assert request["query_string"] == left.encode()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f'1.2.3.4:1 - "GET /e?a=1&access_token={TOKEN}&b=2 HTTP/1.1"', '1.2.3.4:1 - "GET /e?a=1&access_token=***&b=2 HTTP/1.1"'),
        (f"HTTP Request: POST http://127.0.0.1:1/changes?access_token={TOKEN}", "HTTP Request: POST http://127.0.0.1:1/changes?access_token=***"),
        (f"/x?access_token%3D{TOKEN}", "/x?access_token%3D***"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer ***"),
        (f"http://127.0.0.1:8080/sign-in#token={TOKEN}", "http://127.0.0.1:8080/sign-in#token=***"),
        ("nothing of that kind, bearer of news", "nothing of that kind, bearer of news"),
    ],
)  # fmt: skip
def test_log_lines_hold_no_tokens(text: str, clean: str) -> None:
    assert scrubbed(text) == clean


def test_arguments_of_log_lines_are_cleaned_too(caplog: pytest.LogCaptureFixture) -> None:
    scrub_logs()
    scrub_logs()
    logger = logging.getLogger("uvicorn.error")
    assert sum(isinstance(found, Scrub) for found in logger.filters) == 1
    with caplog.at_level(logging.INFO, "uvicorn.error"):
        logger.info('%s - "WebSocket %s" [accepted] %d', ("127.0.0.1", 1), f"/api/ws?access_token={TOKEN}", 101)
        logger.info("%(path)s", {"path": f"/?access_token={TOKEN}"})
    assert [record.getMessage() for record in caplog.records] == [
        "('127.0.0.1', 1) - \"WebSocket /api/ws?access_token=***\" [accepted] 101",
        "/?access_token=***",
    ]
