"""The victim of the kill test: a container on SQLite, the embedded bus, two sources and a consumer, in one process.

Run as ``python -m tests.container.kill_child DIRECTORY ROUNDS SEED``: it forks one process a round, kills it at a random moment,
and lets the last one finish. What must survive is in files of the directory, as it would be for real sources and targets.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec

from drasi.bus.embedded import EmbeddedBus
from drasi.container import Container, Settings
from drasi.log.sqlite import SQLiteLog
from drasi.messages.changes import SourceChange
from drasi.messages.envelope import Message
from drasi.statefile import StateFile
from tests.container.support import FLOORS, ROOMS, FakeSnapshots, FakeSource, control, marker, message, node, relation, spec, until

SOURCES = ("db", "other")
_SETTINGS = Settings(
    snapshot_entries=15, snapshot_bytes=60_000, log_bytes=400_000, ring_events=200, follow_s=None, inline_bytes=600, marker_s=2
)


def change(source: str, number: int) -> SourceChange:
    """The ``number``-th change of a source: always the same one."""
    rng = random.Random(f"{source}/{number}")
    if number <= 6:
        return node("i", number, f"f{number}", ["Floor"], source=source, name=f"floor {number}")
    room = rng.randrange(25)
    match rng.randrange(10):
        case 0:
            return node("d", number, f"r{room}", source=source)
        case 1 | 2:
            return relation("i", number, f"p{room}", f"r{room}", f"f{rng.randrange(1, 7)}", source=source)
        case 3:
            return node("i", number, f"r{room}", source=source, name=f"room {room}", temp=rng.randrange(40))
        case _:
            return node("u", number, f"r{room}", source=source, name=f"room {room}", temp=rng.randrange(40))


def queries(round_: int) -> dict[str, dict[str, Any]]:
    """The queries there are in a round; every tenth brings one more, in the middle of everything."""
    wanted = {"rooms": spec(ROOMS, *SOURCES), "floors": spec(FLOORS, "db")}
    for late in range(5, round_ + 1, 10):
        text = ROOMS if late % 20 == 5 else FLOORS
        labels = {"nodes": [{"sourceLabel": "Room"}, {"sourceLabel": "Floor"}], "relations": [{"sourceLabel": "PART_OF"}]}
        wanted[f"late-{late}"] = {"query": text, "sources": {"subscriptions": [{"id": "db", **labels}]}}
    return wanted


class Target:
    """Keeps every event it has not seen in a file, in order: what a reaction's target would have received."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seen: dict[str, dict[int, Any]] = {}
        if path.exists():
            lines = path.read_bytes().split(b"\n")
            # The last line may be torn by the kill: it was not confirmed.
            with path.open("r+b") as file:
                file.truncate(sum(len(line) + 1 for line in lines[:-1]))
            for line in lines[:-1]:
                self._note(json.loads(line))
        self._file = path.open("ab", buffering=0)

    def last(self, query: str) -> int:
        return max(self.seen.get(query, {0: None}))

    def take(self, event: dict[str, Any]) -> bool:
        """False if something before it is missing."""
        event.pop("metadata", None)
        query, sequence = event["queryId"], event["sequence"]
        known = self.seen.get(query, {}).get(sequence)
        if known is not None:
            if known != event:
                raise AssertionError(f"{query}/{sequence} came with another content: {known} {event}")
            return True
        if sequence != self.last(query) + 1:
            return False
        self._file.write(json.dumps(event).encode() + b"\n")
        self._note(event)
        return True

    def _note(self, event: dict[str, Any]) -> None:
        self.seen.setdefault(event["queryId"], {})[event["sequence"]] = event


async def consume(container: Container, target: Target, query: str) -> None:
    """Fetches from the tail what the pushes did not bring."""
    while True:
        found = await container.read_events_json(query, target.last(query), 100)
        if not found:
            return
        for _, event in found:
            if not target.take(json.loads(event)):
                raise AssertionError(f"the tail of {query} has a gap after {target.last(query)}: {event!r}")


