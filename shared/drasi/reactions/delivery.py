"""The deliveries of one query to one reaction: in order, none missed, each row until the target has confirmed it.

What is kept (wire.md section 8): the last event done, and the rows done of the next one. Pushed events only wake the loop and save
a read; the query's tail is the truth, and what is missing is read from there. The state is written behind the confirmations, so a
crash repeats at most the rows confirmed since the last write, under the same idempotency keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from drasi import redaction
from drasi.errors import DrasiError
from drasi.messages.reading import Gone, QueryNotFound, QueryReader, View
from drasi.messages.results import ChangeEvent, ControlEvent, ResultEvent
from drasi.reactions.port import Confirm, DeliveryFailed
from drasi.reactions.rewind import rewind
from drasi.reactions.rows import alone, idempotency_key, row_changes
from drasi.reactions.state import DeadLetter, Progress, ReactionState, StateConflict
from drasi.reactions.timing import LONGEST_S, Timing

logger = logging.getLogger(__name__)

READ = 500
"""Events per read of the tail, rows per part of a result."""
BUFFER = 2000
"""Pushed events held; more are dropped, and read from the tail."""
SAVE_EVERY_S = 1.0
CONFIRM_TAIL_S = 1.0
"""Silence after pushed events until the tail is asked once whether a push was lost."""


class Deliver(Protocol):
    def __call__(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class OnFailure:
    """After how many attempts a row is given up, and what then (resources.md section 7)."""

    attempts: int = 10
    then: str = "block"

    @classmethod
    def of(cls, value: Mapping[str, Any] | None) -> OnFailure:
        value = value or {}
        return cls(max(1, int(value.get("attempts", 10))), str(value.get("then", "block")))


@dataclass(slots=True)
class Standing:
    """What the status says of a query's deliveries."""

    sequence: int = 0
    latest: int = 0
    failing: bool = False
    blocked: bool = False
    last_error: str | None = None
    dead_letters: int = 0

    @property
    def behind(self) -> int:
        return max(0, self.latest - self.sequence)

    def public(self) -> dict[str, Any]:
        return {"sequence": self.sequence, "behind": self.behind, "failing": self.failing, "lastError": self.last_error}


class _Closing(Exception):
    """The loop ends: everything done is written."""


@dataclass(slots=True)
class _Work:
    """What is done, ahead of what is stored."""

    sequence: int
    phase: Any
    after: str
    done: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, progress: Progress) -> _Work:
        return cls(progress.sequence, progress.phase, progress.after, dict.fromkeys(progress.done))

    def progress(self) -> Progress:
        return Progress(self.sequence, tuple(self.done), self.phase, self.after)


