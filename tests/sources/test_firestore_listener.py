"""The Firestore source's listener, on the emulator, and on a stream that says what the emulator never says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from google.api_core.exceptions import FailedPrecondition
from google.cloud.firestore_v1.types import (
    Document,
    DocumentChange,
    DocumentDelete,
    ExistenceFilter,
    ListenRequest,
    ListenResponse,
    TargetChange,
    Value,
    Write,
)
from starlette.applications import Starlette

from drasi.firestore.client import FirestoreClient, FirestoreUnavailable
from drasi.messages.changes import Element, SourceChange
from drasi.sources import firestore_listener as module
from drasi.sources.firestore import KIND, FirestoreSource
from drasi.sources.firestore_documents import DocumentReader
from drasi.sources.firestore_listener import STATE, Listener
from drasi.sources.function import SourceFunction
from drasi.sources.port import OriginUnavailable, SnapshotEnd, SnapshotHeader, SnapshotRequest, SourceContext
from drasi.sources.state import MemoryState
from tests.bus.gate import Gate
from tests.emulator import emulators
from tests.sources.test_firestore import headers
from tests.sources.world import Published, RecordingBus, eventually

_projects = itertools.count(1)


@dataclass
class Elements:
    """What a container keeps where positions order the changes of each element."""

    there: dict[str, Element] = field(default_factory=dict)
    positions: dict[str, str] = field(default_factory=dict)

    def apply(self, change: SourceChange) -> None:
        element = change.payload.after or change.payload.before
        position = change.payload.source.position
        assert element is not None
        assert position is not None
        if position <= self.positions.get(element.id, ""):
            return
        self.positions[element.id] = position
        if change.op == "d":
            self.there.pop(element.id, None)
        else:
            assert change.op == "i"
            self.there[element.id] = element

    def plain(self) -> dict[str, Any]:
        return {name: (one.properties, one.startId, one.endId) for name, one in self.there.items()}


class World:
    """A database on the emulator, and a source of it that may be stopped and started again on its state."""

    def __init__(self) -> None:
        self.host = emulators.firestore()
        self.project = f"drasi-listener-{next(_projects)}"
        self.client = FirestoreClient(self.project, emulator=self.host)
        self.state = MemoryState()
        self.bus = RecordingBus()
        self.renewed: list[str] = []
        self.function: SourceFunction | None = None
        self.documents: dict[str, dict[str, Any]] = {}

    def begin(self, *collections: str, **properties: Any) -> SourceFunction:
        async def renew(reason: str) -> None:
            self.renewed.append(reason)

        given = {"project": self.project, "collections": list(collections or ("ships",)), **properties}
        self.function = SourceFunction("src", KIND, given, bus=self.bus, state=self.state, renew=renew)
        return self.function

    async def start(self, *collections: str, **properties: Any) -> SourceFunction:
        function = self.begin(*collections, **properties)
        await function.start()
        await eventually(lambda: bool(function.status()["available"]), pause_s=0.01)
        return function

    async def stop(self) -> None:
        if self.function is not None:
            await self.function.close()

    async def write(self, **documents: dict[str, Any] | None) -> None:
        """In one transaction; None deletes. A text that begins with @ refers to a document."""
        root = self.client.root
        writes = []
        for name, content in documents.items():
            path = f"ships/{name}" if "/" not in name else name
            if content is None:
                self.documents.pop(path, None)
                writes.append(Write(delete=f"{root}/{path}"))
                continue
            self.documents[path] = content
            fields = {
                key: Value(reference_value=f"{root}/{value[1:]}") if isinstance(value, str) else Value(integer_value=value)
                for key, value in content.items()
            }
            writes.append(Write(update=Document(name=f"{root}/{path}", fields=fields)))
        await self.client.commit(writes)

    def wanted(self) -> dict[str, Any]:
        """What the documents of ``ships`` are as elements."""
        found: dict[str, Any] = {}
        for path, content in self.documents.items():
            plain = {name: value[1:] if isinstance(value, str) else value for name, value in content.items()}
            found[path] = (plain, None, None)
            for name, value in content.items():
                if isinstance(value, str):
                    found[f"{path}$ref:{name}"] = ({}, path, value[1:])
        return found

    def published(self) -> dict[str, Any]:
        elements = Elements()
        for change in self.bus.changes:
            elements.apply(change)
        return elements.plain()

    async def agrees(self) -> None:
        with contextlib.suppress(TimeoutError):
            await eventually(lambda: self.published() == self.wanted(), pause_s=0.02)
        assert self.published() == self.wanted()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    made = World()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", made.host)
    yield made
    await made.stop()
    await made.client.close()


async def test_documents_come_change_and_go_with_their_references(world: World) -> None:
    await world.start()
    assert world.bus.changes == []
    await world.write(s1={"n": 1, "berth": "@berths/b1"}, s2={"n": 2})
    await world.agrees()
    await world.write(s1={"n": 2, "berth": "@berths/b2", "tug": "@tugs/t1"})
    await world.agrees()
    await world.write(s1={"n": 3}, s2=None)
    await world.agrees()
    await world.write(s1=None, s3={"berth": "@berths/b1"})
    await world.agrees()
    await world.write(s3=None)
    await world.agrees()
    assert world.published() == {}
    assert world.renewed == []


async def test_collections_at_any_depth_and_by_path_and_no_others(world: World) -> None:
    await world.start("ports/*/berths", "tugs", "ports/p1/cranes", parents=True)
    names = ["ports/p1/berths/b1", "berths/b1", "yards/y/berths/b", "tugs/t1", "ports/p1/tugs/t2", "ports/p1/cranes/c1"]
    await world.write(**{name: {"n": 1} for name in [*names, "ports/p2/cranes/c2", "boats/x"]})
    taken = {"ports/p1/berths/b1", "tugs/t1", "ports/p1/tugs/t2", "ports/p1/cranes/c1"}
    relations = {f"{name}$parent" for name in taken if name.startswith("ports")}
    await eventually(lambda: world.published().keys() == taken | relations, pause_s=0.02)
    await world.write(**dict.fromkeys(names))
    await eventually(lambda: world.published() == {}, pause_s=0.02)


async def test_many_documents_under_load(world: World) -> None:
    await world.start()
    chance = random.Random(1)
    for _ in range(12):
        names = chance.sample(range(1_500), 250)
        await world.write(
            **{
                f"s{name}": None if chance.random() < 0.2 else {"n": chance.randrange(100), "b": f"@berths/b{chance.randrange(9)}"}
                for name in names
            }
        )
    await world.agrees()
    assert len(world.documents) > 500


async def test_what_happened_while_it_was_down_is_seen_and_nothing_else_is_published_again(world: World) -> None:
    await world.start()
    await world.write(**{f"s{number}": {"n": number, "b": "@berths/b1"} for number in range(30)})
    await world.agrees()
    await settled(world)
    await world.stop()
    before = len(world.bus.changes)
    await world.write(s0=None, s1={"n": 100}, s2={"n": 2, "b": "@berths/b2"}, new={"n": 1})
    await world.write(s3=None)
    await world.write(s3={"n": 5})
    await world.write(brief={"n": 1})
    await world.write(brief=None)
    await world.start()
    await world.agrees()
    # What is not sure to have been before the place is said again: at the position it had.
    earlier = {_said(change) for change in world.bus.changes[:before]}
    told = {_said(change)[1] for change in world.bus.changes[before:] if _said(change) not in earlier}
    assert {name.partition("$")[0] for name in told} <= {"ships/s0", "ships/s1", "ships/s2", "ships/s3", "ships/new", "ships/brief"}
    assert world.renewed == []


def _said(change: SourceChange) -> tuple[str, str, str | None]:
    element = change.payload.after or change.payload.before
    assert element is not None
    return change.op, element.id, change.payload.source.position


async def test_a_restart_in_the_middle_of_a_load(world: World) -> None:
    async with load(world, 2):
        for _ in range(5):
            await world.start()
            count = len(world.bus.published)
            await eventually(lambda count=count: len(world.bus.published) > count + 3, pause_s=0.01)  # type: ignore[misc]
            await world.stop()
        await world.start()
    await world.agrees()
    assert world.renewed == []


async def test_a_connection_that_is_cut_is_opened_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(world.host)
    await gate.open()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", gate.address)
    async with load(world, 3):
        function = await world.start()
        for _ in range(3):
            count = len(world.bus.published)
            await eventually(lambda count=count: len(world.bus.published) > count + 3, pause_s=0.01)  # type: ignore[misc]
            await gate.close()
            await eventually(lambda: "OriginUnavailable" in function.status()["messages"], pause_s=0.01)
            await gate.open()
    await world.agrees()
    assert function.status()["available"]
    await world.stop()
    await gate.close()


async def test_the_cut_between_snapshot_and_stream_is_exact(world: World) -> None:
    function = await world.start()
    await world.write(**{f"s{number}": {"n": number} for number in range(100)})
    snapshots = []
    async with load(world, 4):
        for _ in range(4):
            header, *elements, end = [line async for line in await function.snapshot(SnapshotRequest())]
            assert isinstance(header, SnapshotHeader)
            assert isinstance(end, SnapshotEnd)
            kinds = [message.attributes["drasi-type"] for message in world.bus.published]
            snapshots.append((header.position, elements, len(kinds) - 1 - kinds[::-1].index("marker")))
    await world.agrees()
    for position, elements, marker in snapshots:
        behind = [change for message in world.bus.published[marker + 1 :] for change in _changes(message)]
        late = [change for change in behind if (change.payload.source.position or "") <= position]
        assert late == [], "behind the marker nothing older comes"
        after = Elements({element.id: element for element in elements if isinstance(element, Element)})
        for change in world.bus.changes:
            if (change.payload.source.position or "") > position:
                after.apply(change)
        assert after.plain() == world.wanted(), "the snapshot and what is newer are everything"


def _changes(message: Published) -> list[SourceChange]:
    return message.changes if message.attributes["drasi-type"] == "changes" else []


async def test_events_may_come_as_well(world: World) -> None:
    function = await world.start()
    await world.write(s1={"n": 1})
    await world.agrees()
    [change] = world.bus.changes
    at = datetime.fromtimestamp(change.payload.source.ts_ns // 1_000 / 1e6, UTC).isoformat().replace("+00:00", "Z")
    value = {"name": f"{world.client.root}/ships/s1", "fields": {"n": {"integerValue": "1"}}, "updateTime": at}
    source = function.source
    assert isinstance(source, FirestoreSource)
    app = Starlette(routes=list(source.routes()))
    async with _client(app) as client:
        body = msgspec.json.encode({"value": value})
        assert (await client.post("/", content=body, headers=headers("created", "ships/s1"))).status_code == 204
    first, second = world.bus.changes
    assert first.payload.source.position == second.payload.source.position


async def test_without_it_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    state = MemoryState()
    given = {"project": "p", "collections": ["ships"], "listen": False}
    function = SourceFunction("src", KIND, given, bus=RecordingBus(), state=state)
    await function.start()
    await eventually(lambda: bool(function.status()["available"]))
    assert await state.get(STATE) is None
    await function.close()


async def test_other_collections_are_read_again(world: World) -> None:
    await world.start()
    await world.stop()
    await world.start("ships", "tugs")
    assert world.renewed == ["other collections are listened to"]
    await world.write(s1={"n": 1})
    await world.agrees()


async def test_a_publication_that_fails_is_made_again(world: World) -> None:
    function = await world.start()
    world.bus.failing = True
    await world.write(s1={"n": 1})
    await eventually(lambda: "BusUnavailable" in function.status()["messages"], pause_s=0.01)
    await world.write(s1={"n": 2}, s2={"n": 1})
    world.bus.failing = False
    await world.agrees()
    assert "BusUnavailable" not in function.status()["messages"]


@asynccontextmanager
async def load(world: World, seed: int) -> AsyncIterator[None]:
    """Writes without pause, and ends behind a whole transaction."""
    enough = asyncio.Event()
    loading = asyncio.create_task(_load(world, random.Random(seed), enough))
    try:
        yield
    finally:
        enough.set()
        await loading


async def _load(world: World, chance: random.Random, enough: asyncio.Event) -> None:
    while not enough.is_set():
        names = [f"s{chance.randrange(60)}" for _ in range(chance.randrange(1, 4))]
        await world.write(
            **{name: None if chance.random() < 0.3 else {"n": chance.randrange(1_000), **_berth(chance)} for name in names}
        )


def _berth(chance: random.Random) -> dict[str, str]:
    return {"b": f"@berths/b{chance.randrange(5)}"} if chance.random() < 0.5 else {}


async def settled(world: World) -> None:
    """The place is kept that the listener has reached."""
    assert world.function is not None
    source = world.function.source
    assert isinstance(source, FirestoreSource)
    assert source._listener is not None
    await source._listener._save()


def _client(app: Any) -> Any:

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://source")


# What the emulator never says.


class Script:
    """A database whose streams say what a test lets them say; an exception breaks them."""

    root = "projects/p/databases/(default)/documents"
    emulator = None

    def __init__(self) -> None:
        self.streams: list[list[ListenRequest]] = []
        self.lines: asyncio.Queue[ListenResponse | Exception] = asyncio.Queue()
        self.there: dict[str, int] = {}
        self.later: dict[str, int] = {}
        self.looked: list[tuple[list[str], datetime | None]] = []
        self.read_at: list[datetime | None] = []
        self.too_old = False
        self.opened = asyncio.Condition()
        self.state = MemoryState()
        self.published: list[tuple[str, str, str]] = []
        self.renewed: list[str] = []
        self.reported: list[tuple[str, str | None]] = []
        self.second = 100

    def listener(self) -> Listener:
        async def publish(changes: Any) -> None:
            for change in changes:
                element = change.payload.after or change.payload.before
                self.published.append((change.op, element.id, change.payload.source.position))

        async def renew(reason: str) -> None:
            self.renewed.append(reason)

        async def dead_letter(*given: Any) -> None:
            raise AssertionError(given)

        async def sleep(seconds: float) -> None: ...

        context = SourceContext(
            id="src",
            properties={},
            publish=publish,
            state=self.state,
            wanted=lambda: None,  # type: ignore[arg-type, return-value]
            report=lambda code, text: self.reported.append((code, text)),
            dead_letter=dead_letter,
            now_ns=lambda: 0,
            renew=renew,
            sleep=sleep,
        )
        reader = DocumentReader("src", {"collections": ["ships"]})
        return Listener(context, reader, lambda: self, self._load, self._look, mapped=False)  # type: ignore[arg-type, return-value]

    async def _load(self, pattern: int, at: datetime | None) -> AsyncIterator[tuple[list[Document], datetime]]:
        self.read_at.append(at)
        if at is not None and self.too_old:
            raise OriginUnavailable("too old") from FailedPrecondition("read_time is too old")  # type: ignore[no-untyped-call]
        yield [self.document(path, second) for path, second in self.there.items()], at or self.at(self.second)

    async def _look(self, paths: Sequence[str], at: datetime | None) -> tuple[dict[str, Document], datetime]:
        self.looked.append((list(paths), at))
        there = self.there if at is None else self.later
        return {path: self.document(path, there[path]) for path in paths if path in there}, at or self.at(self.second)

    async def listen(self, requests: AsyncIterator[ListenRequest]) -> AsyncIterator[ListenResponse]:
        mine: list[ListenRequest] = []
        self.streams.append(mine)

        async def keep() -> None:
            async for request in requests:
                mine.append(request)
                async with self.opened:
                    self.opened.notify_all()

        keeping = asyncio.create_task(keep())
        try:
            while True:
                line = await self.lines.get()
                if isinstance(line, Exception):
                    raise line
                yield line
        finally:
            keeping.cancel()

    async def asked(self, stream: int, count: int = 1) -> ListenRequest:
        """The last of so many requests of a stream."""
        async with asyncio.timeout(20), self.opened:
            await self.opened.wait_for(lambda: len(self.streams) > stream and len(self.streams[stream]) >= count)
        return self.streams[stream][count - 1]

    @staticmethod
    def at(second: int) -> datetime:
        return datetime.fromtimestamp(second, UTC)

    def document(self, path: str, second: int) -> Document:
        return Document(name=f"{self.root}/{path}", update_time=self.at(second))

    def say(self, *responses: ListenResponse) -> None:
        for response in responses:
            self.lines.put_nowait(response)

    def changed(self, path: str, second: int) -> None:
        self.say(ListenResponse(document_change=DocumentChange(document=self.document(path, second), target_ids=[1])))

    def deleted(self, path: str, second: int) -> None:
        gone = DocumentDelete(document=f"{self.root}/{path}", removed_target_ids=[1], read_time=self.at(second))
        self.say(ListenResponse(document_delete=gone))

    def target(self, kind: str, **fields: Any) -> None:
        change = TargetChange(target_change_type=getattr(TargetChange.TargetChangeType, kind), **fields)
        self.say(ListenResponse(target_change=change))

    def current(self) -> None:
        self.target("CURRENT", target_ids=[1])

    def snapshot(self, second: int) -> None:
        self.target("NO_CHANGE", read_time=self.at(second), resume_token=f"token-{second}".encode())

    def counted(self, count: int) -> None:
        self.say(ListenResponse(filter=ExistenceFilter(target_id=1, count=count)))


@pytest.fixture
async def running() -> AsyncIterator[Callable[[Script], Any]]:
    tasks: list[asyncio.Task[None]] = []

    async def run(script: Script) -> Listener:
        listener = script.listener()
        await listener.start()
        tasks.append(asyncio.create_task(listener.run()))
        return listener

    yield run
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def p(second: int) -> str:
    return f"{second * 10**9:020}"


async def test_nothing_is_published_before_it_is_whole(running: Any) -> None:
    script = Script()
    script.there = {"ships/a": 1}
    listener = await running(script)
    first = await script.asked(0)
    assert first.add_target.read_time == script.at(100)
    assert not first.add_target.resume_token
    script.changed("ships/b", 101)
    script.changed("ships/b", 102)
    script.snapshot(103)
    await eventually(lambda: script.lines.empty())
    assert script.published == []
    script.current()
    script.snapshot(104)
    await listener.reached(104 * 10**9)
    assert script.published == [("i", "ships/b", p(102))]
    script.deleted("ships/a", 105)
    script.deleted("ships/unknown", 105)
    script.changed("ships/a", 106)
    script.snapshot(107)
    await listener.reached(107 * 10**9)
    assert script.published[1:] == [("i", "ships/a", p(106))]


async def test_what_has_not_been_told_yet_is_not_taken_for_gone(running: Any) -> None:
    """With several collections there are snapshots before all of them were told."""
    script = Script()
    script.there = {"ships/a": 1}
    listener = await running(script)
    await script.asked(0)
    script.target("REMOVE", target_ids=[1])
    await script.asked(1)
    script.snapshot(103)
    script.changed("ships/a", 1)
    script.current()
    script.snapshot(104)
    await listener.reached(104 * 10**9)
    assert script.published == []


async def test_a_stream_goes_on_from_its_token_and_a_process_from_its_place(running: Any) -> None:
    script = Script()
    listener = await running(script)
    script.changed("ships/a", 101)
    script.current()
    script.snapshot(102)
    await listener.reached(102 * 10**9)
    script.say(FirestoreUnavailable("cut"))  # type: ignore[arg-type]
    second = await script.asked(1)
    assert second.add_target.resume_token == b"token-102"
    assert not [text for code, text in script.reported if text is not None], "one break is no news"
    script.say(FirestoreUnavailable("cut again"))  # type: ignore[arg-type]
    await script.asked(2)
    assert ("OriginUnavailable", "cut again") in script.reported
    await listener._save()
    script.there = {"ships/a": 101}
    again = await running(script)
    assert script.read_at == [None, script.at(102)]
    assert again._place.token


async def test_what_was_told_anew_is_compared_with_what_is_known(running: Any) -> None:
    script = Script()
    script.there = {"ships/a": 1, "ships/b": 2, "ships/c": 3}
    listener = await running(script)
    await script.asked(0)
    script.changed("ships/d", 101)
    script.target("RESET", target_ids=[1])
    script.changed("ships/a", 1)
    script.changed("ships/c", 104)
    script.current()
    script.snapshot(105)
    await listener.reached(105 * 10**9)
    assert script.published == [("i", "ships/c", p(104)), ("d", "ships/b", p(105))]
    assert script.looked == [(["ships/b"], script.at(105))]


async def test_what_is_only_not_among_those_told_is_looked_at(running: Any) -> None:
    """It went and came again while everything was told: at the snapshot's instant it is there."""
    script = Script()
    script.there = {"ships/a": 1, "ships/b": 2}
    script.later = {"ships/b": 104}
    listener = await running(script)
    await script.asked(0)
    script.target("RESET", target_ids=[1])
    script.changed("ships/a", 1)
    script.current()
    script.snapshot(105)
    await listener.reached(105 * 10**9)
    assert script.published == [("i", "ships/b", p(104))]


