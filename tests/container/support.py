"""What the container's tests share: a bus that remembers, sources that can be read, messages, answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from drasi.bus.port import Deliver
from drasi.container import Container, Settings, SnapshotPart, SourceMissing
from drasi.container.change import made
from drasi.container.entry import AnyItem, Changes, Configure, Entry
from drasi.container.machine import Machine
from drasi.container.state import Outcome
from drasi.engine import Engine, Insert
from drasi.errors import DrasiError
from drasi.log.memory import MemoryLog
from drasi.log.port import Log
from drasi.messages import control as control_messages
from drasi.messages.changes import Element, Origin, Payload, SourceChange, encode
from drasi.messages.control import ControlMessage
from drasi.messages.envelope import Message
from drasi.plan.compiled import compile_query

ROOMS = "MATCH (r:Room) WHERE r.temp > 20 RETURN r.name AS room, r.temp AS temp"
FLOORS = "MATCH (r:Room)-[:PART_OF]->(f:Floor) RETURN f.name AS floor, avg(r.temp) AS temp, count(*) AS rooms"
SECOND = 1_000_000_000


def position(number: int) -> str:
    return f"{number:020d}"


def node(
    op: str,
    number: int,
    id_: str,
    labels: Sequence[str] = ("Room",),
    *,
    source: str = "db",
    tx: str | None = None,
    **properties: Any,
) -> SourceChange:
    element = Element(id_, list(labels), properties)
    origin = Origin(source, "node", number * SECOND, number, None, position(number), None, tx)
    return SourceChange(op, Payload(origin, **({"before": element} if op in "dt" else {"after": element})))  # type: ignore[arg-type]


def relation(op: str, number: int, id_: str, start: str, end: str, type_: str = "PART_OF", *, source: str = "db") -> SourceChange:
    origin = Origin(source, "rel", number * SECOND, number, None, position(number))
    if op == "d":
        return SourceChange("d", Payload(origin, before=Element(id_, [type_], {})))
    return SourceChange(op, Payload(origin, after=Element(id_, [type_], {}, start, end)))  # type: ignore[arg-type]


def message(changes: Iterable[SourceChange | bytes], source: str = "db") -> Message:
    items = [change if isinstance(change, bytes) else encode(change) for change in changes]
    positions = [change.payload.source.position for change in changes if isinstance(change, SourceChange)]
    attributes = {"drasi-type": "changes", "source": source, "count": str(len(items))}
    if positions and positions[0] and positions[-1]:
        attributes |= {"firstPosition": positions[0], "lastPosition": positions[-1]}
    return Message(b"[" + b",".join(items) + b"]", attributes, source)


def marker(number: int, source: str = "db") -> Message:
    change = SourceChange("u", Payload(Origin(source, "node", number * SECOND, number, None, position(number))))
    return Message(b"[" + encode(change) + b"]", {"drasi-type": "marker", "source": source}, source)


def spec(text: str, *sources: str, **more: Any) -> dict[str, Any]:
    return {"query": text, "sources": {"subscriptions": [{"id": source} for source in sources or ("db",)]}, **more}


def control(kind: str, query: str | None = None, **more: Any) -> Message:
    order = ControlMessage(kind=kind, queryId=query, **more)  # type: ignore[arg-type]
    return Message(control_messages.encode(order), {"drasi-type": "container-control", "container": "default"}, "default")


class Clock:
    """Time that moves when a test says so, and by a microsecond whenever it is read."""

    def __init__(self, at_ns: int = 1_700_000_000 * SECOND) -> None:
        self.at_ns = at_ns

    def __call__(self) -> int:
        self.at_ns += 1000
        return self.at_ns

    def advance(self, seconds: float) -> None:
        self.at_ns += int(seconds * SECOND)


class BusDown(DrasiError):
    code = "BusUnavailable"
    retryable = True


class RecordingBus:
    """A bus that remembers what was published, and fails when told to."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes, dict[str, str]]] = []
        self.failing = 0
        self.hold: asyncio.Event | None = None
        self.before: Callable[[], None] = lambda: None

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        self.before()
        if self.hold is not None:
            await self.hold.wait()
        if self.failing:
            self.failing -= 1
            raise BusDown("the bus is down")
        self.published.append((topic, data, dict(attributes or {})))
        return str(len(self.published))

    async def subscribe(self, subscription: str, topic: str, deliver: Deliver, *, durable: bool = True) -> None:
        raise NotImplementedError

    async def detach(self, subscription: str) -> None:
        raise NotImplementedError

    async def unsubscribe(self, subscription: str) -> None:
        raise NotImplementedError

    async def close(self) -> None: ...

    def events(self, query: str) -> list[dict[str, Any]]:
        """Every event that was published for a query, repeats included."""
        return [event for topic, data, _ in self.published if topic == f"{query}-results" for event in msgspec.json.decode(data)]


