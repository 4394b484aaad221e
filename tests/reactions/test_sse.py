"""The SSE reaction: the rows that are there, then every difference; exact when it is resumed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from drasi.messages.results import ResultEvent
from drasi.reactions import feed as feed_module
from drasi.reactions import sse
from drasi.reactions.port import ReactionContext
from drasi.reactions.sse import KIND, SseReaction, parse_id
from tests.reactions.fakes import Query, Reader, settle, until
from tests.reactions.serving import Frame, Stream, open_stream, serving


class Site:
    """A reaction on two queries, served."""

    def __init__(self, reaction: SseReaction, queries: dict[str, Query], reader: Reader, port: int) -> None:
        self.reaction = reaction
        self.q = queries["q"]
        self.p = queries["p"]
        self.reader = reader
        self.port = port
        self.streams: list[Stream] = []
        self.messages: dict[str, str] = {}

    async def open(self, path: str = "/reactions/r/events?query=q", **options: Any) -> Stream:
        stream = await open_stream(self.port, path, **options)
        self.streams.append(stream)
        return stream

    def push(self, *events: ResultEvent) -> None:
        self.reaction.notice(events[0].queryId, msgspec.json.encode(list(events)))

    async def joined(self, query_id: str = "q", readers: int = 1) -> None:
        await until(lambda: self.reaction.feeds[query_id].readers == readers)


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Any]]:
    closing: list[Any] = []

    async def build(properties: Any = None, configs: Any = None) -> Site:
        queries = {"q": Query("q", 10), "p": Query("p", 5)}
        reader = Reader(*queries.values())
        messages: dict[str, str] = {}
        given = ReactionContext(
            "r",
            properties or {},
            {"q": None, "p": None, **(configs or {})},
            reader,
            lambda name, text: messages.update({name: text or ""}),
            dict,
        )
        reaction = SseReaction(given)
        context = serving(reaction.routes())
        port = await context.__aenter__()
        site = Site(reaction, queries, reader, port)
        site.messages = messages
        closing.append((site, context))
        return site

    yield build
    for site, context in closing:
        for stream in site.streams:
            await stream.close()
        await site.reaction.close()
        await context.__aexit__(None, None, None)


@pytest.fixture
async def site(make: Callable[..., Any]) -> Site:
    made: Site = await make()
    return made


def told(frames: list[Frame]) -> list[tuple[Any, ...]]:
    """(op, id, row) of each frame."""
    return [(f.json["op"], f.id, (f.json.get("payload") or {}).get("rowId")) for f in frames]


async def test_rows_at_a_sequence_then_every_difference(site: Site) -> None:
    site.q.rows = {"a": {"n": 1}, "b": {"n": 2}}
    stream = await site.open()
    assert stream.status == 200
    assert "content-type: text/event-stream" in stream.headers
    head, first, second = await stream.read(3)
    assert (head.json["op"], head.json["seq"], head.id) == ("h", 10, "")
    assert told([first, second]) == [("r", "", "a"), ("r", second.id, "b")]
    assert second.id.startswith("q:10.")
    await site.joined()
    site.push(site.q.change(add={"c": {"n": 3}}, update={"b": {"n": 5}}, delete=("a",)), site.q.control("stopped"))
    frames = await stream.read(4)
    assert told(frames) == [("d", "q:11.1", "a"), ("u", "q:11.2", "b"), ("i", "q:11.3", "c"), ("x", "q:12.1", None)]
    source = {"queryId": "q", "ts_ms": 1_772_352_930_011}
    assert {**frames[1].json, "ts_ms": 0} == {
        "op": "u",
        "ts_ms": 0,
        "seq": 11,
        "payload": {"source": source, "before": {"n": 2}, "after": {"n": 5}, "rowId": "b"},
    }
    assert frames[3].json["payload"]["kind"] == "stopped"


async def test_what_happens_between_rows_and_stream_is_neither_missed_nor_repeated(site: Site) -> None:
    site.q.rows = {"a": {}}
    view = site.reader.view

    async def late(query_id: str) -> Any:
        found = await view(query_id)
        site.push(site.q.change(add={"b": {}}))
        site.push(site.q.change(add={"c": {}}))
        return found

    site.reader.view = late  # type: ignore[method-assign]
    stream = await site.open()
    assert [entry[0] for entry in told(await stream.read(4))] == ["h", "r", "i", "i"]
    site.push(site.q.tail[-1])
    site.push(site.q.change(add={"d": {}}))
    assert told(await stream.read(1)) == [("i", "q:13.1", "d")]


async def test_lost_pushes_are_fetched(site: Site) -> None:
    stream = await site.open()
    await stream.read(1)
    await site.joined()
    site.q.change(add={"a": {}})
    site.push(site.q.change(add={"b": {}}))
    assert told(await stream.read(2)) == [("i", "q:11.1", "a"), ("i", "q:12.1", "b")]
    site.q.change(add={"c": {}})
    assert told(await stream.read(1)) == [("i", "q:13.1", "c")]
    site.reaction.notice("q", b"not json")


async def test_an_event_by_reference_is_fetched(site: Site) -> None:
    stream = await site.open()
    await stream.read(1)
    await site.joined()
    site.q.change(add={"a": {}})
    large = {"kind": "change", "queryId": "q", "sequence": 11, "sourceTimeMs": 0, "reference": "/queries/q/events?after=10&limit=1"}
    site.reaction.notice("q", msgspec.json.encode([large]))
    assert told(await stream.read(1)) == [("i", "q:11.1", "a")]


async def test_resumed_anywhere_the_stream_is_the_same(site: Site) -> None:
    """Cut behind every single frame and resumed, the frames together are those of a reader that was never cut."""
    site.q.rows = {"a": {"n": 1}, "b": {"n": 2}}
    whole = await site.open()
    frames = await whole.read(3)
    await site.joined()
    site.push(site.q.change(add={"c": {}, "d": {}, "e": {}}))
    site.push(site.q.control("stopped"))
    site.push(site.q.change(update={"c": {"n": 3}}, delete=("d",)))
    frames += await whole.read(6)
    expected = told(frames)
    for cut in range(2, len(frames)):
        again = await site.open(last=frames[cut].id)
        rest = await again.read(len(frames) - cut - 1)
        assert told(frames[: cut + 1] + rest) == expected
        await again.close()


async def test_resumed_by_query_parameter_and_beside_the_live_reader(site: Site) -> None:
    whole = await site.open()
    await whole.read(1)
    await site.joined()
    for number in range(3):
        site.push(site.q.change(add={f"r{number}": {}}))
    await whole.read(3)
    again = await site.open("/reactions/r/events?query=q&lastEventId=q:12.1")
    await site.joined(readers=2)
    site.push(site.q.change(add={"z": {}}))
    assert told(await again.read(2)) == [("i", "q:13.1", "r2"), ("i", "q:14.1", "z")]
    assert told(await whole.read(1)) == [("i", "q:14.1", "z")]


async def test_several_queries_have_a_vector(site: Site) -> None:
    site.q.rows = {"a": {}}
    stream = await site.open("/reactions/r/events")
    frames = await stream.read(3)
    assert [entry[0] for entry in told(frames)] == ["h", "r", "h"]
    assert frames[1].id.startswith("q:10.")
    await site.joined("p")
    site.push(site.p.change(add={"x": {}}))
    (first,) = await stream.read(1)
    site.push(site.q.change(add={"b": {}, "c": {}}))
    second, third = await stream.read(2)
    assert parse_id(first.id)["p"] == (6, 1)
    assert [parse_id(frame.id) for frame in (second, third)] == [{"q": (11, 1), "p": (6, 1)}, {"q": (11, 2), "p": (6, 1)}]
    site.push(site.p.change(add={"y": {}}))
    again = await site.open("/reactions/r/events", last=second.id)
    assert {entry[1:] for entry in told(await again.read(2))} == {("q:11.2,p:6.1", "c"), ("q:11.2,p:7.1", "y")}
    # One that knows nothing of p gets its rows.
    partly = await site.open("/reactions/r/events?query=q&query=p", last="q:11.2")
    assert [entry[0] for entry in told(await partly.read(3))] == ["h", "r", "r"]


async def test_trimmed_positions_get_the_rows_anew(site: Site) -> None:
    for number in range(4):
        site.q.change(add={f"r{number}": {}})
    site.q.trim(13)
    stream = await site.open(last="q:11.1")
    assert [entry[0] for entry in told(await stream.read(5))] == ["h", "r", "r", "r", "r"]


async def test_trimmed_while_reading_the_rows_come_anew(site: Site) -> None:
    stream = await site.open()
    await stream.read(1)
    await site.joined()
    for number in range(4):
        site.q.change(add={f"r{number}": {}})
    site.q.trim(13)
    site.push(site.q.tail[-1])
    assert [entry[0] for entry in told(await stream.read(5))] == ["h", "r", "r", "r", "r"]
    await site.joined()
    site.push(site.q.change(delete=("r0",)))
    assert told(await stream.read(1)) == [("d", "q:15.1", "r0")]


@pytest.mark.parametrize("last", ["nonsense", "q:x.1", "q:1", "q:" + "9" * 60 + ".1", "p:6.1"])
async def test_an_id_that_says_nothing_of_the_query_gets_the_rows(site: Site, last: str) -> None:
    stream = await site.open(last=last)
    assert told(await stream.read(1))[0][0] == "h"


async def test_a_query_that_is_not_there_yet_is_waited_for(site: Site) -> None:
    query = site.reader.queries.pop("q")
    stream = await site.open()
    frame = await stream.one()
    assert frame is not None
    assert "QueryNotFound" in frame.comment
    site.reader.queries["q"] = query
    assert told(await stream.read(1))[0][0] == "h"


async def test_a_query_of_another_reaction_is_not_served(site: Site) -> None:
    stream = await site.open("/reactions/r/events?query=other")
    assert stream.status == 404


async def test_heartbeats(make: Callable[..., Any]) -> None:
    site = await make({"heartbeatIntervalMs": 5, "ssePath": "stream/"})
    stream = await site.open("/reactions/r/stream?query=q")
    await stream.read(1)
    for _ in range(2):
        frame = await asyncio.wait_for(stream.one(), 10)
        assert frame is not None
        assert frame.comment == "heartbeat"


async def test_templates_and_paths(make: Callable[..., Any]) -> None:
    config = {
        "added": {"template": "{{operation}} {{after.n}}\n{{rowId}}"},
        "updated": {"template": '{"n": {{after.n}}}', "path": "changes"},
        "deleted": {"path": "/gone"},
    }
    site = await make(configs={"q": config})
    site.q.rows = {"a": {"n": 1}}
    main = await site.open()
    changes = await site.open("/reactions/r/events/changes?query=q")
    gone = await site.open("/reactions/r/gone?query=q")
    assert [frame.data for frame in await main.read(2)][1:] == ["ADD 1\na"]
    await changes.read(1)
    await gone.read(1)
    await site.joined(readers=3)
    site.push(site.q.change(add={"b": {"n": 2}}, update={"a": {"n": 3}}), site.q.change(delete=("b",)), site.q.control("running"))
    assert [(frame.id, frame.data) for frame in await main.read(1)] == [("q:11.2", "ADD 2\nb")]
    assert (await main.read(1))[0].json["op"] == "x"
    assert [(frame.id, json.loads(frame.data)) for frame in await changes.read(1)] == [("q:11.1", {"n": 3})]
    assert told(await gone.read(1)) == [("d", "q:12.1", "b")]


async def test_snapshot(site: Site) -> None:
    import httpx

    site.q.rows = {"a": {"n": 1}}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}/reactions/r", trust_env=False) as client:
        answer = await client.get("/snapshot/q")
        assert answer.json() == [
            {"header": {"sequence": 10, "timestamp": 1_772_352_930_010, "state": "running"}},
            {"data": {"n": 1}, "rowId": "a"},
        ]
        assert (await client.get("/snapshot/none")).status_code == 404
        site.q.unavailable = True
        assert (await client.get("/snapshot/q")).status_code == 503


async def test_a_slow_reader_is_cut_off_and_resumes_exactly(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads nothing while much more happens than is held for it; another reader, who keeps up, misses nothing."""
    site.reaction.feeds["q"]._most_events = 50
    slow = await site.open(buffer=4096)
    await slow.read(1)
    fast = await site.open()
    await fast.read(1)
    await site.joined(readers=2)
    count = 0
    while site.reaction.feeds["q"].readers == 2:
        site.push(site.q.change(add={f"r{count}": {"text": "x" * 2000}}))
        count += 1
        await fast.read(1)
        assert count < 20_000, "nobody was cut off"
    feed = site.reaction.feeds["q"]
    assert len(feed.steps) <= 57
    await slow.rest()
    assert 0 < len(slow.frames) < count
    again = await site.open(last=slow.last_id)
    resumed = await again.read(count - (len(slow.frames) - 1))
    rows = [entry[2] for entry in told(slow.frames[1:] + resumed)]
    assert rows == [f"r{number}" for number in range(count)]
    assert [entry[2] for entry in told(fast.frames[1:])] == rows


