"""A query container: one state machine over one log, and what serves it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import zstandard

from drasi.bus.port import Bus
from drasi.container import status
from drasi.container.bootstrap import Bootstraps
from drasi.container.entry import (
    SEMANTIC_VERSION,
    AnyItem,
    Changes,
    Configure,
    Discard,
    Forget,
    Marker,
    Order,
    Ordered,
    Remove,
    Renew,
    Replay,
    Reread,
    Start,
    Stop,
    Tick,
    Unreadable,
    Upgrade,
)
from drasi.container.labels import NOTHING
from drasi.container.machine import Machine
from drasi.container.port import SnapshotReader
from drasi.container.publisher import Publisher, letter_document
from drasi.container.query import Query
from drasi.container.ring import Ring
from drasi.container.settings import Settings
from drasi.container.snapshot import Snapshots
from drasi.container.state import Outcome
from drasi.container.tail import Tail, is_deleted
from drasi.container.writer import BUSY, DONE, LATER, Writer
from drasi.engine.engine import explained
from drasi.errors import DrasiError
from drasi.log.port import Log
from drasi.messages import control as control_messages
from drasi.messages.changes import decode_changes
from drasi.messages.control import ControlMessage
from drasi.messages.envelope import Message
from drasi.messages.reading import QueryNotFound, QueryUnavailable, View, ViewRow
from drasi.messages.results import ResultEvent, decode_event
from drasi.values import to_wire

_log = logging.getLogger(__name__)
_STATES = {"running": "running", "bootstrapping": "bootstrapping", "stopped": "stopped", "failed": "stopped"}
_PAGE = 500
_FOLLOW_S = 5.0
_ANSWER_S = 1.0


class Container:
    """Keeps the answers of continuous queries, exactly, over one log.

    Any number of instances may run on one log, in this process or in others.

    Args:
        name: The container's id; its control topic is ``{name}-control``.
        log: This instance's handle of the log. The container closes it.
        bus: Result events are published on it.
        snapshots: Reads the sources.
        clock: Nanoseconds since the epoch; gives entries their instant, and nothing else.
        sleep: Waits between attempts; tests give another.
        instance: Name of this instance, for people who read the log.
    """

    def __init__(
        self,
        name: str,
        log: Log,
        bus: Bus,
        snapshots: SnapshotReader,
        *,
        clock: Callable[[], int] = time.time_ns,
        settings: Settings | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        instance: str | None = None,
    ) -> None:
        self.name = name
        self.instance = instance or f"{name}-{os.getpid()}-{os.urandom(4).hex()}"
        self._log = log
        self._clock = clock
        self._settings = settings or Settings()
        self._sleep = sleep
        self._ring = Ring(self._settings.ring_events, self._settings.ring_bytes)
        self._publisher = Publisher(bus, log, inline_bytes=self._settings.inline_bytes, sleep=sleep)
        self._kept = Snapshots(log, self._publisher, self._settings, self.instance)
        self._writer = Writer(
            log,
            Machine(self._settings),
            self._publisher,
            instance=self.instance,
            clock=clock,
            settings=self._settings,
            applied=self._applied,
            settled=self._settled,
            restore=self._restore,
        )
        self._bootstraps = Bootstraps(snapshots, self._writer.submit, lambda: self._machine, self._settings, sleep)
        self._tail = Tail(log, self._ring, lambda: self._machine, self._writer.catch_up)
        self._tasks: list[asyncio.Task[None]] = []
        self._writing: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._readers = 0
        self._looked = 0.0
        self._starting = asyncio.Lock()
        self._upgrading = asyncio.Lock()
        self._started = False
        self._closing = False
        self._dead = ""

    @property
    def _machine(self) -> Machine:
        return self._writer.machine

    # --- life ---

    async def start(self) -> None:
        """Restores the state (newest snapshot, then the log), publishes what may be unpublished, and begins to accept.

        May be called again after it failed, and changes nothing once it succeeded.

        Raises:
            LogUnavailable: The log cannot be read now.
            LogDamaged: It cannot be read at all.
            NewerEntry: A newer release is at work on it.
        """
        async with self._starting:
            if self._started:
                return
            self._writer.machine = await self._restore()
            await self._writer.follow()
            self._publisher.push()
            self._tasks = [
                asyncio.create_task(self._publisher.run(), name=f"publisher of {self.name}"),
                asyncio.create_task(self._writer.run(), name=f"writer of {self.name}"),
            ]
            for task in self._tasks:
                task.add_done_callback(self._died)
            self._started = True
            self._settled()

    async def close(self) -> None:
        """Stops accepting, finishes what is committed (evaluation, publication), ends readers, closes the log."""
        if self._closing:
            return
        self._closing = True
        self._ring.wake()
        await self._bootstraps.close()
        await _cancelled(self._following)
        await _cancelled(self._writing)
        if self._started:
            publisher, writer = self._tasks
            self._writer.stop()
            await asyncio.wait([writer])
            # What cannot be published now is published by whoever restores.
            await self._publisher.drained()
            await _cancelled(publisher)
            self._writer.close()
        await self._log.close()

    def ready(self) -> bool:
        """Whether it has restored, accepts, and holds its log."""
        writer = self._writer
        if not self._started or self._closing or self._dead:
            return False
        return writer.newer is None and writer.problem is None and self._log.problem is None

    def _died(self, task: asyncio.Task[None]) -> None:
        """A task that runs for ever ended by a defect: nothing is accepted any more; what is committed is in the log."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._dead = f"{task.get_name()} ended by a defect: {type(error).__name__}: {error}"
            _log.error("container %s: %s", self.name, self._dead, exc_info=error)
            self._writer.abandon()

    async def _restore(self) -> Machine:
        self._ring.clear()
        return await self._kept.restore()

    def _applied(self, outcome: Outcome, size: int) -> None:
        self._ring.add(outcome.runs)
        self._kept.applied(size)

    def _settled(self) -> None:
        if not self._started or self._closing:
            return
        self._bootstraps.follow()
        if self._bootstraps.active:
            self._follow()
        if (self._writing is None or self._writing.done()) and self._kept.due(self._machine):
            self._writing = asyncio.create_task(self._snapshot(), name=f"snapshot of {self.name}")

    async def _snapshot(self) -> None:
        try:
            await self._kept.write(self._machine)
        except DrasiError:
            # Shown in the status; tried again when the log has grown once more.
            return

    # --- what comes in ---

    async def changes(self, message: Message) -> int:
        """Takes a message of a change topic (``drasi-type`` changes or marker).

        Returns:
            An HTTP status: 204 when it is committed and its results are published, or it is a duplicate or a recorded dead letter;
            429 or 503: deliver it again.
        """
        attributes = message.attributes
        source = attributes.get("source") or message.ordering_key
        data = message.data
        if attributes.get("drasi-encoding") == "zstd":
            try:
                data = zstandard.ZstdDecompressor().decompress(data)
            except zstandard.ZstdError as error:
                return await self._accept(Unreadable(source, data, f"the message cannot be decompressed: {error}"))
        if attributes.get("drasi-type") == "marker":
            return await self._accept(Marker(source, data))
        if self._started:
            self._bootstraps.wake(source)
            if self._seen(source, attributes.get("lastPosition"), data):
                return await self._again()
        return await self._accept(Changes(source, data, self._clock()))

    async def control(self, message: Message) -> int:
        """Takes a message of the control topic. The same answers."""
        item: AnyItem
        try:
            order = self._order(control_messages.decode(message.data))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            item = Unreadable(f"{self.name}-control", message.data, str(error))
        else:
            item = order
            # Only Pub/Sub brings again, behind later ones, what was acknowledged.
            if message.subscription and message.published_ns and not isinstance(order, Tick):
                item = Ordered(message.published_ns, message.message_id, order)
        return await self._accept(item)

    async def replay(self, dead_letter: str, *, force: bool = False) -> int:
        """Hands a dead letter to its place again: 204, 404, 409 (a later change of the element was applied), 503."""
        letter = self._machine.letters.get(dead_letter)
        if letter is None or letter.control:
            return 404
        content = await self._log.get(letter_document(dead_letter))
        if content is None:
            return 404
        return await self._accept(Replay(dead_letter, content, force))

    async def drop_dead_letter(self, dead_letter: str) -> int:
        if self._machine.letters.get(dead_letter) is None:
            return 404
        answer = await self._accept(Discard(dead_letter))
        if answer == DONE:
            await self._log.drop([letter_document(dead_letter)])
        return answer

    async def drop_source(self, source: str, *, elements: bool = True) -> int:
        """A source was deleted: its positions begin anew if it comes again; with ``elements`` everything of it goes, as one
        difference per query."""
        return await self._accept(Forget(source, elements))

    def wake(self, source: str) -> None:
        """The source is there now: queries that wait for it need not wait longer."""
        self._bootstraps.wake(source)

    async def _accept(self, item: AnyItem) -> int:
        if not self._started or self._closing or self._dead or self._writer.newer is not None:
            return LATER
        if self._writer.full:
            return BUSY
        if 0 < self._machine.version < SEMANTIC_VERSION:
            await self._upgrade()
        return await self._writer.submit(item)

    async def _upgrade(self) -> None:
        """Older releases wrote so far: from here on this one evaluates, from a snapshot of what the log gave under it."""
        async with self._upgrading:
            if self._machine.version >= SEMANTIC_VERSION:
                return
            if await self._writer.submit(Upgrade()) == DONE:
                await _cancelled(self._writing)
                await self._snapshot()

    def _seen(self, source: str, last: str | None, data: bytes) -> bool:
        """Whether every item of the message has been applied before: then nothing needs to be written."""
        if last is None:
            return False
        mark = self._machine.watermarks.position(source)
        if mark is None or last > mark:
            return False
        try:
            origins = [change.payload.source for change in decode_changes(data)]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        return all(
            origin.db == source and not origin.partition and origin.position is not None and origin.position <= mark
            for origin in origins
        )

    async def _again(self) -> int:
        """A duplicate: what may be unpublished is published, then it is acknowledged."""
        reached = asyncio.ensure_future(self._publisher.reached(self._publisher.push()))
        done, _ = await asyncio.wait([reached], timeout=self._settings.answer_s)
        if done:
            return DONE
        await _cancelled(reached)
        return LATER

    def _order(self, message: ControlMessage) -> Tick | Order:
        """A control message as an entry's item. Raises ValueError if something is missing."""
        if message.kind == "tick":
            if message.ts_ns is None:
                raise ValueError("tick: ts_ns is missing")
            return Tick(message.ts_ns)
        if message.kind == "forget":
            if not message.source:
                raise ValueError("forget: source is missing")
            return Forget(message.source, message.elements)
        if message.kind == "reread":
            if not message.source:
                raise ValueError("reread: source is missing")
            return Reread(message.source, message.reason or "")
        query = message.queryId
        if not query:
            raise ValueError(f"{message.kind}: queryId is missing")
        match message.kind:
            case "configure":
                if message.spec is None:
                    raise ValueError("configure: spec is missing")
                known = self._machine.queries.get(query)
                version = message.version if message.version is not None else (known.version if known is not None else 0) + 1
                first = max(1, message.sequenceFrom or 0)
                if not self._log.durable and known is None:
                    first = max(first, self._clock() // 1_000_000)
                return Configure(query, version, msgspec.json.encode(message.spec), first)
            case "delete":
                return Remove(query)
            case "start":
                return Start(query)
            case "stop":
                return Stop(query)
            case "bootstrap":
                return Renew(query, message.reason or "")

    # --- rows and events ---

    def queries(self) -> Sequence[str]:
        return list(self._machine.queries)

    async def refresh(self) -> None:
        """Reads what other instances have committed, if this one has not looked for ``follow_s``.

        One that is pushed nothing, and has no reader that follows, would else show what was long ago. A log that cannot be read now
        is shown in the status. Of one that does not answer nobody waits for the answer: they get what is known.
        """
        now = asyncio.get_running_loop().time()
        if not self._started or self._settings.follow_s is None or now - self._looked < self._settings.follow_s:
            return
        self._looked = now
        with contextlib.suppress(DrasiError, TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                await self._writer.catch_up()

    def view(self, query_id: str) -> View:
        """A query's rows right after one sequence.

        Raises:
            QueryNotFound, QueryUnavailable
        """
        query = self._query(query_id)
        rows: list[ViewRow] = []
        if query.state == "running" and query.group is not None:
            engine = self._machine.groups[query.group].engine
            rows = [ViewRow({name: to_wire(value) for name, value in row.items()}, row.id) for row in engine.rows(query_id)]
        elif query.frozen is not None:
            rows = [ViewRow(msgspec.json.decode(data), row_id) for row_id, data in query.frozen.items()]
        return View(query.sequence, query.timestamp, _STATES[query.state], rows)

    async def events(self, query_id: str, after: int) -> AsyncIterator[ResultEvent]:
        """Events after+1, after+2 … for ever, or to the event ``deleted``.

        Raises:
            Gone, QueryNotFound, QueryUnavailable
        """
        async for _, event in self.events_json(query_id, after):
            yield decode_event(event)

    async def events_json(self, query_id: str, after: int) -> AsyncIterator[tuple[int, bytes]]:
        """The same as (sequence, JSON text), without decoding."""
        self._available()
        self._readers += 1
        self._follow()
        try:
            while True:
                found = await self._tail.read(query_id, after, _PAGE)
                for sequence, event in found:
                    yield sequence, event
                    after = sequence
                    if is_deleted(event):
                        return
                if self._closing:
                    raise QueryUnavailable(f"container {self.name} is closing", hint="try again")
                if not found:
                    await self._ring.changed(query_id)
        finally:
            self._readers -= 1
            self._stop_following()

    async def read_events(self, query_id: str, after: int, limit: int) -> list[ResultEvent]:
        """The events there are after ``after``, at most ``limit``; returns at once. Same errors."""
        return [decode_event(event) for _, event in await self.read_events_json(query_id, after, limit)]

    async def read_events_json(self, query_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        self._available()
        return await self._tail.read(query_id, after, limit)

    def _follow(self) -> None:
        """A replica follows the log while it has readers, or waits for a marker that another instance may have got."""
        if self._settings.follow_s is not None and (self._following is None or self._following.done()):
            self._following = asyncio.create_task(self._follow_log(self._settings.follow_s), name=f"follower of {self.name}")

    def _stop_following(self) -> None:
        """Nobody reads any more: who only asked what there is costs no look at the log."""
        if not self._readers and not self._bootstraps.active and self._following is not None:
            self._following.cancel()
            self._following = None

    async def _follow_log(self, pause: float) -> None:
        while (self._readers or self._bootstraps.active) and not self._closing:
            # Who begins to read has just been shown what there is.
            await self._sleep(pause)
            number = self._machine.number
            try:
                # Not for ever: the last reader may have gone.
                await asyncio.wait_for(self._log.changed(number), _FOLLOW_S)
                if self._machine.number == number:
                    await self._writer.catch_up()
            except (DrasiError, TimeoutError):
                # Shown in the status; looked at again.
                pass

    # --- status ---

    def explain(self, query_id: str) -> str:
        """Plan and generated code of a running query. Raises QueryNotFound."""
        query = self._query(query_id)
        return explained(query.definition.compiled) if query.definition is not None else query.error

    def query_status(self, query_id: str) -> Mapping[str, Any]:
        """cli-and-api.md section 6, ContinuousQuery; raises QueryNotFound."""
        query = self._query(query_id)
        return status.query_status(self._machine, query, self._bootstraps.progress, self.name, self.instance)

    def status(self) -> Mapping[str, Any]:
        """cli-and-api.md section 6, QueryContainer."""
        machine = self._machine
        messages: dict[str, str] = {}
        for name, problem in (
            ("Log", self._writer.newer or self._writer.problem),
            ("Snapshot", self._kept.problem),
            ("Publication", self._publisher.problem),
        ):
            if problem is not None:
                messages[name] = f"{problem.message} ({problem.hint})" if problem.hint else problem.message
        if self._log.problem is not None:
            messages[self._log.problem.code] = f"{self._log.problem.message} ({self._log.problem.hint})"
        if machine.mismatches:
            last = machine.mismatches[-1]
            messages["ReplayMismatch"] = (
                f"{len(machine.mismatches)} runs of events are not what they were when first evaluated, "
                f"the last: {last.query}, {last.first} to {last.last} (they are answered 410)"
            )
        if self._dead:
            messages["Defect"] = f"{self._dead} (restart the process)"
        if not self._started:
            messages["Restoring"] = "the state is being restored"
        return {
            "available": self.ready(),
            "messages": messages,
            "instances": [self.instance],
            "entry": machine.number,
            "published": self._publisher.published,
            "snapshotEntry": self._kept.newest.number if self._kept.newest is not None else 0,
            "elements": sum(len(group.engine) for group in machine.groups.values()),
            "bytes": self._kept.written,
            "store": type(self._log).__name__.removesuffix("Log").lower(),
            "deadLetters": len(machine.letters) + machine.letters.dropped,
        }

    def row_errors(self, query_id: str) -> Sequence[Mapping[str, Any]]:
        return status.row_errors(self._machine, self._query(query_id))

    def dead_letters(self, source: str | None = None) -> Sequence[Mapping[str, Any]]:
        """``id``, ``source``, ``position``, ``at`` (RFC 3339), ``error``, ``entry``, ``size`` …; newest last."""
        return [status.dead_letter(letter) for letter in self._machine.letters if source is None or letter.source == source]

    def labels(self, source: str) -> tuple[frozenset[str] | None, frozenset[str] | None]:
        """Node labels and relation types that some query wants of a source; None: everything."""
        wanted = NOTHING
        for query in self._machine.queries.values():
            if query.definition is not None:
                wanted = wanted | query.definition.needs.get(source, NOTHING)
        return wanted.nodes, wanted.relations

    def _available(self) -> None:
        if not self._started or self._closing:
            raise QueryUnavailable(f"container {self.name} is {'closing' if self._closing else 'restoring'}", hint="try again")

    def _query(self, query_id: str) -> Query:
        self._available()
        query = self._machine.queries.get(query_id)
        if query is None:
            raise QueryNotFound(f"View `{query_id}` not found")
        return query


async def _cancelled(task: asyncio.Future[None] | None) -> None:
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task])