async def publish(bus: EmbeddedBus, directory: Path, source: str, data: FakeSource, stop: int | None) -> None:
    """A source: publishes from its stored position on, and stores the position when the bus has it."""
    file = directory / f"{source}.position"
    rng = random.Random()
    number = data.number
    limit = None if stop is None else number + stop
    while limit is None or number < limit:
        size = rng.choice((1, 1, 2, 5, 20))
        changes = [change(source, each) for each in range(number + 1, number + 1 + size)]
        for each in changes:
            data.apply(each)
        sent = message(changes, source)
        await bus.publish(f"{source}-change", sent.data, attributes=sent.attributes, ordering_key=source)
        number += size
        temporary = file.with_suffix(".new")
        temporary.write_text(str(number))
        temporary.rename(file)


async def live(directory: Path, round_: int, *, last: bool) -> None:
    state = await StateFile.open(directory / "bus.db")
    bus = await EmbeddedBus.open(state)
    sources: dict[str, FakeSource] = {}
    for source in SOURCES:
        sources[source] = FakeSource(page=7)
        file = directory / f"{source}.position"
        for number in range(1, int(file.read_text() if file.exists() else 0) + 1):
            sources[source].apply(change(source, number))
    snapshots = FakeSnapshots(**sources)
    container = Container("default", SQLiteLog(directory / "default.db"), bus, snapshots, settings=_SETTINGS)
    marking: set[asyncio.Task[str]] = set()

    def mark(source: str, number: int) -> None:
        sent = marker(number, source)
        publishing = bus.publish(f"{source}-change", sent.data, attributes=sent.attributes, ordering_key=source)
        marking.add(asyncio.get_running_loop().create_task(publishing))

    snapshots.behind = mark
    target = Target(directory / "target.jsonl")
    for source in SOURCES:
        await bus.subscribe(f"default-{source}", f"{source}-change", container.changes)
    await container.start()

    async def deliver(pushed: Message) -> int:
        for event in msgspec.json.decode(pushed.data):
            if not target.take(event):
                await consume(container, target, event["queryId"])
        return 204

    for query, definition in queries(round_).items():
        await bus.subscribe(f"{query}-target", f"{query}-results", deliver, durable=False)
        if query in container.queries():
            await consume(container, target, query)
        assert await container.control(control("configure", query, version=1, spec=definition, sequenceFrom=1)) == 204
    await asyncio.gather(*(publish(bus, directory, source, sources[source], 60 if last else None) for source in SOURCES))
    names = list(queries(round_))
    await until(lambda: all(status.waiting == 0 for status in bus.status().values()))
    await until(lambda: all(container.view(name).state == "running" for name in names))
    await bus.close()
    answers = {}
    for name in names:
        await consume(container, target, name)
        view = container.view(name)
        answers[name] = {"sequence": view.sequence, "rows": [[row.row_id, row.data] for row in view.rows]}
    answers["status"] = dict(container.status())
    (directory / "answers.json").write_text(json.dumps(answers))
    await container.close()
    await state.close()


def run(directory: Path, round_: int, *, last: bool) -> None:
    try:
        asyncio.run(live(directory, round_, last=last))
    except BaseException:
        (directory / "failure").write_text(f"round {round_}\n{traceback.format_exc()}")
        os._exit(1)
    os._exit(0)


def main() -> None:
    directory, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    for round_ in range(1, rounds + 2):
        last = round_ > rounds
        process = os.fork()
        if process == 0:
            run(directory, round_, last=last)
        if not last:
            time.sleep(rng.uniform(0.01, 0.25))
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        failed = os.waitstatus_to_exitcode(status)
        if failed not in (0, -signal.SIGKILL):
            sys.exit(failed)
    sys.exit(0)


if __name__ == "__main__":
    main()