async def test_a_row_is_rendered_once_for_all_readers(site: Site) -> None:
    rendered: list[int] = []
    feed = site.reaction.feeds["q"]
    render = feed._render
    feed._render = lambda event: rendered.append(event.sequence) or render(event)  # type: ignore[func-returns-value]
    streams = [await site.open() for _ in range(5)]
    for stream in streams:
        await stream.read(1)
    await site.joined(readers=5)
    site.push(*(site.q.change(add={f"r{number}": {}}) for number in range(20)))
    for stream in streams:
        assert len(await stream.read(20)) == 20
    assert rendered == list(range(11, 31))


async def test_without_readers_nothing_is_held_or_rendered(site: Site) -> None:
    stream = await site.open()
    await stream.read(1)
    await site.joined()
    await stream.close()
    await site.joined(readers=0)
    site.push(site.q.change(add={"a": {}}))
    feed = site.reaction.feeds["q"]
    assert feed.steps == []
    assert feed._task is None


async def test_a_burst_holds_a_bounded_amount(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = site.reaction.feeds["q"]
    feed._most_bytes = 100_000
    stream = await site.open()
    await stream.read(1)
    await site.joined()
    for _ in range(3000):
        site.push(site.q.change(add={f"r{site.q.sequence}": {"text": "x" * 100}}))
        assert feed._bytes <= 113_000
    assert feed._bytes == sum(step.size for step in feed.steps)


async def test_close_ends_every_stream(site: Site) -> None:
    stream = await site.open()
    await stream.read(1)
    await site.joined()
    await site.reaction.close()
    assert await asyncio.wait_for(stream.one(), 10) is None


def test_ids() -> None:
    assert parse_id("q1:57.2,q2:12.1") == {"q1": (57, 2), "q2": (12, 1)}
    assert parse_id("") == {}
    assert feed_module.EVENTS > 1000
    assert KIND.schema is not None
    assert KIND.schema["properties"]["ssePath"]["default"] == "/events"


@pytest.mark.parametrize("steps", range(5))
async def test_a_reader_that_leaves_when_something_comes_is_gone(site: Site, steps: int) -> None:
    stream = sse.Stream(site.reaction, ["q"], {})
    frames = stream.frames()
    await frames.__anext__()
    reading = asyncio.ensure_future(frames.__anext__())
    await site.joined()
    await settle()
    stream._wake.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading}, timeout=10)
    assert reading.cancelled()
    assert site.reaction.feeds["q"].readers == 0
