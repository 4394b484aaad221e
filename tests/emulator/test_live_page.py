"""The whole way to a person: from an UPDATE in PostgreSQL through processes to a page in a browser, through the one address."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from playwright.async_api import ConsoleMessage, async_playwright, expect

from drasi.web.sign_in import address_with
from tests.embedded.waiting import eventually
from tests.emulator.harbour import Harbour, harbour
from tests.postgres import Server, postgres

__all__ = ["postgres"]

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE_MS = 40_000
WATCH = {
    "apiVersion": "v1",
    "kind": "Reaction",
    "name": "watch",
    "spec": {"kind": "Debug", "queries": {"deep-ships": None}},
}

if CHROMIUM is None and os.environ.get("CI") != "true":
    pytest.skip("there is no chromium: apt-get install chromium", allow_module_level=True)


async def test_a_row_changes_and_a_page_shows_it(tmp_path: Path, postgres: Server) -> None:
    said: list[str] = []
    try:
        async with harbour(tmp_path, said, postgres) as running:
            more = tmp_path / "more"
            more.mkdir()
            (more / "watch.json").write_text(json.dumps(WATCH))
            await running.system.apply([more])
            await running.system.fleet.ready()
            await eventually(running.agrees, "the answers are those of the database", 40)
            token = running.system.token
            await _watch(running, token)
        assert not [line for line in said if token in line], "no line of any process shows the token"
    finally:
        print("\n".join(said[-200:]))


async def _watch(running: Harbour, token: str) -> None:
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # The first answer to a browser that has no cookie yet is 401, with the page that lets it in.
        if message.type == "error" and "status of 401" not in message.text:
            errors.append(message.text)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            context = await browser.new_context(viewport={"width": 1280, "height": 900})
            page = await context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on("console", note)
            page.on("pageerror", lambda error: errors.append(str(error)))
            requested: list[str] = []
            page.on("request", lambda request: requested.append(request.url))
            sockets: list[str] = []
            page.on("websocket", lambda socket: sockets.append(socket.url))
            await page.goto(address_with(running.system.url, token))
            await page.wait_for_function("!location.pathname.startsWith('/sign-in')")
            await page.goto(f"{running.system.url}/reactions/watch/")
            expect.set_options(timeout=PATIENCE_MS)
            await expect(page.locator("#connection")).to_have_text("live")
            rows = page.locator("#rows tbody tr")
            await expect(rows).to_have_count(len(running.direct("deep-ships")))
            running.database.write(["UPDATE Ship SET draught = 99, berth = 3 WHERE id = 'ship-7'"])
            mine = rows.filter(has_text="ship-7")
            await expect(mine).to_have_count(1)
            await expect(mine).to_contain_text("99")
            await expect(rows).to_have_count(len(running.direct("deep-ships")))
            running.database.write(["UPDATE Ship SET draught = 98 WHERE id = 'ship-7'"])
            await expect(mine).to_contain_text("98")
            running.database.write(["DELETE FROM Ship WHERE id = 'ship-7'"])
            await expect(mine).to_have_count(0)
            assert sockets
            assert not [url for url in [*requested[1:], *sockets] if token in url], "the token is in no address"
        finally:
            await browser.close()
    assert errors == []
