"""Deliveries: in order, none missed, each row once to whoever drops the keys it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from drasi.messages.envelope import Message
from drasi.messages.results import ChangeEvent, ControlEvent, ResultEvent
from drasi.reactions.function import ReactionFunction
from drasi.reactions.memory_state import MemoryState
from drasi.reactions.port import Confirm, DeliveryFailed, Reaction, ReactionContext, ReactionKind
from drasi.reactions.rows import row_changes
from drasi.reactions.state import Progress, StateConflict, StateUnavailable
from tests.reactions.fakes import Clock, Query, Reader, pushed, settle, until

Seen = tuple[str, int, str, str]


class Recorder:
    """A kind that notes (query, sequence, op, row id), and fails as ``fail`` says."""

    delivers = True

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.fail: Callable[[Seen], None] = lambda _seen: None
        self.gate: asyncio.Event | None = None

    def kind(self) -> ReactionKind:
        def make(given: ReactionContext) -> Reaction:
            return self

        return ReactionKind("Recorder", make=make)

    async def start(self) -> None: ...

    def notice(self, query_id: str, events: bytes) -> None: ...

    def routes(self) -> tuple[()]:
        return ()

    async def close(self) -> None: ...

    async def deliver(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm) -> None:
        if isinstance(event, ControlEvent):
            self.seen.append((query_id, event.sequence, "x", event.controlSignal.kind))
            return
        for change in row_changes(event):
            if change.row_id in done:
                continue
            seen = (query_id, event.sequence, change.op, change.row_id)
            self.fail(seen)
            if self.gate is not None:
                await self.gate.wait()
            self.seen.append(seen)
            confirm(change.row_id)


class Flaky(MemoryState):
    """A state whose writes can be made to fail, or to be written by another instance."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.written: list[Progress] = []

    async def put(self, query_id: str, progress: Progress, *, expected: Progress | None) -> None:
        if self.broken:
            raise StateUnavailable("the disk is full", hint="free some space")
        await super().put(query_id, progress, expected=expected)
        self.written.append(progress)


class Bench:
    """A reaction on queries of this process."""

    def __init__(self, clock: Clock, *queries: Query) -> None:
        self.clock = clock
        self.query = queries[0]
        self.reader = Reader(*queries)
        self.recorder = Recorder()
        self.state = Flaky()
        self.function: ReactionFunction | None = None

    async def start(self, start: Any = "snapshot", on_failure: Mapping[str, Any] | None = None) -> ReactionFunction:
        queries = dict.fromkeys(self.reader.queries)
        self.function = ReactionFunction(
            "r", self.recorder.kind(), {}, queries, reader=self.reader, state=self.state, start=start, on_failure=on_failure,
            timing=self.clock.timing(),
        )  # fmt: skip
        await self.function.start()
        deliveries = self.function._deliveries.values()
        await until(lambda: all(delivery._stored is not None for delivery in deliveries))
        return self.function

    async def push(self, *events: ResultEvent) -> int:
        assert self.function is not None
        task = asyncio.ensure_future(self.function.results(pushed(*events)))
        await until(task.done, self.clock)
        return task.result()

    async def stop(self) -> None:
        if self.function is not None:
            await self.function.close()
            self.function = None

    @property
    def rows(self) -> list[tuple[int, str, str]]:
        return [seen[1:] for seen in self.recorder.seen if seen[2] != "x"]

    def standing(self, query_id: str = "q") -> dict[str, Any]:
        assert self.function is not None
        standing: dict[str, Any] = self.function.status()["queries"][query_id]
        return standing


@pytest.fixture
async def bench(clock: Clock) -> Any:
    made = Bench(clock, Query("q", sequence=10))
    yield made
    await made.stop()


async def test_rows_of_an_event_come_deleted_updated_added(bench: Bench) -> None:
    bench.query.rows = {"a": {"n": 1}, "b": {"n": 2}}
    await bench.start("now")
    assert await bench.push(bench.query.change(add={"c": {"n": 3}}, update={"b": {"n": 4}}, delete=("a",))) == 204
    assert bench.rows == [(11, "d", "a"), (11, "u", "b"), (11, "i", "c")]
    assert await bench.state.get("q") == Progress(11)
    assert bench.standing() == {"sequence": 11, "behind": 0, "failing": False, "lastError": None}


async def test_a_new_reaction_starts_with_the_current_rows_and_goes_on_from_there(bench: Bench) -> None:
    bench.query.rows = {"b": {"n": 2}, "a": {"n": 1}}
    await bench.start()
    await until(lambda: len(bench.rows) == 2)
    await bench.push(bench.query.change(delete=("a",)))
    assert bench.rows == [(10, "i", "a"), (10, "i", "b"), (11, "d", "a")]