class QueryDelivery:
    """The loop of one query; ``run`` it in a task.

    Args:
        deliver: The kind's.
        report: Sets or removes a line of the reaction's status.
        resync: Of a kind that keeps a copy of the result: makes the copy anew, instead of deliveries of all its rows.
    """

    def __init__(
        self,
        reaction_id: str,
        query_id: str,
        deliver: Deliver,
        reader: QueryReader,
        state: ReactionState,
        *,
        start: str | Mapping[str, int],
        on_failure: OnFailure,
        timing: Timing,
        report: Callable[[str, str | None], None],
        resync: Callable[[str], Awaitable[int]] | None = None,
    ) -> None:
        self.query_id = query_id
        self._resync = resync
        self.standing = Standing()
        self._reaction_id = reaction_id
        self._deliver = deliver
        self._reader = reader
        self._state = state
        self._start = start
        self._on_failure = on_failure
        self._timing = timing
        self._report = report
        self._pushed: deque[ResultEvent] = deque()
        self._pending = asyncio.Event()
        self._wake = asyncio.Event()
        self._closing = False
        self._changed = asyncio.Event()
        self._stored: Progress | None = None
        self._work = _Work(0, "live", "")
        self._saved_at = 0.0
        self._view: View | None = None
        self._failures = 0
        self._troubles: set[str] = set()

    # What the function calls.

    def push(self, events: Iterable[ResultEvent]) -> None:
        """Takes events that were pushed, in order; or none, as a bare wake-up."""
        events = list(events)
        if events and events[-1].sequence <= self._work.sequence:
            # Done already: nobody needs to wake up.
            return
        for event in events:
            self.standing.latest = max(self.standing.latest, event.sequence)
            if len(self._pushed) >= BUFFER:
                self._pushed.clear()
            self._pushed.append(event)
        self._pending.set()

    def resume(self) -> None:
        """Tries at once what waits for its next attempt."""
        self._wake.set()
        self._pending.set()

    async def reached(self, sequence: int, patience_s: float) -> bool:
        """Whether everything up to ``sequence`` is done and stored; waits for it while that can come about by waiting."""
        deadline = self._timing.monotonic() + patience_s
        while (self._stored is None or self._stored.phase == "snapshot" or self._stored.sequence < sequence) and not self._closing:
            left = deadline - self._timing.monotonic()
            if self.standing.blocked:
                # The loop and the tail go on by themselves: a redelivery of this push would bring nothing.
                return True
            if self.standing.failing or left <= 0:
                return False
            self._changed.clear()
            await self._timing.wait(self._changed, left)
        return self._stored is not None and self._stored.sequence >= sequence

    def close(self) -> None:
        """Asks the loop to end behind the event under way."""
        self._closing = True
        self.resume()
        self._changed.set()

    # The loop.

    async def run(self) -> None:
        while not self._closing:
            try:
                await self._restore()
                await self._follow()
            except _Closing:
                return
            except StateConflict:
                # Another instance delivers too: its state counts.
                self._stored = None
                self._pushed.clear()
            except Gone as gone:
                if await self._lost(gone):
                    continue
            except DrasiError as error:
                self._fails(error.message)
                name = "MissingQuery" if isinstance(error, QueryNotFound) else error.code
                self._trouble(name, error.message + (f"; {error.hint}" if error.hint else ""))
            except Exception as error:
                logger.exception(
                    "deliveries of query %s to reaction %s failed; they are tried again", self.query_id, self._reaction_id
                )
                self._fails(f"{type(error).__name__} (see the log)")
            self._failures += 1
            with contextlib.suppress(_Closing):
                await self._pause(self._timing.backoff(self._failures))

    async def _restore(self) -> None:
        stored = await self._state.get(self.query_id)
        if stored is not None and self._stored is not None and stored in (self._stored, self._work.progress()):
            # Nobody else wrote: what is done in memory stays done.
            self._stored = stored
            await self._save()
            return
        if stored is None:
            stored = await self._begin()
            await self._state.put(self.query_id, stored, expected=None)
        self._stored = stored
        self._work = _Work.of(stored)
        self._saved_at = self._timing.monotonic()
        self._moved()

    async def _begin(self) -> Progress:
        if isinstance(self._start, Mapping):
            return Progress(int(self._start["sequence"]))
        view = await self._reader.view(self.query_id)
        self.standing.latest = max(self.standing.latest, view.sequence)
        if self._start == "now":
            return Progress(view.sequence, phase="skip" if view.state == "bootstrapping" else "live")
        self._view = view
        return Progress(view.sequence, phase="snapshot")

    async def _follow(self) -> None:
        if self._work.phase == "snapshot":
            await self._snapshot()
        behind = False
        while True:
            self._pending.clear()
            self._check_closing()
            began = self._timing.monotonic()
            pushed = [] if behind else self._take()
            batch = pushed or await self._reader.read_events(self.query_id, self._work.sequence, READ)
            try:
                for event in batch:
                    self._check_closing()
                    await self._event(event)
            finally:
                await self._save()
            self._works()
            while self._pushed and self._pushed[0].sequence <= self._work.sequence:
                self._pushed.popleft()
            behind = False
            if pushed and not self._pushed:
                # Most often nothing follows; if the push of what does was lost, the tail is asked after this silence.
                done = self._timing.monotonic()
                heard = await self._timing.wait(self._pending, CONFIRM_TAIL_S)
                # Pushes come one by one. Where the next one waited already, the tail has it and all behind it.
                behind = heard and self._timing.monotonic() - done < done - began
            elif len(batch) < READ and not self._pushed:
                await self._timing.wait(self._pending, LONGEST_S)
            self._check_closing()

    def _take(self) -> list[ResultEvent]:
        """The pushed events that follow the last one done, as far as there is no gap."""
        batch: list[ResultEvent] = []
        last = self._work.sequence
        while self._pushed:
            event = self._pushed[0]
            if event.sequence > last + 1 and not _may_jump(event):
                if not batch:
                    # The tail has what is missing, and these too.
                    self._pushed.clear()
                break
            self._pushed.popleft()
            if event.sequence > last:
                batch.append(event)
                last = event.sequence
        return batch

    async def _event(self, event: ResultEvent) -> None:
        work = self._work
        if event.sequence <= work.sequence:
            return
        if event.sequence != work.sequence + 1 and not _may_jump(event):
            raise Gone(work.sequence, event.sequence, event.sequence)
        self.standing.latest = max(self.standing.latest, event.sequence)
        phase = work.phase
        if isinstance(event, ControlEvent):
            signal = event.controlSignal.kind
            if signal == "bootstrapStarted" and self._start == "now":
                phase = "skip"
            elif signal in ("bootstrapCompleted", "running", "deleted"):
                phase = "live"
            await self._attempt(event)
        elif work.phase != "skip":
            await self._attempt(event)
        self._work = _Work(event.sequence, phase, "")
        self.standing.sequence = event.sequence
        await self._save_if_due()

    async def _snapshot(self) -> None:
        """Delivers the rows of the result at the stored sequence as added, whatever came since."""
        if self._resync is not None:
            self._view = None
            self._work = _Work(await self._resync(self.query_id), "live", "")
            await self._save()
            return
        work = self._work
        view = self._view or await self._reader.view(self.query_id)
        self._view = None
        self.standing.latest = max(self.standing.latest, view.sequence)
        rows = await rewind(self._reader, self.query_id, view, work.sequence)
        rows = sorted((row for row in rows if row.row_id > work.after), key=lambda row: row.row_id)
        for start in range(0, len(rows), READ):
            part = rows[start : start + READ]
            event = ChangeEvent(
                self.query_id,
                work.sequence,
                view.timestamp,
                addedResults=[row.data for row in part],
                addedRowIds=[row.row_id for row in part],
            )
            try:
                await self._attempt(event)
                self._work = _Work(work.sequence, "snapshot", part[-1].row_id)
            finally:
                await self._save()
            self._check_closing()
        self._work = _Work(work.sequence, "skip" if view.state == "bootstrapping" and self._start == "now" else "live", "")
        await self._save()

    async def _lost(self, gone: Gone) -> bool:
        """The events wanted next are trimmed: reads the result again, unless the user named the event to start behind."""
        stored = self._stored
        if stored is None:
            return False
        if isinstance(self._start, Mapping) and stored == Progress(int(self._start["sequence"])):
            hint = f"apply the reaction with start: snapshot, or a sequence of at least {gone.earliest - 1}"
            self._fails(gone.message)
            self._trouble("Gone", f"{gone.message}; {hint}")
            return False
        try:
            view = await self._reader.view(self.query_id)
            if self._start == "now":
                progress = Progress(view.sequence, phase="skip" if view.state == "bootstrapping" else "live")
                what = f"deliveries of '{self.query_id}' go on behind {view.sequence}"
            else:
                progress = Progress(view.sequence, phase="snapshot")
                what = f"the result of '{self.query_id}' at {view.sequence} is delivered instead"
                self._view = view
            await self._state.put(self.query_id, progress, expected=stored)
        except DrasiError as error:
            self._fails(error.message)
            return False
        logger.warning("reaction %s: %s; %s", self._reaction_id, gone.message, what)
        self._report(f"Gone:{self.query_id}", f"events after {gone.requested} were trimmed before they were delivered; {what}")
        return True

    # One event.

    async def _attempt(self, event: ResultEvent) -> None:
        """Delivers until every row is done or given up."""
        failures: dict[str | None, int] = {}
        while True:
            failed = await self._once(event)
            if failed is None:
                self._works()
                return
            row = failed.row_id
            count = failures[row] = failures.get(row, 0) + 1
            self._fails(failed.message)
            await self._save()
            if failed.retryable and count < self._on_failure.attempts:
                await self._pause(max(self._timing.backoff(count), failed.retry_after_s or 0.0))
            elif self._on_failure.then == "skip":
                given_up = await self._give_up(event, failed)
                if row is None:
                    return
                if not given_up:  # a row that is not of this event
                    await self._pause(self._timing.backoff(count))
            else:
                self._blocks(event, failed)
                await self._pause(LONGEST_S)
                await self._look_ahead()

    async def _once(self, event: ResultEvent) -> DeliveryFailed | None:
        """One attempt. Rows confirmed meanwhile are stored every second."""
        done = self._work.done

        def confirm(row_id: str) -> None:
            done[row_id] = None

        task: asyncio.Future[None] = asyncio.ensure_future(self._deliver(self.query_id, event, done.keys(), confirm))
        try:
            while not await self._timing.first(task, SAVE_EVERY_S):
                await self._save_if_due()
            task.result()
        except DeliveryFailed as failed:
            return failed
        except StateConflict:
            raise
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A defect of the kind, or of what it was given: the same again would fail again.
            logger.exception("reaction %s cannot deliver event %d of query %s", self._reaction_id, event.sequence, self.query_id)
            return DeliveryFailed(f"{type(error).__name__} while delivering (see the log)", retryable=False)
        finally:
            # Also of one that is done: whoever closes meanwhile leaves its failure unread.
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return None

    async def leave_out(self, event: ChangeEvent, failed: DeliveryFailed) -> bool:
        """Gives up a row of a copy of the result, if such rows are to be given up; says whether."""
        if self._on_failure.then != "skip" or failed.retryable:
            return False
        if failed.row_id not in self._work.done:
            await self._bury(event, failed)
        return True

    async def _give_up(self, event: ResultEvent, failed: DeliveryFailed) -> bool:
        """Whether there was anything to give up."""
        letters = 0 if isinstance(event, ControlEvent) else await self._bury(event, failed)
        await self._save()
        return letters > 0

    async def _bury(self, event: ChangeEvent, failed: DeliveryFailed) -> int:
        """Makes dead letters of the row that failed, or of all that are left; how many."""
        letters = 0
        for change in row_changes(event):
            if change.row_id in self._work.done or failed.row_id not in (None, change.row_id):
                continue
            letter = DeadLetter(
                id=idempotency_key(self._reaction_id, self.query_id, event.sequence, change.row_id),
                query_id=self.query_id,
                sequence=event.sequence,
                row_id=change.row_id,
                event=msgspec.Raw(alone(event, change)),
                error=redaction.clean(failed.message),
                at_ms=self._timing.now_ms(),
            )
            await self._state.add_dead_letter(letter)
            letters += 1
            self.standing.dead_letters += 1
            self._work.done[change.row_id] = None
        logger.warning(
            "reaction %s gave up on row(s) of event %d of query %s: %s",
            self._reaction_id,
            event.sequence,
            self.query_id,
            failed.message,
        )
        return letters

    def _blocks(self, event: ResultEvent, failed: DeliveryFailed) -> None:
        self.standing.blocked = True
        hint = failed.hint or "put it right; it is tried again every minute. onFailure: {then: skip} would give such rows up"
        what = f"deliveries of '{self.query_id}' stopped at event {event.sequence}: {failed.message}; {hint}"
        self._trouble("Blocked", what)
        logger.error("reaction %s: %s", self._reaction_id, what)
        self._changed.set()

    async def _look_ahead(self) -> None:
        """How far the query is meanwhile, for the status."""
        try:
            events = await self._reader.read_events(self.query_id, max(self.standing.latest, self._work.sequence), READ)
        except DrasiError:
            return
        if events:
            self.standing.latest = max(self.standing.latest, events[-1].sequence)

    # State and status.

    async def _save_if_due(self) -> None:
        if self._timing.monotonic() - self._saved_at >= SAVE_EVERY_S:
            await self._save()

    async def _save(self) -> None:
        progress = self._work.progress()
        if progress == self._stored or self._stored is None:
            return
        await self._state.put(self.query_id, progress, expected=self._stored)
        self._stored = progress
        self._saved_at = self._timing.monotonic()
        self._moved()

    def _moved(self) -> None:
        self.standing.sequence = self._work.sequence
        self.standing.latest = max(self.standing.latest, self._work.sequence)
        self._changed.set()

    def _fails(self, message: str) -> None:
        self.standing.failing = True
        self.standing.last_error = redaction.clean(message)
        self._changed.set()

    def _works(self) -> None:
        self._failures = 0
        self.standing.failing = self.standing.blocked = False
        while self._troubles:
            self._report(self._troubles.pop(), None)

    def _trouble(self, name: str, text: str) -> None:
        """A line of the status that goes when deliveries work again."""
        key = f"{name}:{self.query_id}"
        self._troubles.add(key)
        self._report(key, text)

    def _check_closing(self) -> None:
        if self._closing:
            raise _Closing

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        if not self._closing:
            await self._timing.wait(self._wake, seconds)
        self._check_closing()


def _may_jump(event: ResultEvent) -> bool:
    """Only a first bootstrap may leave sequences out."""
    return isinstance(event, ControlEvent) and event.controlSignal.kind == "bootstrapStarted"


__all__ = ["OnFailure", "QueryDelivery", "Standing"]
