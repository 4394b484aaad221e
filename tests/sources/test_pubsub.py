"""The PubSub source (connectors.md section 5.3): what messages mean, and the subscription it makes on the emulator."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from drasi.bus.endpoint import Endpoint
from drasi.bus.port import BusUnavailable
from drasi.bus.pubsub import PubSubBus
from drasi.bus.pubsub_client import PubSubClient
from drasi.embedded.server import HttpServer, bind
from drasi.messages.changes import SourceChange
from drasi.messages.envelope import Message, encode_push
from drasi.sources.function import SourceFunction
from drasi.sources.mappings import InvalidMapping
from drasi.sources.port import OriginUnavailable
from drasi.sources.pubsub import KIND, UPKEEP_S, BadMessage, MessageReader, NotReachable, PubSubSource
from drasi.sources.state import MemoryState
from tests.emulator import emulators
from tests.sources.pushing import NOW, Pushing
from tests.sources.world import RecordingBus, eventually

_projects = itertools.count(1)
AT = "2026-03-01T08:15:30.123Z"
AT_NS = 1_772_352_930_123_000_000


def message(data: Any, *, key: str = "", identity: str = "17", **attributes: str) -> Message:
    body = data if isinstance(data, bytes) else msgspec.json.encode(data)
    return Message(body, attributes, key, identity, AT)


def read(given: Message, **properties: Any) -> list[SourceChange]:
    return MessageReader("src", properties)(given, NOW)


def test_without_mappings_a_message_is_a_node() -> None:
    [change] = read(message({"draught": 8.4, "n": 2**70}, id="s7", key="k"), nodeLabel="Ship")
    origin, after = change.payload.source, change.payload.after
    assert (change.op, origin.db, origin.table, origin.ts_ns) == ("u", "src", "node", AT_NS)
    assert (origin.partition, origin.position) == ("@element", f"{AT_NS:020}-00000000000000000017")
    assert after is not None
    assert (after.id, after.labels, after.properties) == ("s7", ["Ship"], {"draught": 8.4, "n": float(2**70)})


@pytest.mark.parametrize(
    ("given", "identity"), [(message({}, id="a", key="b"), "a"), (message({}, key="b"), "b"), (message({}), "17")]
)
def test_the_id_is_the_attribute_s_the_key_or_the_message_s(given: Message, identity: str) -> None:
    [change] = read(given, nodeLabel="Ship")
    assert change.payload.after is not None
    assert change.payload.after.id == identity


def test_an_empty_body_deletes() -> None:
    [change] = read(message(b"", id="s7"), nodeLabel="Ship")
    assert change.op == "d"
    assert change.payload.before is not None
    assert (change.payload.before.id, change.payload.before.labels) == ("s7", ["Ship"])


@pytest.mark.parametrize("data", [b"{", b"[1]", b"5", b"null", b'"\xff"', b"[" * 100_000])
def test_what_is_no_object_is_bad(data: bytes) -> None:
    with pytest.raises(BadMessage):
        read(message(data), nodeLabel="Ship")


def test_positions_rise_with_publication_also_within_one_instant() -> None:
    positions = [
        read(message({}, identity=identity), nodeLabel="Ship")[0].payload.source.position or "" for identity in ("9", "10", "11000")
    ]
    assert positions == sorted(positions)


MAPPING = {
    "when": {"header": "Kind", "equals": "tow"},
    "operation": "insert",
    "elementType": "relation",
    "template": {"id": "{{key}}-{{attributes.Kind}}", "labels": ["TOWS"], "from": "{{payload.tug}}", "to": "{{payload.ship}}"},
}


def test_mappings_see_attributes_key_and_payload() -> None:
    given = message({"tug": "t2", "ship": "s7"}, key="k1", Kind="tow")
    [change] = read(given, mappings=[MAPPING])
    assert change.payload.after is not None
    assert (change.payload.after.id, change.payload.after.startId, change.payload.after.endId) == ("k1-tow", "t2", "s7")
    assert read(message({"tug": "t2", "ship": "s7"}), mappings=[MAPPING]) == []


def test_several_changes_of_one_message_are_a_transaction_in_order() -> None:
    other = {**MAPPING, "operation": "update"}
    found = read(message({"tug": "t2", "ship": "s7"}, key="k1", Kind="tow"), mappings=[MAPPING, other])
    positions = [change.payload.source.position or "" for change in found]
    assert positions == sorted(set(positions))
    assert [change.payload.source.tx for change in found] == ["17", "17"]


def test_drasi_s_own_form_as_array_or_item() -> None:
    item = {
        "op": "i",
        "payload": {
            "source": {"db": "other", "table": "node", "ts_ns": 5, "position": "9", "partition": "p"},
            "after": {"id": "a", "labels": ["L"]},
        },
    }
    for data in (item, [item]):
        [change] = read(message(data), format="drasi")
        origin = change.payload.source
        assert (origin.db, origin.ts_ns, origin.partition) == ("src", 5, "@element")
        assert origin.position is not None
        assert origin.position.startswith(f"{AT_NS:020}-")
    for bad in (b"{", {"op": "i"}, {**item, "payload": {"source": {"db": "o", "table": "node", "ts_ns": 5}}}):
        with pytest.raises(BadMessage):
            read(message(bad), format="drasi")


def test_cloud_events_in_both_modes() -> None:
    mapping = {
        "operation": "insert",
        "elementType": "node",
        "template": {"id": "{{payload.id}}", "labels": ["{{headers.ce-type}}"]},
    }
    binary = message({"id": "a"}, **{"ce-type": "Docked", "ce-time": "2026-03-01T00:00:00Z"})
    event = {"specversion": "1.0", "type": "Docked", "time": "2026-03-01T00:00:00Z", "data": {"id": "a"}}
    for given in (binary, message(event, **{"content-type": "application/cloudevents+json"}), message(event)):
        [change] = read(given, format="cloudevents", mappings=[mapping])
        assert change.payload.after is not None
        assert (change.payload.after.id, change.payload.after.labels) == ("a", ["Docked"])
        assert change.payload.source.ts_ns == 1_772_323_200_000_000_000
    with pytest.raises(BadMessage, match="no CloudEvent"):
        read(message({"id": "a"}), format="cloudevents", mappings=[mapping])


def test_a_cloud_event_s_data_in_base64() -> None:
    event = {"specversion": "1.0", "type": "t", "source": "s", "id": "1", "data_base64": "eyJhIjogMX0="}
    [change] = read(message(event, key="k"), format="cloudevents", nodeLabel="Ship")
    assert change.payload.after is not None
    assert (change.op, change.payload.after.properties) == ("u", {"a": 1})
    for wrong in ("?", 5, "eyJhIg=="):
        with pytest.raises(BadMessage):
            read(message({**event, "data_base64": wrong}), format="cloudevents", nodeLabel="Ship")


def test_debezium_s_events() -> None:
    event = {"op": "c", "after": {"id": 7}, "source": {"connector": "postgresql", "schema": "public", "table": "ship", "lsn": 255}}
    [change] = read(message({"payload": event}), format="debezium")
    assert change.payload.after is not None
    assert change.payload.after.id == "public:ship:7"
    assert change.payload.source.position == "00000000000000FF"
    assert read(message(b""), format="debezium") == []


@pytest.mark.parametrize("properties", [{}, {"topic": "t", "subscription": "s", "nodeLabel": "L"}, {"topic": "t"}])
def test_what_does_not_say_where_from_and_what_to(properties: dict[str, Any]) -> None:
    function = SourceFunction("src", KIND, properties, bus=RecordingBus(), state=MemoryState())
    with pytest.raises(InvalidMapping):
        function.routes()


@pytest.fixture
async def pushing() -> AsyncIterator[Pushing]:
    made = Pushing(KIND)
    yield made
    await made.stop()


async def test_a_push_is_acknowledged_when_it_is_published(pushing: Pushing) -> None:
    await pushing.start(subscription="mine", nodeLabel="Ship")
    body = encode_push(message({"n": 1}, id="s7"), "projects/p/subscriptions/mine")
    pushing.bus.failing = True
    assert await pushing.post("/push", body) == 503
    pushing.bus.failing = False
    assert await pushing.post("/push", body) == 204
    assert pushing.bus.said == [("u", "s7")]


async def test_a_bad_message_is_a_dead_letter_and_acknowledged(pushing: Pushing) -> None:
    await pushing.start(subscription="mine", nodeLabel="Ship")
    for _ in range(2):
        assert await pushing.post("/push", encode_push(message(b"{", id="s7"), "s")) == 204
    [letter] = await pushing.function.dead_letters()
    assert letter["position"] == "17"
    assert letter["content"] == {"data": "{", "attributes": '{"id":"s7"}'}
    assert await pushing.post("/push", b"{}") == 400


class Project:
    """A project on the emulator, and a source in it behind a real server."""

    def __init__(self) -> None:
        self.host = emulators.pubsub()
        self.name = f"drasi-source-{next(_projects)}"
        self.client = PubSubClient(self.name, emulator=self.host)
        self.publisher = PubSubBus(PubSubClient(self.name, emulator=self.host))
        self.bus = RecordingBus()

    async def ids(self) -> list[str]:
        pages = await self.client.subscriber.list_subscriptions(project=f"projects/{self.name}")
        return [one.name.rpartition("/")[2] async for one in pages]


@pytest.mark.parametrize("depth", [500, 980, 100_000])
@pytest.mark.parametrize("form", ["json", "cloudevents", "drasi"])
async def test_a_message_that_is_too_deep_is_acknowledged(form: str, depth: int) -> None:
    made = Pushing(KIND)
    given: dict[str, Any] = {"nodeLabel": "Ship"} if form != "drasi" else {}
    await made.start(subscription="theirs", format=form, **given)
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    if form == "drasi":
        element = b'{"id":"a","labels":["L"],"properties":' + deep + b"}"
        deep = b'{"op":"i","payload":{"source":{"db":"x","table":"node","ts_ns":1},"after":' + element + b"}}"
    elif form == "cloudevents":
        deep = b'{"specversion":"1.0","type":"t","source":"s","id":"1","data":' + deep + b"}"
    assert await made.post("/push", encode_push(message(deep), "s")) == 204
    assert len(made.changes) + len(await made.errors()) == 1
    await made.stop()


@pytest.fixture
async def project(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Project]:
    made = Project()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", made.host)
    yield made
    await made.publisher.close()
    await made.client.close()


async def test_from_a_topic_through_its_subscription_and_away_again(project: Project) -> None:
    sock = bind(0)
    port = sock.getsockname()[1]
    properties = {"project": project.name, "topic": "ships", "nodeLabel": "Ship", "filter": 'attributes:"id"'}
    function = SourceFunction(
        "src",
        KIND,
        properties,
        bus=project.bus,
        state=MemoryState(),
        push_endpoint=lambda route: Endpoint(f"http://127.0.0.1:{port}{route}"),
    )
    from starlette.applications import Starlette

    await function.start()
    server = HttpServer(Starlette(routes=list(function.routes())), sock, drain_s=1.0)
    await server.start()
    try:
        await eventually(lambda: bool(function.status()["available"]), pause_s=0.01)
        made = await project.client.subscriber.get_subscription(subscription=f"projects/{project.name}/subscriptions/drasi-src")
        assert made.filter == 'attributes:"id"'
        assert made.enable_message_ordering
        for number in range(5):
            await project.publisher.publish("ships", b'{"n": %d}' % number, attributes={"id": "s7"}, ordering_key="s7")
        await project.bus.until(lambda: project.bus.graph.properties().get("s7") == {"n": 4})
        assert project.bus.said == [("u", "s7")] * 5
        await function.deprovision()
        assert await project.ids() == []
    finally:
        server.begin_stop()
        await server.stopped()
        await function.close()


def source(properties: dict[str, Any], endpoint: Endpoint | None = None) -> PubSubSource:
    function = SourceFunction(
        "src",
        KIND,
        properties,
        bus=RecordingBus(),
        state=MemoryState(),
        push_endpoint=None if endpoint is None else lambda _: endpoint,
    )
    function.routes()
    assert isinstance(function.source, PubSubSource)
    return function.source


async def test_starting_again_changes_nothing_and_another_filter_says_what_to_do(project: Project) -> None:
    properties = {"project": project.name, "topic": "ships", "nodeLabel": "Ship", "enableOrdering": False}
    endpoint = Endpoint("http://127.0.0.1:9/push")
    for _ in range(2):
        await source(properties, endpoint).start()
    assert await project.ids() == ["drasi-src"]
    with pytest.raises(OriginUnavailable, match="another filter") as error:
        await source({**properties, "filter": 'attributes:"x"'}, endpoint).start()
    assert "delete source src" in error.value.hint


async def test_a_topic_of_another_project_is_not_made(project: Project) -> None:
    properties = {"project": project.name, "topic": f"projects/{project.name}-other/topics/ships", "nodeLabel": "Ship"}
    with pytest.raises(BusUnavailable, match="cannot create"):
        await source(properties, Endpoint("http://127.0.0.1:9/push")).start()


async def test_without_an_url_it_says_so() -> None:
    with pytest.raises(NotReachable, match="at which URL"):
        await source({"project": "p", "topic": "ships", "nodeLabel": "Ship"}).start()


async def test_without_a_project_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    monkeypatch.delenv("DRASI_PROJECT", raising=False)
    with pytest.raises(OriginUnavailable, match="in which project"):
        await source({"topic": "ships", "nodeLabel": "Ship"}, Endpoint("http://127.0.0.1:9/push")).start()


async def test_the_endpoint_s_token_is_renewed_while_it_runs(project: Project) -> None:
    numbers = itertools.count(1)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise BusUnavailable("enough")

    properties = {"project": project.name, "topic": "ships", "nodeLabel": "Ship"}
    one = source(properties, Endpoint("unused"))
    one.context.push_endpoint = lambda route: Endpoint(f"http://127.0.0.1:9{route}?token={next(numbers)}")
    one.context.sleep = sleep
    await one.start()
    with pytest.raises(BusUnavailable, match="enough"):
        await one.run()
    assert slept == [UPKEEP_S] * 3
    made = await project.client.subscriber.get_subscription(subscription=f"projects/{project.name}/subscriptions/drasi-src")
    assert made.push_config.push_endpoint == "http://127.0.0.1:9/push?token=3"


async def test_the_installation_s_project_is_taken_if_none_is_given(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRASI_PROJECT", project.name)
    await source({"topic": "ships", "nodeLabel": "Ship"}, Endpoint("http://127.0.0.1:9/push")).start()
    assert await project.ids() == ["drasi-src"]
