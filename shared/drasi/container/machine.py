"""The state machine: entries in, events out.

``state(n+1), events(n+1) = step(state(n), entry(n+1))``. Nothing here does I/O, reads a clock or draws a random number; no result
depends on hash order. So the same entries give the same events, byte for byte, in every process, and whoever reads the log knows
what every other reader knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import zstandard

from drasi.container.entry import (
    AnyItem,
    Changes,
    Configure,
    Derived,
    Discard,
    Entry,
    Forget,
    Fragment,
    Marker,
    Ordered,
    Part,
    Remove,
    Renew,
    Replay,
    Reread,
    Start,
    Stop,
    Tick,
    Unreadable,
    Upgrade,
    decode_item,
    encode_item,
)
from drasi.container.intake import Intake
from drasi.container.lifecycle import Lifecycle
from drasi.container.settings import Settings
from drasi.container.state import Outcome, State
from drasi.engine import Engine

_CLOCK_AHEAD_MS = 300_000
"""A change's time counts for the clock at most this far beyond the entry's instant."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Events whose replay disagrees with what the log says they were."""

    query: str
    first: int
    last: int


class Machine(State):
    """A state, and how an entry changes it.

    Attributes:
        mismatches: Replays that disagreed with a digest of the log; no part of the state.
        evaluated, memories: Only while a snapshot is being loaded: per graph, its queries and what the engine remembered.
    """

    def __init__(self, settings: Settings | None = None, engine: Callable[[], Engine] = Engine) -> None:
        super().__init__(settings or Settings(), engine)
        self.mismatches: list[Mismatch] = []
        self.evaluated: dict[int, list[str]] = {}
        self.memories: dict[int, bytes] = {}
        self._intake = Intake(self)
        self._lifecycle = Lifecycle(self)

    def apply(self, number: int, entry: Entry) -> Outcome:
        """Evaluates the next entry."""
        if number != self.number + 1:
            raise ValueError(f"entry {number} does not follow entry {self.number}")
        outcome = self.outcome = Outcome(number)
        self.number = number
        self.at_ns = entry.at_ns
        self.at_ms = entry.at_ns // 1_000_000
        self.horizon_ms = self.at_ms + _CLOCK_AHEAD_MS
        self._verify(entry)
        self.version = max(self.version, entry.version)
        self.watermarks.expire(self.at_ms)
        for item in entry.items:
            self._guarded(item)
        self._lifecycle.settle()
        for group in self.groups.values():
            self.check_row_errors(group)
        self.close_runs()
        return outcome

    def carry(self, budget: int, published: int, skip: int = 0) -> list[Derived]:
        """Events for the next entry to carry: the oldest that none carries yet, after ``skip`` runs, as many as fit.

        Args:
            published: Up to this entry, large events are documents; those of later ones cannot be left out of an entry yet.
        """
        found: list[Derived] = []
        for place, derived in enumerate(self.uncarried.values()):
            if place < skip:
                continue
            inline = derived.inline(self.settings.inline_bytes)
            budget -= inline.size
            if budget < 0 or (inline is not derived and derived.entry > published):
                break
            found.append(inline)
        return found

    def diverged(self, query: str, sequence: int) -> bool:
        """Whether an event's replay gave something else than what was published."""
        return any(mismatch.query == query and mismatch.first <= sequence <= mismatch.last for mismatch in self.mismatches)

    def _verify(self, entry: Entry) -> None:
        for derived in entry.derived:
            mine = self.uncarried.pop(derived.key, None)
            if mine is None:
                continue
            self.uncarried_bytes -= mine.size
            if mine.digest != derived.digest:
                self.mismatches.append(Mismatch(derived.query, derived.first, max(mine.last, derived.last)))

    def _guarded(self, item: AnyItem) -> None:
        try:
            self._take(item)
        except Exception as error:
            # A defect: the item is put aside, or every instance would meet it for ever.
            for group in self.groups.values():
                group.waiting.clear()
            where = getattr(item, "source", None) or getattr(item, "query", None) or type(item).__name__
            text = f"a defect in the container: {type(error).__name__}: {error}"
            self.record(str(where), None, encode_item(item), text, control=True)

    def _take(self, item: AnyItem) -> None:
        match item:
            case Changes():
                self._intake.message(item.data, item.source, item.enqueued_ns)
            case Part():
                self._lifecycle.part(item)
            case Marker():
                self._intake.marker(item)
            case Tick():
                self._lifecycle.advance(item.ts_ns // 1_000_000, list(self.groups.values()))
            case Configure():
                self._lifecycle.configure(item)
            case Remove():
                self._lifecycle.remove(item.query)
            case Start():
                self._lifecycle.start(item.query)
            case Stop():
                self._lifecycle.stop(item.query)
            case Renew():
                self._lifecycle.renew(item.query)
            case Fragment():
                self._fragment(item)
            case Unreadable():
                self.record(item.where, None, item.data, item.error, control=True)
            case Replay():
                self._intake.replay(item)
            case Discard():
                self.letters.remove(item.letter)
            case Forget():
                self._lifecycle.forget(item)
            case Reread():
                self._lifecycle.reread(item.source)
            case Ordered():
                if self._in_order(item):
                    self._take(item.order)
            case Upgrade():
                pass

    def _in_order(self, item: Ordered) -> bool:
        """Whether it has not been followed before."""
        last, known = self.ordered.get(item.subject, (0, []))
        if item.published_ns < last or (item.published_ns == last and item.message in known):
            return False
        same = [*known, item.message] if item.published_ns == last else [item.message]
        self.ordered[item.subject] = (item.published_ns, same)
        return True

    def _fragment(self, item: Fragment) -> None:
        if item.index == 0:
            self.fragments[item.origin] = (item.nonce, [])
        nonce, slices = self.fragments.get(item.origin, (b"", []))
        if nonce != item.nonce or len(slices) != item.index:
            return
        slices.append(item.data)
        if len(slices) == item.of:
            del self.fragments[item.origin]
            self._take(decode_item(zstandard.ZstdDecompressor().decompress(b"".join(slices))))
            self.outcome.completed.add(nonce)
