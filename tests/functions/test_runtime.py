"""What management does where functions are processes: subscriptions, messages, and words with the functions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import jwt
import pytest

from drasi.auth.issue import TokenIssuer
from drasi.auth.keys import MemoryKeyStore
from drasi.bus.endpoint import Endpoint
from drasi.bus.port import BusUnavailable, Deliver
from drasi.environment import Environment
from drasi.functions.addresses import Addresses
from drasi.functions.admission import Admission
from drasi.functions.management import upkeep
from drasi.functions.runtime import UPKEEP_S, FunctionsRuntime, FunctionUnreachable, PushEndpoints
from drasi.messages.control import ControlMessage, decode
from drasi.resources.resource import CONTINUOUS_QUERY, QUERY_CONTAINER, REACTION, SOURCE, Resource
from drasi.resources.secrets import LocalSecrets
from drasi.resources.store_memory import MemoryResourceStore
from drasi.web.installation import Installation
from drasi.web.remote import RemoteReader


class Bus:
    """Keeps what it is told: subscriptions with their topic and URL, their labels, and messages."""

    def __init__(self, endpoints: PushEndpoints) -> None:
        self.endpoints = endpoints
        self.subscriptions: dict[str, tuple[str, str]] = {}
        self.labels: dict[str, set[str] | None] = {}
        self.made: list[str] = []
        self.messages: list[tuple[str, ControlMessage]] = []

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        assert attributes == {"drasi-type": "container-control", "container": ordering_key}
        self.messages.append((topic, decode(data)))
        return "1"

    async def subscribe(
        self,
        subscription: str,
        topic: str,
        deliver: Deliver,
        *,
        durable: bool = True,
        labels: Collection[str] | None = None,
        ordering_key: str = "",
        narrow: bool = True,
    ) -> None:
        endpoint = await self.endpoints.open(subscription, deliver)
        self.subscriptions[subscription] = (topic, endpoint.url)
        self.made.append(subscription)
        if topic.endswith("-change"):
            assert ordering_key == topic.removesuffix("-change")
            wanted = None if labels is None else set(labels)
            held = self.labels.get(subscription, set())
            wider = held is None or (wanted is not None and held >= wanted)
            self.labels[subscription] = held if not narrow and wider else wanted
        else:
            assert labels is None

    async def unsubscribe(self, subscription: str) -> None:
        self.subscriptions.pop(subscription, None)
        self.labels.pop(subscription, None)

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

    async def query(self, name: str, container: str, *sources: str, text: str = "MATCH (s:Ship) RETURN s.id AS id") -> Resource:
        """Stored, and its container is told."""
        subscriptions = [{"id": source} for source in sources]
        resource = await self.put(CONTINUOUS_QUERY, name, container=container, sources={"subscriptions": subscriptions}, query=text)
        await self.runtime.control(container, ControlMessage(kind="configure", queryId=name))
        return resource


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
    # The container is told of a moved query, and then loses what nobody there wants.
    moved = await port.query("a", "other", "north")
    assert sorted(port.bus.subscriptions) == ["main.control", "main.west.changes", "other.north.changes"]
    await port.runtime.remove(moved)
    assert sorted(port.bus.subscriptions) == ["main.control", "main.west.changes"]


async def test_names_that_look_alike_have_subscriptions_of_their_own(port: Port) -> None:
    await port.query("a", "x-y", "z")
    await port.query("b", "x", "y-z")
    assert {topic for topic, _ in port.bus.subscriptions.values()} == {"z-change", "y-z-change"}


async def test_a_subscription_lets_through_what_the_queries_of_its_container_want(port: Port) -> None:
    await port.query("a", "main", "east", text="MATCH (s:Ship)-[:AT]->(b:Berth) RETURN s.id AS ship, b.id AS berth")
    await port.query("b", "other", "east", text="MATCH (t:Tug) RETURN t.id AS id")
    assert port.bus.labels == {"main.east.changes": {"Ship", "AT", "Berth"}, "other.east.changes": {"Tug"}}
    everything = await port.query("c", "main", "east", text="MATCH (n) RETURN count(n) AS n")
    assert port.bus.labels == {"main.east.changes": None, "other.east.changes": {"Tug"}}
    await port.runtime.remove(everything)
    await port.store.delete(CONTINUOUS_QUERY, "c")
    assert port.bus.labels["main.east.changes"] == {"Ship", "AT", "Berth"}
    bounded = {"id": "east", "nodes": [{"sourceLabel": "Ship"}, {"sourceLabel": "Crane"}]}
    await port.put(
        CONTINUOUS_QUERY, "a", container="main", sources={"subscriptions": [bounded]}, query="MATCH (s:Ship) RETURN s.id AS id"
    )
    # The container may follow the version before until it is told.
    assert port.bus.labels["main.east.changes"] == {"Ship", "Crane"}
    # What this release cannot compile, it cannot say anything about.
    await port.query("d", "main", "east", text="MATCH (s:Ship) RETURN")
    assert port.bus.labels["main.east.changes"] is None


async def test_labels_are_given_up_when_the_container_has_been_told(port: Port) -> None:
    await port.query("a", "main", "east", "west", text="MATCH (s:Ship), (b:Berth) RETURN s.id AS ship, b.id AS berth")
    spec = {"container": "main", "sources": {"subscriptions": [{"id": "east"}]}, "query": "MATCH (s:Ship) RETURN s.id AS id"}
    await port.put(CONTINUOUS_QUERY, "a", **spec)
    assert port.bus.labels == {"main.east.changes": {"Ship", "Berth"}, "main.west.changes": {"Ship", "Berth"}}
    await port.runtime.control("main", ControlMessage(kind="configure", queryId="a"))
    assert port.bus.labels == {"main.east.changes": {"Ship"}}


async def test_subscriptions_are_looked_after_and_their_tokens_live(port: Port, tmp_path: Path) -> None:
    hours = 0
    issuer = TokenIssuer(MemoryKeyStore(), now=lambda: 1_790_000_000 + hours * 3600)
    hosts = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1"}
    emulated = {"DRASI_PROFILE": "emulator", "DRASI_PROJECT": "p", "DRASI_STATE": str(tmp_path), **hosts}
    admission = Admission(Environment(emulated))
    assert admission.access is not None
    admission.access.issuer = issuer
    port.runtime._endpoint = admission.endpoint
    await port.put(QUERY_CONTAINER, "main")
    await port.query("a", "main", "east")
    stopped = await port.put(REACTION, "quiet", queries={"a": None})
    stopped.stopped = True
    await port.store.revise(stopped)
    await port.runtime.ensure(stopped, None)
    await port.put(REACTION, "alerts", queries={"a": None})
    first = dict(port.bus.subscriptions)
    assert sorted(first) == ["alerts.a.results", "main.control", "main.east.changes"]
    for hours in range(1, 100):
        await port.runtime.renew()
        assert port.bus.subscriptions.keys() == first.keys()
        for topic, url in port.bus.subscriptions.values():
            token = unquote(url.partition("=")[2])
            left = jwt.decode(token, options={"verify_signature": False})["exp"] - 1_790_000_000 - hours * 3600
            assert left >= 17 * 3600, topic
        if hours == 5:
            assert port.bus.subscriptions == first, "what lives long is not changed"
    issuer.rotate(3600)
    await port.runtime.renew()
    kids = {jwt.get_unverified_header(unquote(url.partition("=")[2]))["kid"] for _, url in port.bus.subscriptions.values()}
    assert kids == {issuer.ring().current.kid}


async def test_upkeep_goes_on_when_it_failed_and_waits_while_something_is_applied(port: Port, tmp_path: Path) -> None:
    await port.put(QUERY_CONTAINER, "main")
    installation = Installation(port.store, port.runtime, LocalSecrets(tmp_path))
    looks: list[float] = []
    unavailable = 1

    async def renew() -> None:
        nonlocal unavailable
        looks.append(len(looks))
        if unavailable:
            unavailable -= 1
            raise BusUnavailable("not now")

    async def sleep(seconds: float) -> None:
        assert seconds == UPKEEP_S
        await asyncio.sleep(0)

    port.runtime.renew = renew  # type: ignore[method-assign]
    async with installation._lock:
        running = asyncio.create_task(upkeep(installation, port.runtime, sleep))
        for _ in range(5):
            await asyncio.sleep(0)
        assert looks == []
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(looks) > 2
    running.cancel()
    await asyncio.wait([running])


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
