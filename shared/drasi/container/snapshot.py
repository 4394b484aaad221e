"""Snapshots now and then, without a pause; restoring from the newest that is whole; trimming the log behind them."""

from __future__ import annotations

import asyncio
import contextlib
import time

from drasi.container.core import CORE, Frozen, complete, load, thaw
from drasi.container.machine import Machine
from drasi.container.publisher import Publisher
from drasi.container.settings import Settings
from drasi.errors import DrasiError
from drasi.log.port import Log, LogDamaged
from drasi.log.snapshots import Manifest, SnapshotTorn, SnapshotWriter, newest_first, numbers, sections, sweep

_MOST_TRAIL = 512
_MOST_READING = 50_000
_POSTPONE = 16
_RETENTION_S = 604_800
_SLICE_S = 0.004


class Snapshots:
    """Writes and reads the snapshots of one container.

    Attributes:
        newest: The last one written or restored from.
        written: Bytes of the log since its beginning.
        problem: Why the last attempt failed.
    """

    def __init__(self, log: Log, publisher: Publisher, settings: Settings, instance: str) -> None:
        self._log = log
        self._publisher = publisher
        self._settings = settings
        self._instance = instance
        self.newest: Manifest | None = None
        self.problem: DrasiError | None = None
        self.written = 0
        self._entries_since = 0
        self._bytes_since = 0
        self._attempts = 0

    def applied(self, size: int) -> None:
        """An entry of this size was applied."""
        self.written += size
        self._bytes_since += size
        self._entries_since += 1

    def due(self, machine: Machine) -> bool:
        settings = self._settings
        # A failed attempt waits for as much again.
        factor = 1 + self._attempts
        if self._entries_since < settings.snapshot_entries * factor and self._bytes_since < settings.snapshot_bytes * factor:
            return False
        # What is being reconciled is written in one piece: if it is much, the snapshot waits for its end, though not for ever.
        reading = sum(len(each) for group in machine.groups.values() for each in group.reading.values())
        return reading < _MOST_READING or self._bytes_since > settings.snapshot_bytes * _POSTPONE

    async def write(self, machine: Machine) -> None:
        """Writes the state as it is now, while the machine goes on; then trims the log.

        Raises:
            LogUnavailable: Tried again when the log has grown once more.
        """
        try:
            await self._write(machine)
        except DrasiError as error:
            self.problem = error
            self._attempts += 1
            raise
        self.problem = None
        self._attempts = 0
        await self._trim(machine)

    async def _write(self, machine: Machine) -> None:
        previous = self.newest
        if previous is not None and previous.number not in await numbers(self._log):
            # Another instance swept it away, and its chunks with it.
            previous = None
        frozen = Frozen(machine, previous)
        entries, size, total = self._entries_since, self._bytes_since, self.written
        written = False
        try:
            # Its events could not be derived again from behind it: they must be out first.
            await self._publisher.reached(frozen.number)
            writer = SnapshotWriter(self._log, frozen.number, self._instance)
            if previous is not None:
                for name in frozen.keep:
                    writer.keep(name, previous)
            slice_began = time.perf_counter()
            for name, data in frozen.sections():
                await writer.add(name, data)
                if time.perf_counter() - slice_began > _SLICE_S:
                    await asyncio.sleep(0)
                    slice_began = time.perf_counter()
            trail = [*previous.trail, (previous.number, previous.at_ns, previous.written)] if previous is not None else []
            if len(trail) > _MOST_TRAIL:
                trail = trail[::2]
            self.newest = await writer.finish(version=frozen.version, at_ns=frozen.at_ns, written=total, trail=trail)
            written = True
        finally:
            frozen.end(written=written)
        self._entries_since -= entries
        self._bytes_since -= size

    async def _trim(self, machine: Machine) -> None:
        kept = await sweep(self._log, self._settings.snapshots_kept)
        if not kept:
            return
        newest, oldest = kept[0], kept[-1]
        most = self._settings.log_bytes if self._settings.log_bytes is not None else self._log.retain_bytes
        through = 0
        for number, at_ns, written in (*newest.trail, (newest.number, newest.at_ns, newest.written)):
            age_s = (newest.at_ns - at_ns) / 1e9
            superfluous = age_s > _RETENTION_S or newest.written - written > most
            if number <= oldest.number and superfluous and age_s >= self._log.retain_s:
                through = max(through, number)
        if through:
            await self._log.trim(through)
            await self._drop_events(machine, through)

    async def _drop_events(self, machine: Machine, through: int) -> None:
        """Large events are trimmed with the log (marks only tell where to look: other instances may have other ones)."""
        for query in machine.queries.values():
            while len(query.marks) > 1 and query.marks[1][1] <= through:
                del query.marks[0]
        first = {query.id: query.marks[0][0] for query in machine.queries.values() if query.marks}
        gone = []
        for name in await self._log.names("results/"):
            _, query_id, sequence = name.split("/")
            if query_id not in first or int(sequence) < first[query_id]:
                gone.append(name)
        if gone:
            await self._log.drop(gone)

    async def restore(self) -> Machine:
        """The state of the newest snapshot that is whole; the log after it is still to be applied.

        Raises:
            LogDamaged: None is whole, and the log does not begin at its beginning any more.
        """
        async for manifest in newest_first(self._log):
            try:
                machine = await self._thaw(manifest)
            except SnapshotTorn as error:
                self.problem = error
                continue
            complete(machine)
            self.newest = manifest
            self.written = manifest.written
            self._entries_since = self._bytes_since = 0
            self._publisher.reset(manifest.number)
            return machine
        if await self._log.earliest() > 1:
            raise LogDamaged(
                "no snapshot of the log is whole, and the entries before are trimmed",
                hint="delete the container's log and apply its queries again: they bootstrap from their sources",
            )
        self.newest = None
        self.written = self._entries_since = self._bytes_since = 0
        self._publisher.reset(0)
        return Machine(self._settings)

    async def _thaw(self, manifest: Manifest) -> Machine:
        """Raises SnapshotTorn."""
        async with contextlib.aclosing(sections(self._log, manifest, first=CORE)) as found:
            _, core = await anext(found)
            machine = thaw(core, self._settings)
            async for name, data in found:
                load(machine, name, data)
                await asyncio.sleep(0)
        return machine
