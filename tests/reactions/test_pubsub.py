"""The PubSub reaction (connectors.md section 9.1) on the emulator."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
from google.api_core.exceptions import NotFound
from google.pubsub_v1 import types

from drasi.bus.pubsub_client import PubSubClient
from drasi.messages.results import ChangeEvent, UpdatedRow
from drasi.reactions.function import ReactionFunction
from drasi.reactions.memory_state import MemoryState
from drasi.reactions.port import DeliveryFailed, ReactionContext
from drasi.reactions.pubsub import KIND, InvalidTarget, PubSubReaction, check
from tests.emulator import emulators
from tests.reactions.fakes import Clock, Query, Reader, until

_projects = itertools.count(1)


class Project:
    """A project on the emulator: topics with a subscription each, and what came."""

    def __init__(self) -> None:
        self.name = f"drasi-reaction-{next(_projects)}"
        self.client = PubSubClient(self.name, emulator=emulators.pubsub())
        self._reactions: list[PubSubReaction] = []

    async def topic(self, name: str) -> None:
        topic = f"projects/{self.name}/topics/{name}"
        await self.client.publisher.create_topic(name=topic)
        subscription = types.Subscription(name=self._path(name), topic=topic, enable_message_ordering=True)
        await self.client.subscriber.create_subscription(request=subscription)

    async def messages(self, name: str, count: int) -> list[types.PubsubMessage]:
        found: list[types.PubsubMessage] = []
        while len(found) < count:
            answer = await self.client.subscriber.pull(subscription=self._path(name), max_messages=1_000, timeout=10.0)
            found += [one.message for one in answer.received_messages]
            ids = [one.ack_id for one in answer.received_messages]
            if ids:
                await self.client.subscriber.acknowledge(subscription=self._path(name), ack_ids=ids)
        return found

    async def reaction(self, queries: Mapping[str, Any] | None = None, **properties: Any) -> PubSubReaction:
        given = ReactionContext(
            "port",
            {"project": self.name, "topic": "out", **properties},
            queries or {"q": None},
            Reader(),
            lambda name, text: None,
            dict,
        )
        made = PubSubReaction(given)
        await made.start()
        self._reactions.append(made)
        return made

    async def close(self) -> None:
        for reaction in self._reactions:
            await reaction.close()
        await self.client.close()

    def _path(self, name: str) -> str:
        return f"projects/{self.name}/subscriptions/{name}"


@pytest.fixture
async def project(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Project]:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulators.pubsub())
    made = Project()
    yield made
    await made.close()


EVENT = ChangeEvent(
    "q",
    418,
    1_772_352_930_000,
    addedResults=[{"berth": 4, "ships": 1}],
    addedRowIds=["g:a"],
    updatedResults=[UpdatedRow({"berth": 3, "ships": 2}, {"berth": 3, "ships": 1}, "g:u", ["berth"])],
    deletedResults=[{"berth": 5, "ships": 1}],
    deletedRowIds=["g:d"],
    metadata={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
)


async def deliver(reaction: PubSubReaction, event: Any = EVENT, done: tuple[str, ...] = ()) -> list[str]:
    confirmed: list[str] = []
    await reaction.deliver("q", event, done, confirmed.append)
    return confirmed


async def test_one_message_a_row_in_order(project: Project) -> None:
    await project.topic("out")
    assert await deliver(await project.reaction()) == ["g:d", "g:u", "g:a"]
    messages = await project.messages("out", 3)
    assert [dict(one.attributes) for one in messages] == [
        {
            "queryId": "q",
            "sequence": "418",
            "rowId": row_id,
            "operation": operation,
            "idempotencyKey": f"port/q/418/{row_id}",
            "ce-type": "drasi.change",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }
        for row_id, operation in (("g:d", "DELETE"), ("g:u", "UPDATE"), ("g:a", "ADD"))
    ]
    assert {one.ordering_key for one in messages} == {"q"}
    bodies = [msgspec.json.decode(one.data) for one in messages]
    assert [body["op"] for body in bodies] == ["d", "u", "i"]
    assert bodies[1]["payload"]["after"] == {"berth": 3, "ships": 1}
    assert bodies[1]["seq"] == 418


async def test_rows_that_are_done_are_not_sent_again(project: Project) -> None:
    await project.topic("out")
    assert await deliver(await project.reaction(), done=("g:d", "g:a")) == ["g:u"]
    [message] = await project.messages("out", 1)
    assert message.attributes["rowId"] == "g:u"


async def test_packed_is_one_message_an_event(project: Project) -> None:
    await project.topic("out")
    reaction = await project.reaction(format="packed", orderingKey="")
    assert await deliver(reaction) == ["g:d", "g:u", "g:a"]
    assert await deliver(reaction, done=("g:d", "g:u", "g:a")) == []
    [message] = await project.messages("out", 1)
    assert msgspec.json.decode(message.data, type=ChangeEvent) == EVENT
    assert message.ordering_key == ""
    assert message.attributes["idempotencyKey"] == "port/q/418/-"


async def test_templates_attributes_topic_and_key_of_a_query(project: Project) -> None:
    await project.topic("special")
    configuration = {
        "topic": "special",
        "added": {"template": '{"berth": {{after.berth}}}', "attributes": {"berth": "{{after.berth}}", "rowId": "forged"}},
        "updated": '{"was": {{before.ships}}}',
    }
    reaction = await project.reaction({"q": configuration}, format="template", orderingKey="{{rowId}}")
    await deliver(reaction)
    messages = {one.attributes["rowId"]: one for one in await project.messages("special", 2)}
    assert {row_id: one.data for row_id, one in messages.items()} == {"g:u": b'{"was": 2}', "g:a": b'{"berth": 4}'}
    assert messages["g:a"].attributes["berth"] == "4"
    assert messages["g:a"].ordering_key == "g:a"


async def test_control_signals_unless_they_are_skipped(project: Project) -> None:
    await project.topic("out")
    event = Query().control("bootstrapStarted")
    assert await deliver(await project.reaction(skipControlSignals=True), event) == []
    assert await deliver(await project.reaction(), event) == []
    [message] = await project.messages("out", 1)
    assert message.attributes["ce-type"] == "drasi.control"
    assert msgspec.json.decode(message.data)["payload"]["kind"] == "bootstrapStarted"
    await deliver(await project.reaction(format="packed"), event)
    [message] = await project.messages("out", 1)
    assert msgspec.json.decode(message.data)["controlSignal"] == {"kind": "bootstrapStarted"}


async def test_a_missing_topic_is_made_or_not(project: Project) -> None:
    with pytest.raises(DeliveryFailed, match="NotFound") as failed:
        await deliver(await project.reaction(createTopic=False))
    assert failed.value.retryable
    with pytest.raises(NotFound):
        await project.client.publisher.get_topic(topic=f"projects/{project.name}/topics/out")
    await deliver(await project.reaction())
    assert await project.client.publisher.get_topic(topic=f"projects/{project.name}/topics/out")


async def test_a_row_that_can_never_be_sent_fails_alone_behind_those_before_it(project: Project) -> None:
    await project.topic("out")
    long = {"added": {"template": "{}", "attributes": {"long": "x" * 2_000}}, "updated": "{}", "deleted": "{}"}
    reaction = await project.reaction({"q": long}, format="template")
    confirmed: list[str] = []
    with pytest.raises(DeliveryFailed, match="attribute long") as failed:
        await reaction.deliver("q", EVENT, (), confirmed.append)
    assert (failed.value.retryable, failed.value.row_id) == (False, "g:a")
    assert confirmed == ["g:d", "g:u"]
    assert len(await project.messages("out", 2)) == 2


async def test_an_outage_is_retried_and_the_key_goes_on_in_order(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    await project.topic("out")
    reaction = await project.reaction()
    assert reaction._client is not None
    real, reaction._client.emulator = reaction._client.emulator, "127.0.0.1:1"
    reaction._client.retry = reaction._client.retry.with_timeout(0.05)
    with pytest.raises(DeliveryFailed) as failed:
        await deliver(reaction)
    assert failed.value.retryable
    assert failed.value.row_id == "g:d"
    await reaction._client.close()
    reaction._client.emulator = real
    assert await deliver(reaction) == ["g:d", "g:u", "g:a"]
    assert [one.attributes["rowId"] for one in await project.messages("out", 3)] == ["g:d", "g:u", "g:a"]


async def test_a_thousand_rows_keep_their_order(project: Project) -> None:
    await project.topic("out")
    rows = [{"n": number} for number in range(2_500)]
    event = ChangeEvent("q", 1, 0, addedResults=rows, addedRowIds=[f"r{number}" for number in range(2_500)])
    assert len(await deliver(await project.reaction(), event)) == 2_500
    messages = await project.messages("out", 2_500)
    assert [msgspec.json.decode(one.data)["payload"]["after"]["n"] for one in messages] == list(range(2_500))


async def test_at_work_in_the_reaction_function(project: Project, clock: Clock) -> None:
    await project.topic("out")
    query = Query()
    query.change(add={"a": {"n": 1}})
    function = ReactionFunction(
        "port",
        KIND,
        {"project": project.name, "topic": "out"},
        {"q": None},
        reader=Reader(query),
        state=MemoryState(),
        timing=clock.timing(),
    )
    await function.start()
    try:
        await until(lambda: function.status()["queries"]["q"]["sequence"] == 1, clock)
        query.change(update={"a": {"n": 2}})
        await until(lambda: function.status()["queries"]["q"]["sequence"] == 2, clock)
    finally:
        await function.close()
    assert [one.attributes["operation"] for one in await project.messages("out", 2)] == ["ADD", "UPDATE"]


async def test_without_a_project_it_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    with pytest.raises(InvalidTarget, match="in which project"):
        await project.reaction(project="")


def test_what_is_checked() -> None:
    assert check(None) == []
    assert check({"topic": "x", "added": {"template": "{{after}}", "attributes": {"a": "{{after.b}}"}}}) == []
    assert [finding.path for finding in check({"topic": 5, "added": {"template": "{{"}, "other": 1})] == [
        "added.template",
        "other",
        "topic",
    ]


async def test_long_ids_and_a_strange_trace_keep_no_row_back(project: Project) -> None:
    await project.topic("out")
    rows = ["a" * 1_500, "é" * 600, "line\nbreak", "x" * 1_024]
    event = ChangeEvent(
        "q",
        1,
        1_772_352_930_000,
        addedResults=[{"n": n} for n in range(4)],
        addedRowIds=rows,
        metadata={"traceparent": "t" * 5_000},
    )
    assert await deliver(await project.reaction(), event) == rows
    seen = [dict(one.attributes) for one in await project.messages("out", 4)]
    assert [one["rowId"] for one in seen[2:]] == rows[2:]
    assert len({one["idempotencyKey"] for one in seen}) == len({one["rowId"] for one in seen}) == 4
    assert all("traceparent" not in one and len(one["rowId"].encode()) <= 1_024 for one in seen)
