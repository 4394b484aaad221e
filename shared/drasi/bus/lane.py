"""One ordering key of one subscription: what is in memory, and what only the state file holds."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from drasi.messages.envelope import Message


@dataclass(slots=True, eq=False)
class Item:
    """A message on its way to one subscription.

    Attributes:
        accepted: Resolved when the message is acknowledged or stored; None: nobody waits.
        refused: The publisher was told that it was not accepted, so it may be forgotten.
    """

    sequence: int
    message: Message
    accepted: asyncio.Future[None] | None = None
    stored: bool = False
    acknowledged: bool = False
    refused: bool = False

    def accept(self) -> None:
        if self.accepted is not None and not self.accepted.done():
            self.accepted.set_result(None)

    def refuse(self, error: Exception) -> None:
        self.refused = True
        if self.accepted is not None and not self.accepted.done():
            self.accepted.set_exception(error)


@dataclass(slots=True, eq=False)
class Lane:
    """Messages of one key, delivered one after the other.

    ``queue`` holds the oldest messages, ready for delivery. Messages behind them may be only in the state file (*spilled*): every
    sequence in ``queue`` is below every spilled one. ``unstored`` holds, in order, those that are neither stored nor known to be
    acknowledged; a message is never stored before an older one of its lane, or a crash could bring them in the wrong order.

    Attributes:
        loaded: Sequence up to which the state file has been read.
        spilled: Highest spilled sequence; 0: everything there is is in ``queue``.
    """

    key: str
    loaded: int = 0
    spilled: int = 0
    oldest: str = ""
    failures: int = 0
    delivering: bool = False
    queue: deque[Item] = field(default_factory=deque)
    unstored: deque[Item] = field(default_factory=deque)
    runner: asyncio.Task[None] | None = None
    storing: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def slow(self) -> bool:
        """Whether waiting for an acknowledgement is not worth it: one before has waited too long already."""
        return self.failures > 0 or (bool(self.queue) and self.queue[0].stored)

    @property
    def empty(self) -> bool:
        return not self.queue and not self.spilled
