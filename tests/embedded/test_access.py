"""The embedded system with tokens: pages, streams and sockets of its parts."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from drasi.embedded import EmbeddedSystem
from drasi.web.bearer import COOKIE
from tests.auth import attacks
from tests.embedded.facilities import apply_example, prepared
from tests.web.guarded import everything_wrong
from tests.web.served import serving

PATHS = [
    ("GET", "/"),
    ("GET", "/app.js"),
    ("GET", "/console"),
    ("GET", "/console/style.css"),
    ("GET", "/metrics"),
    ("GET", "/panel/info"),
    ("POST", "/panel/rooms/room_01_01_01"),
    ("GET", "/queries/room-comfort"),
    ("GET", "/room-comfort"),
    ("GET", "/queries/room-comfort/events"),
    ("GET", "/reactions/comfort-page/events"),
    ("GET", "/reactions/comfort-page/snapshot/room-comfort"),
    ("GET", "/reactions/comfort-debug/"),
    ("GET", "/reactions/comfort-debug/debug.js"),
    ("GET", "/reactions/nowhere/"),
    ("POST", "/sources/facilities/acquire-stream"),
    ("POST", "/sources/nowhere/events"),
    ("GET", "/v1/status"),
    ("POST", "/v1/apply"),
    ("GET", "/v1/debug"),
    ("GET", "/swagger-ui/"),
    ("GET", "/api-doc/openapi.json"),
    ("GET", "/nowhere/at/all"),
    ("GET", "/nowhere.css"),
]


class Place:
    """The example, served with tokens."""

    def __init__(self, system: EmbeddedSystem, client: httpx.AsyncClient) -> None:
        self.system = system
        self.client = client

    def token(self, *scope: str) -> str:
        return self.system.identity.issuer.issue("ada", scope).text

    async def status(self, method: str, path: str, token: str | None = None, **headers: str) -> int:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.client.stream(method, path, headers=headers) as answer:
            return answer.status_code

    def socket(self, path: str, **headers: str) -> connect:
        url = str(self.client.base_url).replace("http", "ws", 1).rstrip("/")
        return connect(url + path, proxy=None, additional_headers=headers, open_timeout=10)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    system = await prepared(tmp_path_factory.mktemp("place") / "state")
    async with system, serving(system.app) as client:
        await apply_example(system)
        yield Place(system, client)


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_path_needs_a_token(place: Place) -> None:
    assert {await place.status(method, path) for method, path in PATHS} == {401}
    assert {await place.status("GET", path) for path in ("/healthz", "/readyz", "/.well-known/jwks.json")} == {200}


async def test_no_wrong_token_opens_any_part(place: Place) -> None:
    ring = place.system.identity.issuer.ring()
    accepted = [
        (name, path)
        for name, token in everything_wrong(ring)
        for path in ("/", "/v1/status", "/queries/room-comfort", "/reactions/comfort-debug/", "/panel/info")
        if await place.status("GET", path, token) != 401
    ]
    assert accepted == []


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("resource:read", "GET", "/console"),
        ("resource:read", "GET", "/panel/info"),
        ("resource:write", "POST", "/panel/rooms/room_01_01_01/reset"),
        ("query:read:room-comfort", "GET", "/queries/room-comfort"),
        ("query:read:room-comfort", "GET", "/room-comfort"),
        ("query:read:room-comfort", "GET", "/queries/room-comfort/events"),
        ("query:read:room-comfort", "GET", "/reactions/comfort-page/events?query=room-comfort"),
        ("query:read:room-comfort", "GET", "/reactions/comfort-page/snapshot/room-comfort"),
        ("query:read:room-comfort", "GET", "/reactions/comfort-debug/api/queries/room-comfort"),
        ("query:read:*", "GET", "/reactions/comfort-page/events"),
        ("source:read:facilities", "POST", "/sources/facilities/acquire-stream"),
    ],
)
async def test_scopes(place: Place, scope: str, method: str, path: str) -> None:
    assert await place.status(method, path, place.token(scope)) not in (401, 403, 500)
    others = {"resource:read", "resource:write", "query:read:floor-comfort", "query:debug", "source:read:other", "secret:write"} - {
        scope
    }
    if scope == "query:read:*":
        others |= {"query:read:room-comfort"}
    assert await place.status(method, path, place.token(*others)) == 403


async def test_any_token_opens_the_page_itself(place: Place) -> None:
    token = place.token("source:publish:facilities")
    assert await place.status("GET", "/", token) == 200
    assert await place.status("GET", "/app.js", token) == 200


async def test_a_stream_of_all_queries_needs_all_of_them(place: Place) -> None:
    one = place.token("query:read:room-comfort")
    for path in ("", "?query=room-comfort,floor-comfort", "?query=room-comfort&query=floor-comfort", "?query="):
        assert await place.status("GET", f"/reactions/comfort-page/events{path}", one) == 403, path
    with pytest.raises(InvalidStatus) as caught:
        async with place.socket("/reactions/comfort-debug/api/ws/stream", Authorization=f"Bearer {one}"):
            pass
    assert caught.value.response.status_code == 403


async def test_streams_take_the_token_as_parameter(place: Place) -> None:
    token = place.token("query:read:room-comfort")
    path = f"/reactions/comfort-page/events?query=room-comfort&access_token={token}"
    assert await place.status("GET", path, Accept="text/event-stream") == 200
    assert await place.status("GET", path) == 401
    tail = f"/queries/room-comfort/events?access_token={token}"
    assert await place.status("GET", tail, Accept="text/event-stream") == 200


async def test_sockets(place: Place) -> None:
    path = "/reactions/comfort-debug/api/ws/query/room-comfort"
    token = place.token("query:read:room-comfort")
    for opening in (
        place.socket(f"{path}?access_token={token}"),
        place.socket(path, Authorization=f"Bearer {token}"),
        place.socket(path, Cookie=f"{COOKIE}={token}"),
    ):
        async with opening as socket:
            assert json.loads(await socket.recv())["op"] == "h"
    for opening, status in (
        (place.socket(path), 401),
        (place.socket(f"{path}?token={token}"), 401),
        (place.socket(f"{path}?access_token={token[:-3]}abc"), 401),
        (place.socket("/reactions/comfort-debug/api/ws/query/floor-comfort", Authorization=f"Bearer {token}"), 403),
        (place.socket("/v1/debug", Authorization=f"Bearer {token}"), 403),
    ):
        with pytest.raises(InvalidStatus) as caught:
            async with opening:
                pass
        assert caught.value.response.status_code == status
        assert caught.value.response.headers["WWW-Authenticate"].startswith("Bearer error=")


async def test_who_changed_a_resource_is_kept(place: Place) -> None:
    manifest = "{apiVersion: v1, kind: Source, name: harbour, spec: {kind: Http, properties: {}}}"
    headers = {"Authorization": f"Bearer {place.token('resource:write', 'resource:read')}", "Content-Type": "application/yaml"}
    assert (await place.client.post("/v1/apply", content=manifest, headers=headers)).status_code == 200
    versions = await place.client.get("/v1/sources/harbour/versions", headers=headers)
    assert [version["author"] for version in versions.json()] == ["ada"]


async def test_a_rotation_gives_the_owner_a_new_token(place: Place) -> None:
    file = place.system.directory / "token"
    before = file.read_text().strip()
    headers = {"Authorization": f"Bearer {before}"}
    answer = await place.client.post("/v1/keys/rotate", headers=headers, json={"overlapSeconds": 0})
    assert answer.status_code == 201
    assert await place.status("GET", "/v1/status", before) == 401
    after = file.read_text().strip()
    assert await place.status("GET", "/v1/status", after) == 200
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_token_of_another_state_directory_is_of_another_installation(place: Place, tmp_path: Path) -> None:
    async with EmbeddedSystem(tmp_path / "other") as other:
        token = (tmp_path / "other" / "token").read_text().strip()
        assert await place.status("GET", "/v1/status", token) == 401
        ring, mine = place.system.identity.issuer.ring(), other.identity.issuer.ring()
        posing = attacks.signed(mine, attacks.claims(ring, int(time.time())))
        assert await place.status("GET", "/v1/status", posing) == 401