async def test_start_behind_a_sequence(bench: Bench) -> None:
    for number in range(5):
        bench.query.change(add={f"r{number}": {}})
    await bench.start({"sequence": 12})
    await until(lambda: len(bench.rows) == 3)
    assert [row[0] for row in bench.rows] == [13, 14, 15]


async def test_start_behind_a_trimmed_sequence_says_so_and_delivers_nothing(bench: Bench) -> None:
    for number in range(5):
        bench.query.change(add={f"r{number}": {}})
    bench.query.trim(13)
    function = await bench.start({"sequence": 11})
    await until(lambda: "Gone:q" in function.status()["messages"], bench.clock)
    assert "a sequence of at least 13" in function.status()["messages"]["Gone:q"]
    assert bench.standing()["failing"]
    assert bench.rows == []


async def test_known_sequences_are_dropped_and_gaps_are_fetched(bench: Bench) -> None:
    await bench.start("now")
    first = bench.query.change(add={"a": {}})
    lost = bench.query.change(add={"b": {}})
    third = bench.query.change(add={"c": {}})
    assert await bench.push(first) == 204
    assert await bench.push(first) == 204
    assert await bench.push(third) == 204
    assert await bench.push(lost, third) == 204
    assert [row[0] for row in bench.rows] == [11, 12, 13]


async def test_a_lost_push_is_fetched_after_a_silence(bench: Bench) -> None:
    await bench.start("now")
    await bench.push(bench.query.change(add={"a": {}}))
    bench.query.change(add={"b": {}})
    await settle()
    assert len(bench.rows) == 1
    await until(lambda: len(bench.rows) == 2, bench.clock)


async def test_a_message_that_cannot_be_read_is_a_wake_up(bench: Bench) -> None:
    function = await bench.start("now")
    bench.query.change(add={"a": {}})
    for data, more in ((b"not json", {}), (b"\xff", {"drasi-encoding": "zstd"}), (b'[{"kind":"what"}]', {})):
        assert await function.results(Message(data, {"query": "q", **more}, "q")) == 204
    await until(lambda: len(bench.rows) == 1, bench.clock)
    assert await function.results(Message(b"[]", {"query": "foreign"}, "foreign")) == 204


async def test_single_objects_references_and_compression_are_understood(bench: Bench) -> None:
    import msgspec
    import zstandard

    function = await bench.start("now")
    event = bench.query.change(add={"a": {"reference": "a column"}})
    assert await function.results(Message(msgspec.json.encode(event), {}, "")) == 204
    event = bench.query.change(add={"b": {}})
    data = zstandard.ZstdCompressor().compress(msgspec.json.encode([event]))
    assert await function.results(Message(data, {"drasi-encoding": "zstd"}, "q")) == 204
    bench.query.change(add={"c": {}})
    large = {"kind": "change", "queryId": "q", "sequence": 13, "sourceTimeMs": 0, "reference": "/queries/q/events?after=12&limit=1"}
    task = asyncio.ensure_future(function.results(Message(msgspec.json.encode([large]), {"lastSequence": "13"}, "q")))
    await until(task.done, bench.clock)
    assert bench.rows == [(11, "i", "a"), (12, "i", "b"), (13, "i", "c")]


async def test_the_state_is_written_once_for_a_message(bench: Bench) -> None:
    await bench.start("now")
    bench.state.written.clear()
    await bench.push(*(bench.query.change(add={f"r{number}": {}}) for number in range(50)))
    assert bench.state.written == [Progress(60)]


async def test_and_earlier_when_a_second_has_passed(bench: Bench) -> None:
    bench.recorder.gate = asyncio.Event()
    await bench.start("now")
    event = bench.query.change(add={"a": {}, "b": {}})

    def wait_at_b(seen: Seen) -> None:
        assert bench.recorder.gate is not None
        if seen[3] == "b":
            bench.recorder.gate = asyncio.Event()

    bench.recorder.fail = wait_at_b
    assert bench.function is not None
    push = asyncio.ensure_future(bench.function.results(pushed(event)))
    await settle()
    bench.recorder.gate.set()
    await until(lambda: Progress(10, ("a",)) in bench.state.written, bench.clock)
    bench.recorder.gate.set()
    await until(push.done, bench.clock)
    assert bench.rows == [(11, "i", "a"), (11, "i", "b")]


