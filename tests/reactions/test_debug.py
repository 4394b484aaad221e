"""The Debug reaction: its API, its sockets, and the page in a real browser."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from drasi.messages.results import ResultEvent
from drasi.reactions.debug import KIND
from drasi.reactions.debug.kind import DebugReaction
from drasi.reactions.port import ReactionContext
from tests.reactions.fakes import Query, Reader, until
from tests.reactions.serving import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Site:
    def __init__(self) -> None:
        self.q = Query("room-comfort", 10)
        self.p = Query("alerts", 5)
        self.reader = Reader(self.q, self.p)
        self.standing = {"room-comfort": {"sequence": 10, "behind": 0, "failing": False, "lastError": None}}
        given = ReactionContext(
            "r", {}, {"room-comfort": None, "alerts": None}, self.reader, lambda _name, _text: None, lambda: self.standing
        )
        self.reaction = DebugReaction(given)
        self.port = 0

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}/reactions/r"

    def socket(self, path: str, **options: Any) -> Any:
        return connect(f"ws://127.0.0.1:{self.port}/reactions/r/api/ws/{path}", proxy=None, **options)

    def push(self, *events: ResultEvent) -> None:
        self.reaction.notice(events[0].queryId, msgspec.json.encode(list(events)))

    async def joined(self, query_id: str = "room-comfort", readers: int = 1) -> None:
        await until(lambda: self.reaction.rows[query_id].readers == readers)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    async with serving(made.reaction.routes(), ws="websockets-sansio") as made.port:
        yield made
        await made.reaction.close()


async def receive(socket: Any, count: int) -> list[Any]:
    return [msgspec.json.decode(await asyncio.wait_for(socket.recv(), 10)) for _ in range(count)]


async def test_api(site: Site) -> None:
    site.q.rows = {"a": {"room": "R1", "comfort": 41.5}, "b": {"room": "R2", "note": None}}
    async with httpx.AsyncClient(base_url=site.http, trust_env=False) as client:
        assert (await client.get("/api/queries")).json() == ["room-comfort", "alerts"]
        assert (await client.get("/api/queries/room-comfort")).json() == {
            "queryId": "room-comfort",
            "sequence": 10,
            "timestamp": 1_772_352_930_010,
            "state": "running",
            "fieldNames": ["room", "comfort", "note"],
            "data": [{"room": "R1", "comfort": 41.5}, {"room": "R2", "note": None}],
            "rowIds": ["a", "b"],
            "errors": [],
        }
        information = (await client.get("/api/queries/room-comfort/debug-information")).json()
        assert information["rows"] == 2
        assert information["state"] == "running"
        assert information["reaction"] == site.standing["room-comfort"]
        assert information["status"] is None
        site.q.unavailable = True
        assert "is down" in (await client.get("/api/queries/room-comfort/debug-information")).json()["error"]
        assert (await client.get("/api/queries/room-comfort")).status_code == 503
        for path in ("/api/queries/none", "/api/queries/none/debug-information", "/kind.py", "/__init__.py", "/..%2fport.py"):
            assert (await client.get(path)).status_code == 404


async def test_the_status_of_the_query_where_the_reader_has_it(site: Site) -> None:
    async def status(query_id: str) -> dict[str, Any]:
        return {"status": "Running", "rowErrors": {"count": 1}, "for": query_id}

    site.reader.status = status  # type: ignore[attr-defined]
    async with httpx.AsyncClient(base_url=site.http, trust_env=False) as client:
        information = (await client.get("/api/queries/alerts/debug-information")).json()
    assert information["status"] == {"status": "Running", "rowErrors": {"count": 1}, "for": "alerts"}


async def test_the_page_is_self_contained(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.http, trust_env=False) as client:
        page = await client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert '<base href="/reactions/r/"' in page.text
        texts = [page.text]
        for name, type_ in (("debug.js", "text/javascript"), ("debug.css", "text/css")):
            answer = await client.get(f"/{name}")
            assert answer.headers["content-type"].startswith(type_)
            texts.append(answer.text)
    for text in texts:
        assert "https://" not in text
        assert "//cdn" not in text
        assert text.replace("http://www.w3.org/2000/svg", "").count("http://") == 0


async def test_a_socket_follows_a_query(site: Site) -> None:
    site.q.rows = {"a": {"n": 1}}
    async with site.socket("query/room-comfort") as socket:
        head, row = await receive(socket, 2)
        assert (head["op"], head["seq"], row["op"], row["payload"]["rowId"]) == ("h", 10, "r", "a")
        await site.joined()
        site.push(site.q.change(add={"b": {"n": 2}}, delete=("a",)), site.q.control("stopped"))
        assert [(message["op"], message["seq"]) for message in await receive(socket, 3)] == [("d", 11), ("i", 11), ("x", 12)]
        site.q.change(add={"c": {}})
        site.q.trim(13)
        site.push(site.q.change(add={"d": {}}))
        assert [message["op"] for message in await receive(socket, 4)] == ["h", "r", "r", "r"]
    await site.joined(readers=0)


async def test_a_socket_over_all_queries_has_packed_events(site: Site) -> None:
    async with site.socket("stream") as socket:
        await until(lambda: all(feed.readers for feed in site.reaction.events.values()))
        site.push(site.q.change(add={"a": {"n": 1.0}}))
        (first,) = await receive(socket, 1)
        site.push(site.p.control("running"))
        (second,) = await receive(socket, 1)
    assert first == {
        "kind": "change",
        "queryId": "room-comfort",
        "sequence": 11,
        "sourceTimeMs": 1_772_352_930_011,
        "addedResults": [{"n": 1.0}],
        "addedRowIds": ["a"],
        "updatedResults": [],
        "deletedResults": [],
        "deletedRowIds": [],
    }
    assert second == {
        "kind": "control",
        "queryId": "alerts",
        "sequence": 6,
        "sourceTimeMs": 0,
        "controlSignal": {"kind": "running"},
    }


async def test_a_socket_says_when_the_query_cannot_be_read(site: Site) -> None:
    site.q.unavailable = True
    async with site.socket("query/room-comfort") as socket:
        (trouble,) = await receive(socket, 1)
        assert (trouble["kind"], trouble["code"]) == ("error", "QueryUnavailable")
        site.q.unavailable = False
        assert [message["op"] for message in await receive(socket, 1)] == ["h"]


async def test_pages_of_other_sites_get_no_socket(site: Site) -> None:
    for path in ("query/room-comfort", "stream"):
        with pytest.raises(InvalidStatus):
            await site.socket(path, origin="http://elsewhere.example").__aenter__()
    with pytest.raises(InvalidStatus):
        await site.socket("query/none").__aenter__()
    async with site.socket("query/room-comfort", origin=f"http://127.0.0.1:{site.port}") as socket:
        assert len(await receive(socket, 1)) == 1


async def test_close_ends_the_sockets(site: Site) -> None:
    async with site.socket("query/room-comfort") as socket:
        await receive(socket, 1)
        await site.joined()
        await site.reaction.close()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 10)


def test_configuration_per_query_is_ignored_with_a_warning() -> None:
    assert KIND.check is not None
    assert KIND.check(None) == []
    assert [finding.code for finding in KIND.check({"x": 1})] == ["IgnoredField"]
    assert [finding.code for finding in KIND.check("text")] == ["IgnoredField"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)")
async def test_the_page_in_a_browser(site: Site, tmp_path: Any) -> None:
    from playwright.async_api import async_playwright, expect

    site.q.rows = {f"r{n}": {"room": f"Room {n}", "temp": 70 + n, "comfort": 50.5 + n} for n in range(4)}
    site.standing["room-comfort"]["lastError"] = None

    async def status(query_id: str) -> dict[str, Any]:
        sample = [{"type": "ArithmeticError", "detail": "DivisionByZero", "message": "division by zero"}]
        return {"status": "Running", "sequence": 5, "rowErrors": {"count": int(query_id == "room-comfort"), "sample": sample}}

    site.reader.status = status  # type: ignore[attr-defined]
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        await page.goto(site.http + "/")
        await expect(page.locator("#rows tbody tr")).to_have_count(4)
        await expect(page.locator("#connection")).to_have_text("live")
        await expect(page.locator("#sequence")).to_have_text("10")
        await expect(page.locator("#errors")).to_contain_text("division by zero")
        site.push(
            site.q.change(
                add={"new": {"room": "<img src=x onerror=alert(1)>", "temp": 1, "comfort": 2.5}},
                update={"r1": {"room": "Room 1", "temp": 99, "comfort": 51.5}},
                delete=("r0",),
            )
        )
        await expect(page.locator("#rows tbody")).to_contain_text("99")
        await expect(page.locator("#rows tbody")).to_contain_text("<img src=x onerror=alert(1)>")
        await expect(page.locator("#rows tbody tr")).to_have_count(4)
        await expect(page.locator("#differences li")).to_have_count(3)
        await expect(page.locator("#differences del")).to_have_text("71")
        await expect(page.locator("#sequence")).to_have_text("11")
        await page.locator("#filter").fill("room 2")
        await expect(page.locator("#rows tbody tr")).to_have_count(1)
        await page.locator("#filter").fill("")
        await expect(page.locator("#rows tbody tr")).to_have_count(4)
        await page.screenshot(path=tmp_path / "light.png")
        await expect(page.locator("nav a", has_text="room-comfort").locator(".dot.bad")).to_have_count(1)
        await expect(page.locator("nav a", has_text="alerts").locator(".dot.good")).to_have_count(1)
        await page.locator("#theme").click()
        await page.screenshot(path=tmp_path / "dark.png")
        await page.set_viewport_size({"width": 420, "height": 800})
        await page.screenshot(path=tmp_path / "narrow.png")
        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.locator("nav a", has_text="alerts").click()
        await expect(page.locator("#empty")).to_be_visible()
        await expect(page.locator("#sequence")).to_have_text("5")
        for feed in site.reaction.rows.values():
            for cursor in list(feed._cursors):
                cursor.cut.set()
        await expect(page.locator("#banner")).to_contain_text("Reconnecting")
        await expect(page.locator("#connection")).to_have_text("live")
        await expect(page.locator("#banner")).to_contain_text("Connected again")
        assert problems == []
        await browser.close()
