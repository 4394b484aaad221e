"""What a process's messages would be billed, as Pub/Sub's price list has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from drasi.messages.envelope import Message

SMALLEST: Final = 1_000
"""Bytes that a request is billed at least: of publishing (whatever the number of messages), and each push."""
_OVERHEAD: Final = 36
"""Of a message: its instant (20 bytes) and its id."""


@dataclass(slots=True)
class Meter:
    """Counts of one bus.

    Attributes:
        requests: Publish requests that succeeded.
        published, published_bytes, published_billed: Messages in them, their size, and what is billed for them.
        pushes, pushed_bytes, pushed_billed: The same of what was pushed here.
    """

    requests: int = 0
    published: int = 0
    published_bytes: int = 0
    published_billed: int = 0
    pushes: int = 0
    pushed_bytes: int = 0
    pushed_billed: int = 0

    def publish(self, messages: Iterable[Message]) -> None:
        """One request."""
        sizes = [size(message) for message in messages]
        total = sum(sizes)
        self.requests += 1
        self.published += len(sizes)
        self.published_bytes += total
        self.published_billed += max(total, SMALLEST)

    def push(self, message: Message) -> None:
        """One delivery."""
        total = size(message)
        self.pushes += 1
        self.pushed_bytes += total
        self.pushed_billed += max(total, SMALLEST)


def size(message: Message) -> int:
    """A message's volume: data, attributes, ordering key, instant, id."""
    attributes = sum(len(name) + len(value) for name, value in message.attributes.items())
    return len(message.data) + attributes + len(message.ordering_key) + _OVERHEAD