async def test_a_failed_row_is_repeated_alone_with_backoff(bench: Bench) -> None:
    await bench.start("now")
    failures = iter([None] * 4)

    def fail(seen: Seen) -> None:
        if seen[3] == "b" and next(failures, 0) is None:
            raise DeliveryFailed("down", retryable=True, row_id="b")

    bench.recorder.fail = fail
    bench.clock.slept.clear()
    status = await bench.push(bench.query.change(add={"a": {}, "b": {}, "c": {}}))
    assert status == 503
    assert bench.standing()["failing"]
    assert bench.standing()["lastError"] == "down"
    assert await bench.state.get("q") == Progress(10, ("a",))
    await until(lambda: len(bench.rows) == 3, bench.clock)
    assert bench.rows == [(11, "i", "a"), (11, "i", "b"), (11, "i", "c")]
    assert [seconds for seconds in bench.clock.slept if seconds in (2.0, 4.0, 8.0)] == [2.0, 4.0, 8.0]
    await until(lambda: not bench.standing()["failing"], bench.clock)


async def test_what_the_target_asks_for_is_waited(bench: Bench) -> None:
    await bench.start("now")
    failures = iter([33.0])

    def fail(_seen: Seen) -> None:
        seconds = next(failures, None)
        if seconds is not None:
            raise DeliveryFailed("busy", retryable=True, row_id="a", retry_after_s=seconds)

    bench.recorder.fail = fail
    await bench.push(bench.query.change(add={"a": {}}))
    await until(lambda: bench.rows, bench.clock)
    assert 33.0 in bench.clock.slept


async def test_block_stops_one_query_alone_and_goes_on_when_it_works(clock: Clock) -> None:
    bench = Bench(clock, Query("q"), Query("other"))
    broken = True

    def fail(seen: Seen) -> None:
        if broken and seen[0] == "q":
            raise DeliveryFailed("400", retryable=False, row_id=seen[3])

    bench.recorder.fail = fail
    function = await bench.start("now")
    await bench.push(bench.query.change(add={"a": {}}))
    await until(lambda: "Blocked:q" in function.status()["messages"])
    bench.query.change(add={"b": {}})
    other = bench.reader.queries["other"]
    assert await bench.push(other.change(add={"z": {}})) == 204
    assert [seen[3] for seen in bench.recorder.seen] == ["z"]
    # What is blocked is not asked of the bus again: the tail has it.
    assert await bench.push(bench.query.change(add={"c": {}})) == 204
    await until(lambda: bench.standing()["behind"] == 3, clock)
    broken = False
    function.resume("q")
    await until(lambda: len(bench.rows) == 4)
    assert [seen[1:] for seen in bench.recorder.seen if seen[0] == "q"] == [(1, "i", "a"), (2, "i", "b"), (3, "i", "c")]
    await until(lambda: not function.status()["messages"])
    await bench.stop()


