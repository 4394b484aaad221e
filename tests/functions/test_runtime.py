"""What management does where functions are processes: subscriptions, messages, and words with the functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from drasi.bus.endpoint import Endpoint
from drasi.bus.port import Deliver
from drasi.functions.addresses import Addresses
from drasi.functions.runtime import FunctionsRuntime, FunctionUnreachable, PushEndpoints
from drasi.messages.control import ControlMessage, decode
from drasi.resources.resource import CONTINUOUS_QUERY, QUERY_CONTAINER, REACTION, SOURCE, Resource
from drasi.resources.store_memory import MemoryResourceStore
from drasi.web.remote import RemoteReader


class Bus:
    """Keeps what it is told: subscriptions with their topic and URL, and messages."""

    def __init__(self, endpoints: PushEndpoints) -> None:
        self.endpoints = endpoints
        self.subscriptions: dict[str, tuple[str, str]] = {}
        self.messages: list[tuple[str, ControlMessage]] = []

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        assert attributes == {"drasi-type": "container-control", "container": ordering_key}
        self.messages.append((topic, decode(data)))
        return "1"

    async def subscribe(self, subscription: str, topic: str, deliver: Deliver, *, durable: bool = True) -> None:
        endpoint = await self.endpoints.open(subscription, deliver)
        self.subscriptions[subscription] = (topic, endpoint.url)

    async def unsubscribe(self, subscription: str) -> None:
        self.subscriptions.pop(subscription, None)

    async def detach(self, subscription: str) -> None: ...

    async def close(self) -> None: ...


class Port:
    """An installation's runtime, with functions that answer as ``answers`` says (a path that it lacks: nobody listens)."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str]] = []
        self.forgotten: list[str] = []
        self.store = MemoryResourceStore()
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        addresses = Addresses(
            {
                "DRASI_SOURCE_URL": "http://s-{name}",
                "DRASI_CONTAINER_URL": "http://c-{name}",
                "DRASI_REACTION_URL": "http://r-{name}",
            }
        )
        endpoints = PushEndpoints()
        self.bus = Bus(endpoints)
        self.runtime = FunctionsRuntime(
            self.store,
            self.bus,
            endpoints,
            addresses,
            reader=RemoteReader(client, lambda query: ""),
            client=client,
            endpoint=lambda url, scope: Endpoint(f"{url}?{scope}"),
            credentials=lambda scope: {"Authorization": f"Bearer {scope}"},
            forget_reaction=self._forget,
            forget_container=self._forget,
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer admin"
        url = f"{request.url.host}{request.url.path}"
        self.asked.append((request.method, url))
        if url not in self.answers:
            raise httpx.ConnectError("refused")
        status, body = self.answers[url]
        return httpx.Response(status, content=json.dumps(body) if not isinstance(body, str) else body)

    async def _forget(self, what: Any) -> None:
        self.forgotten.append(what if isinstance(what, str) else what.name)

    async def put(self, kind: str, name: str, /, **spec: Any) -> Resource:
        resource = await self.store.put(Resource(kind=kind, name=name, spec=spec))
        await self.runtime.ensure(resource, None)
        return resource

    async def query(self, name: str, container: str, *sources: str) -> Resource:
        subscriptions = [{"id": source} for source in sources]
        return await self.put(CONTINUOUS_QUERY, name, container=container, sources={"subscriptions": subscriptions})


@pytest.fixture
def port() -> Port:
    return Port()


async def test_a_container_hears_of_the_sources_of_its_queries_and_of_no_others(port: Port) -> None:
    await port.put(QUERY_CONTAINER, "main")
    await port.query("a", "main", "east", "west")
    await port.query("b", "main", "west")
    deliver = "?query:deliver:main"
    assert port.bus.subscriptions == {
        "main.control": ("main-control", "http://c-main/control" + deliver),
        "main.east.changes": ("east-change", "http://c-main/changes" + deliver),
        "main.west.changes": ("west-change", "http://c-main/changes" + deliver),
    }
    await port.query("a", "main", "north")
    assert sorted(port.bus.subscriptions) == ["main.control", "main.north.changes", "main.west.changes"]
    moved = await port.query("a", "other", "north")
    assert sorted(port.bus.subscriptions) == ["main.control", "main.west.changes", "other.north.changes"]
    await port.runtime.remove(moved)
    assert sorted(port.bus.subscriptions) == ["main.control", "main.west.changes"]


async def test_names_that_look_alike_have_subscriptions_of_their_own(port: Port) -> None:
    await port.query("a", "x-y", "z")
    await port.query("b", "x", "y-z")
    assert {topic for topic, _ in port.bus.subscriptions.values()} == {"z-change", "y-z-change"}


async def test_what_a_crash_left_is_taken_away_by_whoever_comes_next(port: Port) -> None:
    await port.put(REACTION, "alerts", queries={"a": None, "b": None})
    # Stored, and the process died before it did anything.
    stored = await port.store.put(Resource(kind=REACTION, name="alerts", spec={"queries": {"b": None}}))
    assert sorted(port.bus.subscriptions) == ["alerts.a.results", "alerts.b.results"]
    await port.runtime.ensure(stored, None)
    assert port.bus.subscriptions == {"alerts.b.results": ("b-results", "http://r-alerts/results?reaction:deliver:alerts")}
    stored.stopped = True
    await port.runtime.ensure(stored, None)
    assert port.bus.subscriptions == {}


async def test_a_reaction_ends_itself_or_is_forgotten(port: Port) -> None:
    reaction = await port.put(REACTION, "alerts", queries={"a": None})
    port.answers["r-alerts/deprovision"] = (204, "")
    await port.runtime.remove(reaction)
    assert (port.asked, port.forgotten, port.bus.subscriptions) == ([("POST", "r-alerts/deprovision")], [], {})
    port.answers.clear()
    await port.runtime.remove(reaction)
    assert port.forgotten == ["alerts"]


async def test_a_source_that_is_deleted_cleans_up_and_containers_are_told(port: Port) -> None:
    await port.put(QUERY_CONTAINER, "main")
    source = await port.put(SOURCE, "east", kind="SQLite")
    with pytest.raises(FunctionUnreachable, match="does not answer") as caught:
        await port.runtime.remove(source)
    assert "force" in caught.value.hint
    assert port.bus.messages == []
    await port.runtime.remove(source, force=True)
    port.answers["s-east/deprovision"] = (204, "")
    await port.runtime.remove(source)
    assert port.bus.messages == [
        ("main-control", ControlMessage(kind="forget", source="east", elements=True)),
        ("main-control", ControlMessage(kind="forget", source="east")),
    ]


async def test_status_is_what_functions_say(port: Port) -> None:
    await port.query("a", "main", "east")
    assert (await port.runtime.status(CONTINUOUS_QUERY, "a"))["status"] == "New"
    assert not (await port.runtime.status(SOURCE, "east"))["available"]
    port.answers |= {
        "c-main/queries/a/status": (200, {"status": "Running"}),
        "s-east/status": (200, {"available": True}),
        "c-main/queries/a/errors": (200, [{"type": "TypeError"}]),
        "c-main/queries/a/explain": (200, "a plan"),
        "s-east/dead-letters": (200, [{"id": "1"}]),
    }
    assert await port.runtime.status(CONTINUOUS_QUERY, "a") == {"status": "Running"}
    assert await port.runtime.status(SOURCE, "east") == {"available": True}
    assert await port.runtime.errors(CONTINUOUS_QUERY, "a") == [{"what": "rowError", "type": "TypeError"}]
    assert await port.runtime.errors(SOURCE, "east") == [{"what": "deadLetter", "id": "1"}]
    assert await port.runtime.explain("main", "a") == "a plan"
    port.answers["c-main/queries/a/status"] = (404, "View `a` not found")
    assert await port.runtime.status(CONTINUOUS_QUERY, "a") == {}
