"""The logic of the reaction function for one reaction, independent of the application around it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from starlette.routing import BaseRoute

from drasi import redaction
from drasi.errors import DrasiError
from drasi.messages.envelope import Message
from drasi.messages.reading import QueryReader
from drasi.messages.results import ChangeEvent, decode_events
from drasi.reactions.configuration import read
from drasi.reactions.delivery import OnFailure, QueryDelivery
from drasi.reactions.port import DeliveryFailed, Reaction, ReactionContext, ReactionKind
from drasi.reactions.state import ReactionState
from drasi.reactions.timing import Timing

logger = logging.getLogger(__name__)

PATIENCE_S = 10.0
"""How long a push waits for its events to be done before the bus is asked to bring it again."""
_LARGEST = 64 * 1024 * 1024


class NoImplementation(DrasiError):
    """A kind that is known by name only."""

    code: ClassVar[str] = "NoImplementation"


class ReactionFunction:
    """One reaction at work.

    Args:
        reaction_id: The resource's name.
        kind: From the registry; must have ``make``.
        properties: Resolved and checked.
        queries: ``spec.queries`` as written: text, mapping or None per query.
        reader: View and tail of the queries.
        state: This reaction's durable memory.
        start: ``snapshot``, ``now`` or ``{"sequence": n}`` (resources.md section 7).
        on_failure: ``{"attempts": int, "then": "block" | "skip"}``.

    Raises:
        NoImplementation: The kind is known by name only.
        ConfigurationError: A query's configuration cannot be read.
        DrasiError: The kind cannot work with its properties.
    """

    def __init__(
        self,
        reaction_id: str,
        kind: ReactionKind,
        properties: Mapping[str, Any],
        queries: Mapping[str, Any],
        *,
        reader: QueryReader,
        state: ReactionState,
        start: str | Mapping[str, int] = "snapshot",
        on_failure: Mapping[str, Any] | None = None,
        timing: Timing | None = None,
    ) -> None:
        if kind.make is None:
            raise NoImplementation(f"reactions of kind {kind.name} are not built in, and no package provides them")
        self.id = reaction_id
        self.kind = kind
        self._timing = timing or Timing()
        self._state = state
        self._messages: dict[str, str] = {}
        self._ready = False
        self._dead_letters = 0
        self._latest: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()
        parsed = {query_id: read(raw) for query_id, raw in queries.items()}
        given = ReactionContext(reaction_id, properties, parsed, reader, self._report, self._standings, self._leave_out)
        self._reaction: Reaction = kind.make(given)
        self._queries = tuple(parsed)
        self._deliveries: dict[str, QueryDelivery] = {}
        if self._reaction.delivers:
            self._deliveries = {
                query_id: QueryDelivery(
                    reaction_id,
                    query_id,
                    self._reaction.deliver,
                    reader,
                    state,
                    start=start,
                    on_failure=OnFailure.of(on_failure),
                    timing=self._timing,
                    report=self._report,
                    resync=getattr(self._reaction, "resync", None),
                )
                for query_id in parsed
            }

    def reads(self, path: str, query: bytes) -> Collection[str] | None:
        """The queries whose rows the answer to a path below the reaction may hold; None: all. Who asks needs their scopes."""
        of_kind = getattr(self._reaction, "reads", None)
        return None if of_kind is None else of_kind(path, query)

    async def start(self) -> None:
        """Reads the state and begins to deliver; what fails is retried and shown in the status."""
        if not await self._begin():
            self._tasks.append(asyncio.create_task(self._keep_beginning(), name=f"reaction {self.id}"))

    async def _begin(self) -> bool:
        try:
            for query_id in await self._state.queries():
                if query_id not in self._queries:
                    await self._forget(query_id)
            self._dead_letters = await self._state.count_dead_letters()
            await self._reaction.start()
        except DrasiError as error:
            self._report("Start", error.message + (f"; {error.hint}" if error.hint else ""))
            return False
        except Exception as error:
            logger.exception("reaction %s cannot start; it is tried again", self.id)
            self._report("Start", f"{type(error).__name__} (see the log)")
            return False
        self._report("Start", None)
        self._ready = True
        for query_id, delivery in self._deliveries.items():
            self._tasks.append(asyncio.create_task(delivery.run(), name=f"reaction {self.id} on {query_id}"))
        return True

    async def _keep_beginning(self) -> None:
        attempt = 1
        while not await self._timing.wait(self._closing, self._timing.backoff(attempt)):
            if await self._begin():
                return
            attempt += 1

    async def results(self, message: Message) -> int:
        """Takes one message of ``{query}-results``; answers the HTTP status for the bus.

        Pushes are wake-ups: what cannot be read, or never arrives, is fetched from the query's tail.
        """
        query_id = message.attributes.get("query") or message.ordering_key
        if self._closing.is_set() or not self._ready:
            return 503
        try:
            data = _plain(message)
            last = int(message.attributes.get("lastSequence") or 0)
            if not query_id:
                query_id = msgspec.json.decode(data, type=list[_Named])[0].queryId
        except (ValueError, IndexError, msgspec.MsgspecError):
            logger.warning(
                "reaction %s: a message of query '%s' cannot be read; the query's tail is read instead", self.id, query_id
            )
            data, last = b"[]", 0
        if query_id not in self._queries:
            return 204
        self._latest[query_id] = max(self._latest.get(query_id, 0), last)
        delivery = self._deliveries.get(query_id)
        if delivery is None:
            self._reaction.notice(query_id, data)
            return 204
        try:
            # An event by reference has no rows in the message.
            events = [] if b'"reference"' in data and _has_reference(data) else decode_events(data)
        except msgspec.MsgspecError:
            logger.warning("reaction %s: events of query '%s' cannot be read; the query's tail is read instead", self.id, query_id)
            events = []
        delivery.push(events)
        last = max([last, *(event.sequence for event in events)])
        return 204 if await delivery.reached(last, PATIENCE_S) else 503

    def routes(self) -> Sequence[BaseRoute]:
        """The kind's own routes, below ``/reactions/{id}``."""
        return self._reaction.routes()

    def status(self) -> dict[str, Any]:
        """``available``, ``messages``, ``queries`` {id: {sequence, behind, failing, lastError}}, ``deadLetters``, ``warnings``."""
        given_up = sum(delivery.standing.dead_letters for delivery in self._deliveries.values())
        return {
            "available": self._ready and not self._closing.is_set(),
            "messages": dict(self._messages),
            "queries": dict(self._standings()),
            "deadLetters": self._dead_letters + given_up,
            "warnings": [],
        }

    async def _leave_out(self, event: ChangeEvent, failed: DeliveryFailed) -> bool:
        return await self._deliveries[event.queryId].leave_out(event, failed)

    def _standings(self) -> Mapping[str, Any]:
        if self._reaction.delivers:
            return {query_id: delivery.standing.public() for query_id, delivery in self._deliveries.items()}
        quiet = {"behind": 0, "failing": False, "lastError": None}
        return {query_id: {"sequence": self._latest.get(query_id, 0), **quiet} for query_id in self._queries}

    def _report(self, name: str, text: str | None) -> None:
        if text is None:
            self._messages.pop(name, None)
        else:
            self._messages[name] = redaction.clean(text)

    async def dead_letters(self) -> list[dict[str, Any]]:
        """Without rows, oldest first."""
        return [letter.summary() for letter in await self._state.dead_letters()]

    def resume(self, query_id: str | None = None) -> None:
        """Tries again at once what is blocked or waiting: of one query, or of all."""
        for name, delivery in self._deliveries.items():
            if query_id in (None, name):
                delivery.resume()

    async def close(self, drain_s: float = 10.0) -> None:
        """Finishes the events under way, writes the state, stops. Nothing is left running."""
        self._closing.set()
        for delivery in self._deliveries.values():
            delivery.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=drain_s)
            for task in late:
                task.cancel()
            for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    logger.error("reaction %s: a delivery ended with %s", self.id, outcome)
            self._tasks.clear()
        await self._reaction.close()

    async def forget(self) -> None:
        """Drops the reaction's state; it was deleted. Call after ``close``."""
        for query_id in sorted({*self._queries, *await self._state.queries()}):
            await self._forget(query_id)

    async def _forget(self, query_id: str) -> None:
        of_kind = getattr(self._reaction, "forget", None)
        if of_kind is not None:
            try:
                await of_kind(query_id)
            except DrasiError as error:
                logger.warning("reaction %s: its target keeps a note of query '%s': %s", self.id, query_id, error.message)
        await self._state.forget(query_id)


class _Named(msgspec.Struct):
    queryId: str  # noqa: N815 -- the wire's name


class _Referenced(msgspec.Struct):
    reference: str | None = None


def _has_reference(data: bytes) -> bool:
    return any(item.reference is not None for item in msgspec.json.decode(data, type=list[_Referenced]))


def _plain(message: Message) -> bytes:
    """The JSON array of a message: decompressed, and a single event (Drasi's form) made an array."""
    data = message.data
    if message.attributes.get("drasi-encoding") == "zstd":
        import zstandard

        try:
            with zstandard.ZstdDecompressor().stream_reader(data) as stream:
                data = stream.read(_LARGEST + 1)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
        if len(data) > _LARGEST:
            raise ValueError("the message is too large")
    return b"[" + data + b"]" if data.lstrip()[:1] == b"{" else data