async def test_skip_records_the_row_and_goes_on(bench: Bench) -> None:
    def fail(seen: Seen) -> None:
        if seen[3] == "b":
            raise DeliveryFailed("down", retryable=True, row_id="b")

    bench.recorder.fail = fail
    function = await bench.start("now", {"attempts": 3, "then": "skip"})
    await bench.push(bench.query.change(add={"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}}))
    await until(lambda: len(bench.rows) == 2, bench.clock)
    await until(lambda: function.status()["queries"]["q"]["sequence"] == 11, bench.clock)
    (letter,) = await bench.state.dead_letters()
    assert (letter.id, letter.sequence, letter.row_id, letter.error) == ("r/q/11/b", 11, "b", "down")
    assert b'"addedResults":[{"n":2}]' in bytes(letter.event)
    assert function.status()["deadLetters"] == 1
    assert "event" not in (await function.dead_letters())[0]


async def test_a_defect_of_the_kind_is_a_failure_of_the_event(bench: Bench) -> None:
    def fail(seen: Seen) -> None:
        if seen[1] == 11:
            raise KeyError("secret")

    bench.recorder.fail = fail
    function = await bench.start("now", {"then": "skip"})
    await bench.push(bench.query.change(add={"a": {}, "b": {}}))
    await bench.push(bench.query.change(add={"c": {}}))
    assert bench.rows == [(12, "i", "c")]
    assert function.status()["deadLetters"] == 2
    assert "secret" not in str(bench.standing())


async def test_killed_between_confirmation_and_state_the_row_comes_again_and_no_other(bench: Bench) -> None:
    function = await bench.start("now")
    event = bench.query.change(add={"a": {}, "b": {}})
    bench.state.broken = True
    assert await bench.push(event) == 503
    await until(lambda: "StateUnavailable:q" in function.status()["messages"], bench.clock)
    assert "free some space" in function.status()["messages"]["StateUnavailable:q"]
    assert bench.rows == [(11, "i", "a"), (11, "i", "b")]
    await bench.stop()
    bench.state.broken = False
    await bench.start("now")
    await until(lambda: len(bench.rows) == 4)
    bench.query.change(add={"c": {}})
    await until(lambda: len(bench.rows) == 5, bench.clock)
    assert bench.rows[2:] == [(11, "i", "a"), (11, "i", "b"), (12, "i", "c")]


async def test_a_state_that_cannot_be_written_for_a_while_repeats_nothing(bench: Bench) -> None:
    await bench.start("now")
    bench.state.broken = True
    await bench.push(bench.query.change(add={"a": {}}))
    bench.state.broken = False
    await until(lambda: bench.state.written[-1] == Progress(11), bench.clock)
    assert bench.rows == [(11, "i", "a")]


async def test_the_state_of_another_instance_counts(bench: Bench) -> None:
    await bench.start("now")
    for number in range(5):
        bench.query.change(add={f"r{number}": {}})
    await bench.state.put("q", Progress(14), expected=Progress(10))
    with pytest.raises(StateConflict):
        await bench.state.put("q", Progress(15), expected=Progress(10))
    assert bench.function is not None
    push = asyncio.ensure_future(bench.function.results(pushed(*bench.query.tail[:1])))
    await until(lambda: (11, "i", "r0") in bench.rows, bench.clock)
    await until(lambda: bench.standing()["sequence"] == 15, bench.clock)
    await until(push.done, bench.clock)
    assert bench.rows == [(11, "i", "r0"), (15, "i", "r4")]


async def test_a_result_half_delivered_is_finished_as_it_was(bench: Bench) -> None:
    """Stopped in the middle of the current rows, the reaction goes on with the same rows, although the query has moved on."""
    bench.query.rows = {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}, "d": {"n": 4}}

    def fail(seen: Seen) -> None:
        if seen[3] == "c":
            raise DeliveryFailed("down", retryable=True, row_id="c")

    bench.recorder.fail = fail
    await bench.start()
    await until(lambda: bench.standing()["failing"])
    await bench.stop()
    assert await bench.state.get("q") == Progress(10, ("a", "b"), "snapshot")
    bench.query.change(add={"e": {"n": 5}}, update={"c": {"n": 33}}, delete=("d",))
    bench.recorder.fail = lambda _seen: None
    await bench.start()
    await until(lambda: len(bench.rows) == 7)
    assert bench.rows == [
        (10, "i", "a"),
        (10, "i", "b"),
        (10, "i", "c"),
        (10, "i", "d"),
        (11, "d", "d"),
        (11, "u", "c"),
        (11, "i", "e"),
    ]


async def test_trimmed_events_lead_to_the_result_again(bench: Bench) -> None:
    function = await bench.start("snapshot")
    await bench.push(bench.query.change(add={"a": {}}))
    await bench.stop()
    for number in range(5):
        bench.query.change(add={f"r{number}": {}})
    bench.query.trim(14)
    function = await bench.start("snapshot")
    await until(lambda: len(bench.rows) == 7, bench.clock)
    assert bench.rows[1:] == [(16, "i", row) for row in ("a", "r0", "r1", "r2", "r3", "r4")]
    assert "were trimmed" in function.status()["messages"]["Gone:q"]


async def test_rows_of_a_bootstrap_are_added_rows_or_left_out_with_start_now(clock: Clock) -> None:
    for start, expected in (("snapshot", [(12, "i", "a"), (14, "i", "b")]), ("now", [(14, "i", "b")])):
        bench = Bench(clock, Query("q", sequence=10))
        bench.query.control("bootstrapStarted")
        await bench.start(start)
        await bench.push(bench.query.change(add={"a": {}}))
        await bench.stop()
        await bench.start(start)
        await bench.push(bench.query.control("bootstrapCompleted"), bench.query.change(add={"b": {}}))
        assert bench.rows == expected
        assert ("q", 13, "x", "bootstrapCompleted") in bench.recorder.seen
        await bench.stop()


async def test_a_bootstrap_may_jump_forward(bench: Bench) -> None:
    await bench.start("now")
    assert await bench.push(bench.query.control("bootstrapStarted", jump=100), bench.query.control("bootstrapCompleted")) == 204
    assert await bench.push(bench.query.change(add={"a": {}})) == 204
    assert bench.rows == [(113, "i", "a")]


async def test_a_query_that_comes_later_is_waited_for(clock: Clock) -> None:
    bench = Bench(clock, Query("q"))
    query = bench.reader.queries.pop("q")
    bench.reader.queries = {}
    function = ReactionFunction(
        "r", bench.recorder.kind(), {}, {"q": None}, reader=bench.reader, state=bench.state, timing=clock.timing()
    )  # fmt: skip
    await function.start()
    await until(lambda: "MissingQuery:q" in function.status()["messages"])
    query.rows = {"a": {}}
    bench.reader.queries = {"q": query}
    await until(lambda: bench.rows, clock)
    await until(lambda: not function.status()["messages"], clock)
    await function.close()


async def test_a_removed_query_loses_its_state(bench: Bench) -> None:
    await bench.state.put("old", Progress(5), expected=None)
    function = await bench.start()
    assert await bench.state.queries() == ["q"]
    await bench.stop()
    await function.forget()
    assert await bench.state.queries() == []


async def test_close_finishes_the_event_under_way_and_leaves_nothing_running(bench: Bench) -> None:
    bench.recorder.gate = asyncio.Event()
    function = await bench.start("now")
    task = asyncio.ensure_future(function.results(pushed(bench.query.change(add={"a": {}}), bench.query.change(add={"b": {}}))))
    await settle()
    closing = asyncio.ensure_future(function.close())
    await settle()
    bench.recorder.gate.set()
    await closing
    assert await task == 503
    assert bench.rows == [(11, "i", "a")]
    assert await bench.state.get("q") == Progress(11)
    assert len(asyncio.all_tasks()) == 1


async def test_close_does_not_wait_for_ever(bench: Bench) -> None:
    bench.recorder.gate = asyncio.Event()
    function = await bench.start("now")
    task = asyncio.ensure_future(function.results(pushed(bench.query.change(add={"a": {}}))))
    await settle()
    await function.close(drain_s=0.01)
    assert await task == 503
    assert await bench.state.get("q") == Progress(10)
    assert len(asyncio.all_tasks()) == 1


async def test_pushed_events_are_bounded(bench: Bench) -> None:
    bench.recorder.gate = asyncio.Event()
    function = await bench.start("now")
    events: list[ChangeEvent] = [bench.query.change(add={f"r{number}": {}}) for number in range(5000)]
    tasks = [asyncio.ensure_future(function.results(pushed(*events[at : at + 100]))) for at in range(0, 5000, 100)]
    await settle()
    delivery = function._deliveries["q"]
    assert len(delivery._pushed) <= 2000
    bench.recorder.gate.set()
    await until(lambda: len(bench.rows) == 5000, bench.clock)
    assert [row[0] for row in bench.rows] == list(range(11, 5011))
    await until(lambda: all(task.done() for task in tasks), bench.clock)


async def test_who_is_behind_reads_the_tail_instead_of_waiting_for_push_after_push(bench: Bench) -> None:
    await bench.start()
    events = [bench.query.change(add={f"r{number}": {}}) for number in range(40)]
    bench.recorder.gate = asyncio.Event()
    assert bench.function is not None
    first = asyncio.ensure_future(bench.function.results(pushed(events[0])))
    await settle()
    # The delivery takes its time.
    bench.clock.advance(0.5)
    bench.recorder.gate.set()
    await until(first.done)
    reads, written = len(bench.query.reads), len(bench.state.written)
    second = asyncio.ensure_future(bench.function.results(pushed(events[1])))
    await until(second.done)
    assert (first.result(), second.result()) == (204, 204)
    assert [row for _, _, row in bench.rows] == [f"r{number}" for number in range(40)]
    assert len(bench.query.reads) == reads + 1
    assert len(bench.state.written) == written + 1
    # The pushes of what is done are acknowledged, and wake nobody.
    for event in events[2:]:
        assert await bench.function.results(pushed(event)) == 204
    await settle()
    assert (len(bench.query.reads), len(bench.state.written), len(bench.rows)) == (reads + 1, written + 1, 40)


async def test_who_keeps_up_reads_no_tail(bench: Bench) -> None:
    await bench.start()
    assert bench.function is not None
    reads = len(bench.query.reads)
    for number in range(5):
        task = asyncio.ensure_future(bench.function.results(pushed(bench.query.change(add={f"r{number}": {}}))))
        await until(task.done)
        bench.clock.advance(0.5)
    assert len(bench.query.reads) == reads
    assert len(bench.rows) == 5