@dataclass
class FakeSource:
    """A source's own data: what a snapshot of it would say now."""

    elements: dict[str, Element] = field(default_factory=dict)
    number: int = 0
    page: int = 1000
    marked: bool = True

    def apply(self, change: SourceChange) -> SourceChange:
        payload = change.payload
        self.number = max(self.number, payload.source.lsn)
        if change.op == "d":
            assert payload.before is not None
            self.elements.pop(payload.before.id, None)
        else:
            assert payload.after is not None
            old = self.elements.get(payload.after.id)
            after = payload.after
            properties = dict(after.properties) if change.op == "i" or old is None else {**old.properties, **after.properties}
            self.elements[after.id] = Element(after.id, after.labels, properties, after.startId, after.endId)
        return change


class FakeSnapshots:
    """Reads `FakeSource`s; ``before`` is called with every request and may raise."""

    def __init__(self, **sources: FakeSource) -> None:
        self.sources = sources
        self.requests: list[tuple[str, frozenset[str], frozenset[str], str | None]] = []
        self.before: Callable[[], Any] = lambda: None
        self.behind: Callable[[str, int], Any] = lambda source, number: None

    async def read(self, source: str, nodes: frozenset[str], relations: frozenset[str], cursor: str | None) -> SnapshotPart:
        self.requests.append((source, nodes, relations, cursor))
        outcome = self.before()
        if asyncio.iscoroutine(outcome):
            await outcome
        if source not in self.sources:
            raise SourceMissing(f"there is no source {source}")
        data = self.sources[source]
        wanted = [
            element
            for _, element in sorted(data.elements.items())
            if (not nodes and not relations) or not (relations if element.startId else nodes).isdisjoint(element.labels)
        ]
        start = int(cursor or 0)
        some = wanted[start : start + data.page]
        following = str(start + data.page) if start + data.page < len(wanted) else None
        part = SnapshotPart(some, position(data.number), data.number * SECOND, following, data.marked, len(wanted))
        if following is None:
            self.behind(source, data.number)
        return part


