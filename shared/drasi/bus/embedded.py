"""The bus of one process: messages go from memory to their subscriptions, and through the state file when that takes too long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

from drasi.bus.port import Deliver
from drasi.statefile import StateFile


class EmbeddedBus:
    """See ``Bus``. Make it with ``open``; the state file stays open when the bus is closed."""

    @classmethod
    async def open(
        cls,
        state: StateFile,
        *,
        patience_s: float = 0.02,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> EmbeddedBus:
        raise NotImplementedError

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        raise NotImplementedError

    async def subscribe(self, subscription: str, topic: str, deliver: Deliver, *, durable: bool = True) -> None:
        raise NotImplementedError

    async def detach(self, subscription: str) -> None:
        raise NotImplementedError

    async def unsubscribe(self, subscription: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
