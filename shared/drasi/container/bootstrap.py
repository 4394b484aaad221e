"""Reads sources for queries that are being built; what it reads goes through the log like everything else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from drasi.container.build import Build
from drasi.container.entry import AnyItem, Part
from drasi.container.machine import Machine
from drasi.container.port import SnapshotPart, SnapshotReader, SourceMissing
from drasi.container.settings import Settings
from drasi.errors import DrasiError

_ELEMENTS = 1_000
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_MISSING_PAUSE_S = 2.0

Submit = Callable[[AnyItem], Awaitable[int]]


@dataclass(slots=True)
class Progress:
    """How the reading of one source goes, for the status."""

    source: str
    missing: bool = False
    error: str = ""
    failures: int = 0


class _Moved(Exception):
    """Another instance's part counted, or ours did not get through: look at the state again."""


class Bootstraps:
    """One task for each build in the state.

    Any instance may read; the state takes the part that continues its cursor, and drops the others.
    """

    def __init__(
        self,
        snapshots: SnapshotReader,
        submit: Submit,
        machine: Callable[[], Machine],
        settings: Settings,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._snapshots = snapshots
        self._submit = submit
        self._machine = machine
        self._settings = settings
        self._sleep = sleep
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._missing: dict[str, set[asyncio.Future[None]]] = {}
        self.progress: dict[int, Progress] = {}

    def follow(self) -> None:
        """The state changed: begins what is to be read, ends what is not."""
        if not self._tasks and not any(group.builds for group in self._machine().groups.values()):
            return
        builds = {number: build for group in self._machine().groups.values() for number, build in group.builds.items()}
        for number in [number for number in self._tasks if number not in builds]:
            self._tasks.pop(number).cancel()
            self.progress.pop(number, None)
        for number, build in builds.items():
            if number not in self._tasks:
                self.progress[number] = Progress(build.source)
                self._tasks[number] = asyncio.create_task(self._read(number), name=f"bootstrap {number} of {build.source}")
        for future in self._waiting:
            _finish(future)

    @property
    def active(self) -> bool:
        return bool(self._tasks)

    def wake(self, source: str) -> None:
        """The source is there: who waits for it need not wait longer."""
        for future in self._missing.get(source, ()):
            _finish(future)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _build(self, number: int) -> Build | None:
        for group in self._machine().groups.values():
            if number in group.builds:
                return group.builds[number]
        return None

    async def _read(self, number: int) -> None:
        progress = self.progress[number]
        while (build := self._build(number)) is not None:
            if build.read and await self._marked(number):
                continue
            try:
                nodes, relations = build.wanted.request()
                part = await self._snapshots.read(build.source, nodes, relations, build.cursor)
                await self._hand_in(number, build, part)
            except _Moved:
                continue
            except SourceMissing as error:
                progress.missing = True
                progress.error = error.message
                await self._wait(self._missing.setdefault(build.source, set()), lambda: True, _MISSING_PAUSE_S)
            except Exception as error:
                progress.failures += 1
                progress.error = f"{error.message} ({error.hint})" if isinstance(error, DrasiError) and error.hint else str(error)
                pause = min(_FIRST_PAUSE_S * 2 ** (progress.failures - 1), _LONGEST_PAUSE_S)
                await self._sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 -- jitter
            else:
                progress.missing = False
                progress.error = ""
                progress.failures = 0

    async def _marked(self, number: int) -> bool:
        """Waits for the marker behind the last part; False: it was lost, the part is read again."""
        return await self._wait(self._waiting, lambda: self._build(number) is None, self._settings.marker_s)

    async def _wait(self, waiting: set[asyncio.Future[None]], enough: Callable[[], bool], seconds: float) -> bool:
        """Waits to be told, until it is enough; at most so long."""
        timer = asyncio.ensure_future(self._sleep(seconds))
        try:
            while not timer.done():
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                waiting.add(future)
                try:
                    await asyncio.wait([timer, future], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.discard(future)
                if future.done() and enough():
                    return True
            return False
        finally:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)

    async def _hand_in(self, number: int, build: Build, part: SnapshotPart) -> None:
        """Commits what was read, some elements an entry."""
        elements = part.elements
        cursor = build.cursor
        position = _positions(part)
        for offset in range(0, max(len(elements), 1), _ELEMENTS):
            some = elements[offset : offset + _ELEMENTS]
            last = offset + _ELEMENTS >= len(elements)
            status = await self._submit(
                Part(
                    build=number,
                    cursor=cursor,
                    offset=offset,
                    position=position,
                    ts_ns=part.ts_ns,
                    elements=msgspec.json.encode(some),
                    following=part.cursor if last else None,
                    last=last,
                    marked=part.marked,
                    total=part.total,
                )
            )
            if status != 204:
                raise DrasiError("a part of the bootstrap could not be committed")
            now = self._build(number)
            if now is None:
                return
            if not last and (now.cursor != cursor or now.offset != offset + len(some) or now.position != position):
                raise _Moved


def _positions(part: SnapshotPart) -> dict[str, str]:
    if not part.position:
        return {}
    return {"": part.position} if isinstance(part.position, str) else dict(part.position)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