async def test_deletes_that_are_only_counted_are_found(running: Any) -> None:
    script = Script()
    script.there = {"ships/a": 1, "ships/b": 2, "ships/c": 3}
    listener = await running(script)
    await script.asked(0)
    script.changed("ships/d", 101)
    script.counted(4)
    script.current()
    script.snapshot(102)
    await listener.reached(102 * 10**9)
    assert script.published == [("i", "ships/d", p(101))]
    script.counted(2)
    script.current()
    script.snapshot(103)
    anew = (await script.asked(1)).add_target
    assert not anew.resume_token
    assert anew.read_time is None
    script.changed("ships/a", 1)
    script.changed("ships/d", 101)
    script.current()
    script.snapshot(104)
    await listener.reached(104 * 10**9)
    assert script.published[1:] == [("d", "ships/b", p(104)), ("d", "ships/c", p(104))]


async def test_a_token_that_is_refused_is_given_up(running: Any) -> None:
    script = Script()
    script.there = {"ships/a": 1}
    listener = await running(script)
    await script.asked(0)
    script.target("REMOVE", target_ids=[1])
    assert (await script.asked(1)).add_target.read_time is None
    script.current()
    script.snapshot(104)
    await listener.reached(104 * 10**9)
    assert script.published == [("d", "ships/a", p(104))]


