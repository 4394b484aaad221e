"""Every function's process ends by SIGKILL at random moments under load: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import grpc

from drasi.emulate.child import Child
from tests.emulator import emulators
from tests.emulator.course import Course, course, until
from tests.emulator.harbour import harbour
from tests.emulator.proxy import Proxy, proxy, written
from tests.postgres import Server, postgres

__all__ = ["postgres"]

PROCESSES = 8
"""Management, the source, the default container, two of the other one, three reactions."""
OVER_SQLITE = 20
OVER_POSTGRES = 30
IN_THE_MIDDLE = 5
"""Of those over PostgreSQL: the source, between publishing changes and giving them up in its slot."""


async def test_processes_are_killed_over_sqlite(tmp_path: Path) -> None:
    said: list[str] = []
    try:
        async with harbour(tmp_path, said) as running, course(running, 4) as load:
            await _kills(load, random.Random(4), OVER_SQLITE, running.system.fleet.children)
            await _stand(load, OVER_SQLITE)
            await load.settled()
            await load.check(least=OVER_SQLITE)
    finally:
        print("\n".join(said[-200:]))


async def test_processes_are_killed_over_postgresql(tmp_path: Path, postgres: Server) -> None:
    """Among them the source, in the middle of what it does with changes: published, and not noted; noted, and the slot not
    advanced."""
    said: list[str] = []
    try:
        async with (
            proxy(emulators.firestore()) as between,
            harbour(tmp_path, said, postgres, firestore=between.host, documents=emulators.firestore()) as running,
            course(running, 5) as load,
        ):
            (source,) = running.system.fleet.of("source", "harbour-db")
            others = [child for child in running.system.fleet.children if child is not source]
            await asyncio.gather(
                _kills(load, random.Random(5), OVER_POSTGRES - IN_THE_MIDDLE, others), _kills_in_the_middle(between, source)
            )
            await _stand(load, OVER_POSTGRES)
            await load.settled()
            await load.check(least=OVER_POSTGRES)
    finally:
        print("\n".join(said[-200:]))


async def _in_the_middle(between: Proxy, source: Child, *, noted: bool) -> None:
    """Kills the source as it notes how far it has published: before the note is written, or before it hears that it is."""
    dead = asyncio.Event()

    def notes(method: str, request: bytes) -> bool:
        return not dead.is_set() and any(path.endswith("/drasi-source-state/position") for path in written(method, request))

    async def before(method: str, request: bytes) -> grpc.StatusCode | None:
        if noted or not notes(method, request):
            return None
        source.kill()
        dead.set()
        return grpc.StatusCode.UNAVAILABLE

    async def after(method: str, request: bytes, succeeded: bool) -> grpc.StatusCode | None:
        if noted and succeeded and notes(method, request):
            source.kill()
            dead.set()
            return grpc.StatusCode.UNAVAILABLE
        return None

    starts = source.starts
    between.before, between.after = before, after
    await until(dead.is_set, "the source notes its position")
    await until(lambda: source.starts > starts, "it is started again")


async def _kills_in_the_middle(between: Proxy, source: Child) -> None:
    for number in range(IN_THE_MIDDLE):
        await _in_the_middle(between, source, noted=number % 2 == 1)


async def _kills(load: Course, chance: random.Random, number: int, children: list[Child]) -> None:
    """Kills so many times, each process about as often as any other, and the target of the calls fails now and then meanwhile.

    One may be dead, or restoring, when the next is killed.
    """
    load.running.calls.failing = 0.1
    deck: list[Child] = []
    killed: Counter[str] = Counter()
    for _ in range(number):
        await asyncio.sleep(chance.uniform(0.2, 1.0))  # a random moment
        await until(lambda: any(child.pid for child in children), "somebody lives")
        if len(deck) < len(children):
            deck += chance.sample(children, len(children))
        child = next((child for child in deck if child.pid), None) or next(child for child in children if child.pid)
        if child in deck:
            deck.remove(child)
        pid = child.pid
        child.kill()
        killed[child.name] += 1
        await until(lambda child=child, pid=pid: child.pid != pid, "it is dead")
    assert len(killed) == len(children)


async def _stand(load: Course, kills: int) -> None:
    """The load ends; every process that was killed runs again, and none died by itself."""
    await load.rest()
    load.running.calls.failing = 0.0
    children = load.running.system.fleet.children
    assert len(children) == PROCESSES
    await until(lambda: sum(child.starts - 1 for child in children) == kills, "each is started again")
    await load.running.system.fleet.ready()
