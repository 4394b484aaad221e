"""The page of the building-comfort example in a real browser, against the real system in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from drasi.web.sign_in import address_with
from tests.embedded.facilities import EXAMPLE, answers, write
from tests.embedded.test_kill import port_of
from tests.embedded.waiting import until

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000
RUN = """
import asyncio, sys
from drasi.embedded import serve
sys.exit(asyncio.run(serve([sys.argv[1]], state=sys.argv[2], port=int(sys.argv[3]), drive=False)))
"""

if CHROMIUM is None and os.environ.get("CI") != "true":
    pytest.skip("there is no chromium: apt-get install chromium", allow_module_level=True)

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Served:
    """The system in a process of its own, without the sensors: nothing moves that the test does not move."""

    state: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def way_in(self) -> str:
        """The address that ``drasi run`` prints."""
        return address_with(self.url.rstrip("/"), (self.state / "token").read_text().strip())

    def start(self) -> None:
        with (self.state / "run.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, str(EXAMPLE), str(self.state), str(self.port)], stdout=log, stderr=log
            )
        self.process = process
        until(lambda: port_of(self.state, process) > 0, "it runs", 30)
        self.port = port_of(self.state, process)

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, (self.state / "run.log").read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    served.start()
    yield served
    if served.process is not None and served.process.poll() is None:
        served.stop()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The page with everything on it. Any error of the page's own fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light", reduced_motion="reduce")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: _note(errors, message))
    page.on("request", lambda request: None if request.url.startswith((served.url, "data:")) else errors.append(request.url))
    page.goto(served.way_in)
    expect(page.locator("[data-room]")).to_have_count(47)
    yield page
    context.close()
    assert errors == []


def _note(errors: list[str], message: ConsoleMessage) -> None:
    # That the server is gone is what one test is about.
    # The first answer to a browser that has no cookie yet is 401, with the page that lets it in.
    expected = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "status of 401")
    if message.type == "error" and not any(text in message.text for text in expected):
        errors.append(message.text)


def _level(page: Page, room: str) -> str:
    return page.locator(f"[data-room={room}] [data-level]").inner_text()


def test_it_shows_what_the_database_holds(page: Page, served: Served) -> None:
    wanted = answers(served.state)
    for room in wanted["room-comfort"]:
        assert _level(page, room["RoomId"]) == f"{room['ComfortLevel']:.0f}"
    for building in wanted["building-comfort"]:
        expect(page.locator(f"[data-building={building['BuildingId']}] .roof [data-level]")).to_have_text(
            f"{building['ComfortLevel']:.1f}"
        )
    expect(page.locator("[data-floor]")).to_have_count(12)
    expect(page.locator("[data-connection]")).to_have_text("Live")
    expect(page.locator("footer code")).to_contain_text(str(served.state / "building-comfort.db"))


def test_a_change_in_the_database_moves_the_page(page: Page, served: Served) -> None:
    write(served.state, "UPDATE Room SET temp = 95, humidity = 42, co2 = 500 WHERE id = 'room_02_02_02'")
    expect(page.locator("[data-room=room_02_02_02] [data-level]")).to_have_text("73")
    expect(page.locator("[data-room=room_02_02_02]")).to_have_class("room alarm")
    alert = page.locator("[data-alert=room_02_02_02]")
    expect(alert).to_contain_text("Dye Works")
    expect(alert).to_contain_text("stifling")
    expect(page.locator("[data-latency]")).to_contain_text(" ms")
    write(served.state, "UPDATE Room SET temp = 68 WHERE id = 'room_02_02_02'")
    expect(alert).to_have_count(0)
    expect(page.locator(".alert.over").filter(has_text="Dye Works")).to_contain_text("comfortable again")


def test_rooms_come_and_go(page: Page, served: Served) -> None:
    write(
        served.state,
        "INSERT INTO Room (id, name, temp, humidity, co2, floor_id) VALUES ('room_03_04_04', 'Roof', 70, 40, 450, 'floor_03_04')",
    )
    expect(page.locator("[data-room=room_03_04_04]")).to_contain_text("Roof")
    write(served.state, "DELETE FROM Room WHERE id = 'room_03_04_04'")
    expect(page.locator("[data-room=room_03_04_04]")).to_have_count(0)


def test_the_controls_write_to_the_database(page: Page, served: Served) -> None:
    page.locator("[data-room=room_01_03_04]").click()
    sheet = page.locator("[data-sheet=room_01_03_04]")
    expect(sheet).to_contain_text("Library")
    sheet.locator("[data-act=sensor]").click()
    expect(sheet.locator("[data-level]")).to_have_text("4")
    expect(sheet).to_contain_text("UPDATE Room SET sensor = 'broken'")
    expect(sheet).to_contain_text("on this page after")
    expect(page.locator("[data-floor=floor_01_03]")).to_have_class("floor alarm")
    sheet.locator("[data-act=sensor]").click()
    expect(sheet.locator("[data-level]")).to_have_text("46")
    sheet.locator("[data-act=windows]").click()
    expect(page.locator("[data-room=room_01_03_04]")).to_have_class("room alarm open chosen")
    expect(sheet.locator("[data-act=windows]")).to_contain_text("Close the windows")
    # Moving a slider is one input and one change, as a hand's; a second change could carry what the stream showed meanwhile.
    sheet.locator("input[name=temp]").fill("75.5")
    expect(sheet.locator("output").first).to_have_text("75.5 °F")
    sheet.locator("[data-act=reset]").click()
    expect(sheet.locator("[data-level]")).to_have_text("46")
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    room = next(row for row in answers(served.state)["room-comfort"] if row["RoomId"] == "room_01_03_04")
    assert (room["Temperature"], room["Windows"], room["Sensor"]) == (70.0, "closed", "ok")


def test_it_says_when_the_server_is_gone_and_goes_on_when_it_is_back(page: Page, served: Served) -> None:
    served.stop()
    expect(page.locator("[data-connection]")).to_have_text("Reconnecting…")
    expect(page.locator("[role=alert]")).to_contain_text("The connection to the server is lost")
    expect(page.locator("[data-room]")).to_have_count(47)
    write(served.state, "UPDATE Room SET temp = 60, humidity = 42, co2 = 500 WHERE id = 'room_01_01_01'")
    served.start()
    expect(page.locator("[data-connection]")).to_have_text("Live")
    expect(page.locator("[role=alert]")).to_have_count(0)
    expect(page.locator("[data-room=room_01_01_01] [data-level]")).to_have_text("38")
    expect(page.locator("[data-room]")).to_have_count(47)


def test_dark_light_and_a_phone(browser: Browser, served: Served) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(served.way_in)
    expect(page.locator("[data-room]")).to_have_count(47)
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    page.locator("[data-theme-toggle]").click()
    expect(root).to_have_attribute("data-theme", "light")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("[data-room=room_01_05_01]").tap()
    expect(page.locator("[data-sheet]")).to_be_in_viewport()
    context.close()


def test_the_token_leaves_the_address_bar(page: Page, served: Served) -> None:
    token = (served.state / "token").read_text().strip()
    assert page.url == served.url
    assert page.evaluate("document.cookie") == "", "scripts cannot read it"
    assert page.evaluate("document.referrer") in ("", served.url)
    assert token not in page.content()
    [cookie] = page.context.cookies()
    assert (cookie["name"], cookie["value"], cookie["httpOnly"], cookie["sameSite"]) == ("drasi_token", token, True, "Strict")
    page.go_back()
    expect(page).to_have_url("about:blank")


def test_without_a_token_a_page_says_where_it_is(browser: Browser, served: Served) -> None:
    for path in ("", "console", "swagger-ui/", "reactions/comfort-debug/", "queries/room-comfort"):
        context = browser.new_context()
        page = context.new_page()
        page.goto(served.url + path)
        expect(page.get_by_role("heading")).to_have_text("This page needs a token")
        expect(page.locator("#where")).to_contain_text("Open the address that 'drasi run' printed in its terminal")
        page.get_by_label("token").fill("nonsense")
        page.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_have_text("This token is not valid, or no longer.")
        page.get_by_label("token").fill((served.state / "token").read_text())
        page.get_by_role("button").click()
        expect(page.get_by_role("heading", name="This page needs a token")).to_have_count(0)
        assert page.url == served.url + path
        context.close()


def test_every_page_works_with_the_cookie(page: Page, served: Served) -> None:
    page.goto(f"{served.url}console")
    expect(page.locator("table").first).to_contain_text("room-comfort")
    page.goto(f"{served.url}swagger-ui/")
    expect(page.locator("#about")).to_contain_text("version")
    status = page.locator("details", has=page.locator("summary code", has_text="/v1/status"))
    status.locator("summary").click()
    status.get_by_role("button", name="Send").click()
    expect(status.locator("pre")).to_contain_text("200 OK")
    page.goto(f"{served.url}reactions/comfort-debug/")
    expect(page.locator("#connection")).to_have_text("live")
    page.goto(f"{served.url}reactions/comfort-debug/#room-comfort")
    expect(page.locator("#count")).to_have_text("47")


def test_a_link_from_another_site_leads_in(page: Page, served: Served) -> None:
    """The cookie does not come along with it; the page asks again by itself."""
    other = page.context.new_page()
    other.goto(f"{served.url.replace('127.0.0.1', 'localhost')}healthz")
    follow = "url => { const a = document.createElement('a'); a.href = url; document.body.append(a); a.click() }"
    other.evaluate(follow, served.url)
    expect(other.locator("[data-room]")).to_have_count(47)
    assert other.url == served.url


def test_a_page_whose_token_has_ended_says_so(page: Page, served: Served) -> None:
    page.context.clear_cookies()
    served.stop()
    expect(page.locator("[data-connection]")).to_have_text("Reconnecting…")
    served.start()
    expect(page.locator("[role=alert]")).to_contain_text("Reload this page")
    page.reload()
    expect(page.get_by_role("heading")).to_have_text("This page needs a token")
    page.goto(served.way_in)
    expect(page.locator("[data-room]")).to_have_count(47)