class Pauses:
    """A ``sleep`` that waits for the test."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._waiting: list[asyncio.Future[None]] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def over(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Returns when the condition holds; fails after a while."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "it did not happen"
        await asyncio.sleep(0.001)


class System:
    """One container instance with sources that mark by themselves."""

    def __init__(
        self,
        log: Log | None = None,
        *,
        bus: RecordingBus | None = None,
        snapshots: FakeSnapshots | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        sleep: Any = asyncio.sleep,
        instance: str | None = None,
    ) -> None:
        self.bus = bus or RecordingBus()
        self.snapshots = snapshots or FakeSnapshots(db=FakeSource())
        self.clock = clock or Clock()
        self.log = log if log is not None else MemoryLog()
        self.container = Container(
            "default",
            self.log,
            self.bus,
            self.snapshots,
            clock=self.clock,
            settings=settings or Settings(follow_s=None),
            sleep=sleep,
            instance=instance,
        )
        self._marking: set[asyncio.Task[int]] = set()
        self.snapshots.behind = self._mark

    def _mark(self, source: str, number: int) -> None:
        if self.snapshots.sources[source].marked:
            task = asyncio.get_running_loop().create_task(self.container.changes(marker(number, source)))
            self._marking.add(task)
            task.add_done_callback(self._marking.discard)

    async def __aenter__(self) -> System:
        await self.container.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.container.close()

    async def send(self, *changes: SourceChange | bytes, source: str = "db") -> int:
        return await self.container.changes(message(changes, source))

    async def order(self, kind: str, query: str | None = None, **more: Any) -> int:
        return await self.container.control(control(kind, query, **more))

    async def configure(self, query: str, text: str, *sources: str, version: int = 1, **more: Any) -> None:
        """Configures a query and waits until it runs."""
        assert await self.order("configure", query, version=version, spec=spec(text, *sources, **more)) == 204
        await until(lambda: self.container.view(query).state == "running")

    def rows(self, query: str) -> list[dict[str, Any]]:
        return sorted((row.data for row in self.container.view(query).rows), key=repr)


class Consumer:
    """What a consumer makes of events: it drops the sequences it knows, and keeps the rows."""

    def __init__(self) -> None:
        self.sequence = 0
        self.rows: dict[str, Any] = {}
        self.signals: list[str] = []
        self.seen: dict[int, Any] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        sequence = event["sequence"]
        plain = {key: value for key, value in event.items() if key != "metadata"}
        if sequence <= self.sequence:
            assert self.seen[sequence] == plain, "a sequence came with another content"
            return
        kind = event.get("controlSignal", {}).get("kind")
        assert sequence == self.sequence + 1 or kind == "bootstrapStarted" or not self.sequence, "a gap"
        self.sequence = sequence
        self.seen[sequence] = plain
        if kind is not None:
            self.signals.append(kind)
            if kind == "bootstrapStarted":
                self.rows.clear()
            return
        for row_id in event["deletedRowIds"]:
            del self.rows[row_id]
        for updated in event["updatedResults"]:
            assert self.rows[updated["rowId"]] == updated["before"]
            self.rows[updated["rowId"]] = updated["after"]
        for row_id, row in zip(event["addedRowIds"], event["addedResults"], strict=True):
            assert row_id not in self.rows
            self.rows[row_id] = row

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> Consumer:
        self = cls()
        for event in events:
            self.take(event)
        return self

    def sorted(self) -> list[Any]:
        return sorted(self.rows.values(), key=repr)


def from_scratch(text: str, elements: Iterable[Element], source: str = "db") -> list[dict[str, Any]]:
    """The rows of a query over elements, by an engine that has seen nothing else."""
    engine = Engine()
    for element in elements:
        engine.apply(Insert(made(source, element, 0)))
    engine.add("query", compile_query(text, column_names="short"))
    return sorted((dict(row) for row in engine.rows("query")), key=repr)


class Event(NamedTuple):
    query: str
    sequence: int
    data: bytes


def events_of(outcome: Outcome) -> list[Event]:
    """The events of an entry, one by one."""
    return [Event(run.query, sequence, data) for run in outcome.runs for sequence, data in enumerate(run.events, run.first)]


class Steps:
    """A machine driven entry by entry, without any log."""

    def __init__(self, settings: Settings | None = None, engine: Callable[[], Engine] = Engine) -> None:
        self.settings = settings or Settings()
        self.machine = Machine(self.settings, engine)
        self.entries: list[Entry] = []
        self.outcomes: list[Outcome] = []
        self.clock = Clock()
        self._versions = itertools.count(1)

    def step(self, *items: AnyItem, at_ns: int | None = None) -> Outcome:
        entry = Entry(
            at_ns=at_ns if at_ns is not None else self.clock(),
            instance="test",
            nonce=b"n%d" % len(self.entries),
            published=0,
            items=list(items),
            derived=self.machine.carry(1_000_000, len(self.entries)),
        )
        self.entries.append(entry)
        outcome = self.machine.apply(len(self.entries), entry)
        self.outcomes.append(outcome)
        return outcome

    def changes(self, *changes: SourceChange | bytes, source: str = "db") -> Outcome:
        return self.step(Changes(source, message(changes, source).data, self.clock.at_ns))

    def configure(self, query: str, text: str, *sources: str, **more: Any) -> Outcome:
        return self.step(Configure(query, next(self._versions), msgspec.json.encode(spec(text, *sources, **more)), 1))

    def rows(self, query: str) -> list[Any]:
        state = self.machine.queries[query]
        assert state.group is not None
        return sorted((dict(row) for row in self.machine.groups[state.group].engine.rows(query)), key=repr)

    def events(self, query: str) -> list[dict[str, Any]]:
        runs = (run for outcome in self.outcomes for run in outcome.runs if run.query == query)
        return [msgspec.json.decode(event) for run in runs for event in run.events]