async def test_a_place_that_nobody_knows_any_more_means_that_all_is_read_again(running: Any) -> None:
    script = Script()
    await running(script)
    script.too_old = True
    script.second = 200
    script.there = {"ships/a": 150}
    listener = await running(script)
    assert script.renewed == ["Firestore no longer knows what it was when the listener stopped"]
    assert listener._place.read_us == 200 * 10**6
    assert script.published == [], "whoever reads again has it"


async def test_what_was_published_beyond_the_place_is_looked_at_by_the_next_process(running: Any, monkeypatch: Any) -> None:
    """It came after the place that is kept, and went before anybody looked again: nobody would tell."""
    monkeypatch.setattr(module, "SAVED_EVERY_S", 1e9)
    script = Script()
    listener = await running(script)
    script.changed("ships/101", 101)
    script.changed("ships/103", 103)
    script.current()
    script.snapshot(104)
    await listener.reached(104 * 10**9)
    script.there = {"ships/103": 150}
    script.second = 200
    script.published.clear()
    await running(script)
    assert script.read_at[-1] == script.at(100)
    assert sorted(script.published) == [("d", "ships/101", p(200)), ("i", "ships/103", p(150))]


async def test_what_a_snapshot_gave_away_and_the_stream_skipped_is_taken_back(running: Any) -> None:
    script = Script()
    script.there = {"ships/a": 1}
    listener = await running(script)
    await script.asked(0)
    given = [script.document("ships/brief", 101), script.document("ships/a", 102), script.document("ships/same", 103)]
    given[1].fields["b"] = Value(reference_value=f"{script.root}/berths/b1")
    await listener.served(given, script.at(104))
    script.later = {"ships/a": 105, "ships/same": 103}
    script.current()
    script.snapshot(103)
    await listener.reached(103 * 10**9)
    assert script.published == [], "it is not as far as the snapshot yet"
    script.changed("ships/a", 105)
    script.snapshot(106)
    await listener.reached(106 * 10**9)
    assert sorted(script.published) == [
        ("d", "ships/a$ref:b", p(105)),
        ("d", "ships/brief", p(106)),
        ("i", "ships/a", p(105)),
        ("i", "ships/same", p(103)),
    ]
    script.snapshot(107)
    await listener.reached(107 * 10**9)
    assert len(script.published) == 4, "once"


async def test_a_silent_stream_is_asked_and_then_opened_anew(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.05)
    script = Script()
    await running(script)
    probe = (await script.asked(0, 2)).add_target
    assert probe.target_id >= 1_000
    assert [name.rpartition("/")[2] for name in probe.documents.documents] == ["src"]
    await script.asked(1)


async def test_a_snapshot_that_the_listener_does_not_reach_is_refused(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REACHED_S", 0.05)
    script = Script()
    listener = await running(script)
    await script.asked(0)
    with pytest.raises(OriginUnavailable, match="behind the snapshot"):
        await listener.reached(200 * 10**9)
