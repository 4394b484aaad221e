"""What a kind of source must do, and what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from starlette.routing import BaseRoute

from drasi.bus.endpoint import Endpoint
from drasi.errors import DrasiError
from drasi.messages.changes import Element, SourceChange


class StateConflict(DrasiError):
    """The stored value is not what the writer read: another instance was here first."""

    code = "StateConflict"
    retryable = True


class OriginUnavailable(DrasiError):
    """The origin cannot be reached, or not read, now."""

    code = "OriginUnavailable"
    retryable = True


class BadRequest(DrasiError):
    """A request that can never succeed; the message says what is wrong with it."""

    code = "BadRequest"


class State(Protocol):
    """A source's durable memory: small texts by name, each replaced only if it still is what the writer read."""

    async def get(self, name: str) -> str | None: ...

    async def put(self, name: str, value: str, *, expected: str | None) -> None:
        """Raises StateConflict if the stored value is not ``expected`` (None: absent), StateUnavailable (retryable)."""
        ...

    async def clear(self) -> None:
        """Forgets everything of this source (when it is deleted)."""
        ...


@dataclass(frozen=True, slots=True)
class Labels:
    """Node labels and relation types that some subscription wants; None: everything."""

    nodes: frozenset[str] | None = None
    relations: frozenset[str] | None = None


async def _nobody_to_ask(reason: str) -> None:
    return


@dataclass(slots=True)
class SourceContext:
    """What the source function gives to a kind.

    Attributes:
        id: The source's name.
        properties: Resolved (secrets in, defaults in), checked against the kind's schema.
        publish: Publishes changes of this source in order (batched and framed as wire.md section 1 says) and returns when the bus
            has acknowledged them.
        state: Position and other durable memory.
        wanted: The labels some subscription wants at this moment.
        report: Sets (or with None removes) a line of the status: ``report("PositionLost", "the slot is gone; …")``.
        dead_letter: Records a change that can never succeed: (position, content without secrets, error text).
        now_ns: The wall clock.
        schedule_s: How often a polled kind polls, in seconds; None: the kind's default.
        renew: Asks every container that reads this source to read its snapshot again (the reason, for the status). Returns when
            that is durably asked for.
        instance: Which of the function's instances this is; the same after a restart.
        waiting_bytes: How much waits to be published; a pushed kind refuses (429) when it is too much.
        push_endpoint: The endpoint at which Pub/Sub reaches one of this source's routes; None: nobody said where it can be reached.
        sleep: Waits; tests give another clock.
    """

    id: str
    properties: Mapping[str, Any]
    publish: Callable[[Sequence[SourceChange]], Awaitable[None]]
    state: State
    wanted: Callable[[], Labels]
    report: Callable[[str, str | None], None]
    dead_letter: Callable[[str, Mapping[str, Any], str], Awaitable[None]]
    now_ns: Callable[[], int]
    schedule_s: float | None = None
    renew: Callable[[str], Awaitable[None]] = _nobody_to_ask
    instance: str = "0"
    waiting_bytes: Callable[[], int] = int
    push_endpoint: Callable[[str], Endpoint] | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """``POST /acquire-stream``: empty labels on both sides mean everything."""

    nodes: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()
    limit: int | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """The position this part of the snapshot was read at: every change up to it is contained, none after it."""

    position: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class SnapshotEnd:
    """``cursor`` None: nothing follows."""

    count: int
    cursor: str | None = None


SnapshotLine = SnapshotHeader | Element | SnapshotEnd


class Source(Protocol):
    """One source of one kind.

    The source function calls ``start``, then ``run`` in a task, and answers ``/acquire-stream`` from ``snapshot`` at any time.
    Whatever fails is retried by the kind itself with backoff 1 s … 60 s and reported; ``run`` ends only when it is cancelled.
    """

    async def start(self) -> None:
        """Prepares the origin (slot, triggers). Raises DrasiError with what to do when that is impossible; retried."""
        ...

    async def run(self) -> None:
        """Reads changes after the stored position, publishes, stores the position, advances the origin; for ever."""
        ...

    def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        """Header, elements, end: a consistent snapshot, or the part of it after ``request.cursor``."""
        ...

    async def mark(self) -> SourceChange | None:
        """The marker behind a snapshot's last part (wire.md section 4): published with ``drasi-type: marker`` on the change topic.
        None: the kind has no stream to mark."""
        return None

    def routes(self) -> Sequence[BaseRoute]:
        """HTTP routes of a pushed kind, below ``/sources/{id}``; none for polled kinds."""
        return ()

    def wake(self) -> None:
        """Reads the origin now instead of at the next poll (``POST /``); nothing for pushed kinds."""
        return

    async def deprovision(self) -> None:
        """Removes everything it made in its origin. Called when the resource is deleted; retried until it succeeds."""
        return

    async def close(self) -> None:
        return


@runtime_checkable
class Signed(Protocol):
    """A source with routes that look at a signature of each request themselves: they need no token."""

    def signed(self) -> Collection[str]:
        """Those routes."""
        ...


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind as the registry knows it.

    Attributes:
        name: As manifests write it (``PostgreSQL``).
        aliases: Other spellings (``postgres``).
        schema: JSON Schema of ``spec.properties`` (ours; see resources.md section 4 for the keywords).
        make: Builds a source; None for kinds that are known by name only (``NoImplementation``).
        streams: False for pushed kinds without a snapshot of their own (bootstrap is empty).
        pushed: Events come by HTTP (or from the host program); a schedule means nothing.
        subscribes: It makes a subscription on Pub/Sub when it starts, and is started again when that came back empty.
        not_yet: Properties of the schema that this version does not build (``NotYet``).
        ignored: Properties that are accepted and mean nothing here (``IgnoredField``).
    """

    name: str
    aliases: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    make: Callable[[SourceContext], Source] | None = None
    streams: bool = True
    pushed: bool = False
    subscribes: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    not_yet: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
