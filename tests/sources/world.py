"""A bus that keeps what is published, and a graph that applies it as a container does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drasi.bus.port import BusUnavailable, Deliver
from drasi.messages.changes import Element, SourceChange, decode_changes


async def eventually(condition: Callable[[], bool], *, pause_s: float = 0) -> None:
    """Waits, at most for twenty seconds, for what nobody announces."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(pause_s)


@dataclass(frozen=True, slots=True)
class Published:
    topic: str
    data: bytes
    attributes: dict[str, str]
    ordering_key: str

    @property
    def changes(self) -> list[SourceChange]:
        return decode_changes(self.data)


class RecordingBus:
    """Accepts at once. ``failing``: refuses instead; ``gate``: publishes wait for it; ``published`` keeps all that was accepted."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self.graph = Graph()
        self.failing = False
        self.attempts = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._moved = asyncio.Condition()

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        self.attempts += 1
        await self.gate.wait()
        if self.failing:
            raise BusUnavailable("not now")
        message = Published(topic, data, dict(attributes or {}), ordering_key)
        self.published.append(message)
        if message.attributes["drasi-type"] == "changes":
            for change in message.changes:
                self.graph.apply(change)
        async with self._moved:
            self._moved.notify_all()
        return str(len(self.published))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until ``condition`` holds after some publication."""
        async with asyncio.timeout(20), self._moved:
            await self._moved.wait_for(condition)

    @property
    def changes(self) -> list[SourceChange]:
        return [change for message in self.published if message.attributes["drasi-type"] == "changes" for change in message.changes]

    @property
    def said(self) -> list[tuple[str, str]]:
        """What was published, short: op and id."""
        return [(change.op, _element(change).id) for change in self.changes]

    async def subscribe(self, subscription: str, topic: str, deliver: Deliver, *, durable: bool = True) -> None:
        raise NotImplementedError

    async def detach(self, subscription: str) -> None:
        raise NotImplementedError

    async def unsubscribe(self, subscription: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


@dataclass
class Graph:
    """Elements by id, changed as wire.md section 2.1 says; what is at or below the watermark changes nothing."""

    elements: dict[str, Element] = field(default_factory=dict)
    watermarks: dict[str | None, str] = field(default_factory=dict)
    dropped: int = 0

    def apply(self, change: SourceChange) -> None:
        origin = change.payload.source
        if origin.position is not None:
            if origin.position <= self.watermarks.get(origin.partition, ""):
                self.dropped += 1
                return
            self.watermarks[origin.partition] = origin.position
        element = _element(change)
        if change.op == "d":
            self.elements.pop(element.id, None)
        elif change.op == "t":
            for identity in [identity for identity in self.elements if identity.startswith(element.id)]:
                del self.elements[identity]
        else:
            known = self.elements.get(element.id)
            kept = known.properties if known is not None and change.op == "u" else {}
            properties = {name: value for name, value in {**kept, **element.properties}.items() if value is not None}
            self.elements[element.id] = Element(element.id, element.labels, properties, element.startId, element.endId)

    def properties(self) -> dict[str, dict[str, Any]]:
        """The nodes."""
        return {identity: element.properties for identity, element in self.elements.items() if element.startId is None}

    def ends(self) -> dict[str, tuple[str, str]]:
        """The relations."""
        return {
            identity: (element.startId, element.endId)
            for identity, element in self.elements.items()
            if element.startId is not None and element.endId is not None
        }


def _element(change: SourceChange) -> Element:
    element = change.payload.after or change.payload.before
    assert element is not None
    return element
