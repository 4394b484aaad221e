"""A log that fails where a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from drasi.errors import DrasiError
from drasi.log.port import Log, LogEntry


class Crash(Exception):
    """The process dies here: whoever catches it throws the handle away."""


Fault = Callable[[str, int, str], BaseException | None]
"""(method, how many writing calls came before, ``before`` or ``after``) -> what to raise there, or None."""


class FaultyLog:
    """Wraps a handle; every writing call asks ``fault`` before it begins and after it took effect."""

    def __init__(self, log: Log, fault: Fault, *, pause: Callable[[], bool] = lambda: False) -> None:
        self._log = log
        self._fault = fault
        self._pause = pause
        self.calls = 0
        self.trace: list[str] = []

    @property
    def entry_limit(self) -> int:
        return self._log.entry_limit

    @property
    def durable(self) -> bool:
        return self._log.durable

    @property
    def retain_bytes(self) -> int:
        return self._log.retain_bytes

    @property
    def retain_s(self) -> int:
        return self._log.retain_s

    @property
    def problem(self) -> DrasiError | None:
        return self._log.problem

    async def _step(self, method: str, count: int, when: str) -> None:
        if self._pause():
            await asyncio.sleep(0)
        error = self._fault(method, count, when)
        if error is not None:
            raise error

    def _count(self, method: str) -> int:
        self.trace.append(method)
        self.calls += 1
        return self.calls - 1

    async def create(self, number: int, data: bytes) -> None:
        count = self._count("create")
        await self._step("create", count, "before")
        await self._log.create(number, data)
        await self._step("create", count, "after")

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        self.trace.append("read")
        if self._pause():
            await asyncio.sleep(0)
        return await self._log.read(after, limit)

    async def head(self) -> int:
        return await self._log.head()

    async def earliest(self) -> int:
        return await self._log.earliest()

    async def trim(self, through: int) -> None:
        count = self._count("trim")
        await self._step("trim", count, "before")
        await self._log.trim(through)
        await self._step("trim", count, "after")

    async def changed(self, after: int) -> None:
        await self._log.changed(after)

    async def put(self, name: str, data: bytes) -> None:
        count = self._count("put")
        await self._step("put", count, "before")
        await self._log.put(name, data)
        await self._step("put", count, "after")

    async def get(self, name: str) -> bytes | None:
        return await self._log.get(name)

    async def names(self, prefix: str) -> list[str]:
        return await self._log.names(prefix)

    async def drop(self, names: Sequence[str]) -> None:
        count = self._count("drop")
        await self._step("drop", count, "before")
        await self._log.drop(names)
        await self._step("drop", count, "after")

    async def delete(self) -> None:
        await self._log.delete()

    async def close(self) -> None:
        await self._log.close()
