"""Two and three processes at one container's log: one wins each entry, the others keep up, and one that has slept does no harm."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
import pytest
from google.cloud.firestore_v1.types import CommitRequest

from drasi.container import entry as entries
from drasi.firestore.client import FirestoreClient
from drasi.functions.addresses import HOST, Ports
from tests.embedded.waiting import eventually
from tests.emulator import emulators
from tests.emulator.course import Course, course, until
from tests.emulator.harbour import Harbour, harbour
from tests.emulator.proxy import COMMIT, proxy
from tests.emulator.relay import Instance, Relay, relay

LOG: Final = "drasi-pair/durable"
QUERY: Final = "deep-ships"
WON: Final = 20
"""Entries that each of the instances which are pushed to must win."""
SMALL: Final = {"DRASI_LOG_KEEP_S": "6", "DRASI_SNAPSHOT_ENTRIES": "25", "DRASI_LOG_BYTES": "10000"}
"""A log that is trimmed within seconds; a proof of its head is good for one."""


class Entries:
    """Every entry that was created in the log, as the commits say.

    Attributes:
        created: By number, how often its create succeeded.
        won: By instance, how many.
    """

    def __init__(self) -> None:
        self.created: Counter[int] = Counter()
        self.won: Counter[int] = Counter()

    async def after(self, method: str, request: bytes, succeeded: bool) -> grpc.StatusCode | None:
        if method == COMMIT and succeeded:
            for write in CommitRequest.deserialize(request).writes:
                parent, _, number = write.update.name.rpartition("/")
                if parent.endswith(f"/{LOG}/drasi-log"):
                    self.created[int(number)] += 1
                    data = bytes(write.update.fields["data"].bytes_value)
                    self.won[int(entries.decode(int(number), data).instance.split("-")[-2])] += 1
        return None


class Reader:
    """Reads server-sent events of one instance, from the beginning on; told of a gap it goes on behind it."""

    def __init__(self, running: Harbour, pid: int) -> None:
        self.seen: dict[int, Any] = {}
        self.gaps: list[tuple[int, int]] = []
        self._running = running
        self._instance = _instance(running, pid)
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        last = 0
        while True:
            client = await self._instance.client()
            headers = {**self._running.headers, "Accept": "text/event-stream", "Last-Event-ID": str(last)}
            try:
                async with client.stream("GET", f"/queries/{QUERY}/events", headers=headers, timeout=120) as stream:
                    if stream.status_code == 410:
                        gone = json.loads(await stream.aread())
                        self.gaps.append((last, gone["latest"]))
                        last = gone["latest"]
                    async for line in stream.aiter_lines():
                        if line.startswith("data: "):
                            event = json.loads(line[6:])
                            assert event["sequence"] == last + 1
                            last = event["sequence"]
                            self.seen[last] = event
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        assert not self._task.done(), self._task
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._instance.close()


@asynccontextmanager
async def _running(
    directory: Path, said: list[str], hosts: int, variables: dict[str, str]
) -> AsyncIterator[tuple[Harbour, Relay, Entries, list[int]]]:
    """With a word about where pushes go, and what is created."""
    found = Entries()
    ports = Ports(directory / "state" / "functions" / "ports")
    async with (
        proxy(emulators.firestore()) as between,
        relay(lambda place, name: f"http://{HOST}:{ports.of(place, name)}", 31) as pushes,
    ):
        between.after = found.after
        variables = {**variables, **pushes.variables}
        async with harbour(
            directory, said, firestore=between.host, documents=emulators.firestore(), hosts=hosts, variables=variables
        ) as running:
            pids = [child.pid for child in running.system.fleet.of("container", "pair") if child.pid]
            assert len(pids) == hosts
            pushes.shows(lambda: running.headers)
            yield running, pushes, found, pids


@pytest.mark.parametrize("hosts", [2, 3])
async def test_instances_share_a_log(tmp_path: Path, hosts: int) -> None:
    """Of three, the last is pushed nothing; a fifth of the pushes goes to two at the same time."""
    said: list[str] = []
    try:
        async with _running(tmp_path, said, hosts, {}) as (running, pushes, found, pids):
            pushes.pushed_to["pair"] = pids[:2]
            pushes.twice = 0.2
            async with course(running, 12, pause_s=0.06) as load:
                readers = [Reader(running, pid) for pid in pids]
                await until(lambda: all(found.won[pid] >= WON for pid in pids[:2]), "both win entries", 90)
                await load.rest()
                await load.settled()
                await _all_agree(running, pids)
                await load.check(least=WON, repeats=False)
                await _saw_all(load, readers)
                assert {gap for reader in readers for gap in reader.gaps} == set()
            _one_log(found)
            assert found.won.keys() <= set(pids)
    finally:
        print("\n".join(said[-200:]))


async def test_an_instance_sleeps_until_the_log_is_trimmed_past_it(tmp_path: Path) -> None:
    """SIGSTOP, while it is pushed to and read from: what it does when it wakes is for entries that were there, and are deleted."""
    said: list[str] = []
    client = FirestoreClient("", emulator=emulators.firestore())
    try:
        async with _running(tmp_path, said, 3, SMALL) as (running, pushes, found, pids):
            awake, asleep, _ = pids
            client = FirestoreClient(running.system.project, emulator=emulators.firestore())
            pushes.pushed_to["pair"] = pids[:2]
            async with course(running, 13, pause_s=0.06) as load:
                readers = [Reader(running, pid) for pid in pids]
                await until(lambda: all(found.won[pid] >= 5 for pid in pids[:2]), "both win entries", 90)
                late = _instance(running, asleep)
                for_later = await late.client()
                pushes.pushed_to["pair"] = [awake]
                os.kill(asleep, signal.SIGSTOP)
                try:
                    head, before = max(found.created), len(pushes.acknowledged)
                    await until(lambda: len(_changes(pushes, before)) > 0, "others go on", 60)
                    # What others have taken waits in its socket: new to it, and its first act.
                    push = _changes(pushes, before)[0]
                    posting = asyncio.create_task(for_later.post(push.target, content=push.body, timeout=120))
                    await eventually(lambda: _deleted(client, head + 1), "the log is trimmed past it, and swept", 120)
                finally:
                    os.kill(asleep, signal.SIGCONT)
                assert (await posting).status_code in (204, 503)
                _one_log(found)
                await late.close()
                pushes.pushed_to["pair"] = pids[:2]
                won = found.won[asleep]
                await until(lambda: found.won[asleep] >= won + 5, "it wins entries again", 90)
                await load.rest()
                await load.settled()
                await _all_agree(running, pids)
                # The other query's reaction may have read from who slept, and was told of a gap.
                await load.check(least=WON, trimmed=True, called=["berth-load"])
                await _saw_all(load, readers)
                # Who was read from while it was awake has missed nothing.
                assert readers[0].gaps == readers[2].gaps == []
                assert [child.starts for child in running.system.fleet.children] == [1] * 9
            _one_log(found)
    finally:
        await client.close()
        print("\n".join(said[-200:]))


def _instance(running: Harbour, pid: int) -> Instance:
    return Instance(pid, running.system.fleet.url("container", "pair"), lambda: running.headers)


def _changes(pushes: Relay, since: int) -> list[Any]:
    return [push for push in pushes.acknowledged[since:] if (push.name, push.path) == ("pair", "/changes")]


async def _deleted(client: FirestoreClient, number: int) -> bool:
    found, _ = await client.read([LOG], fields=["swept"])
    return int(found[LOG].fields["swept"]) >= number


def _one_log(found: Entries) -> None:
    """Each number was created once, and none is missing."""
    assert sorted(found.created) == list(range(1, len(found.created) + 1))
    assert set(found.created.values()) == {1}


async def _all_agree(running: Harbour, pids: list[int]) -> None:
    """Each instance, asked by itself, answers what the database says."""
    for pid in pids:
        instance = _instance(running, pid)

        async def agrees(instance: Instance = instance) -> bool:
            answer = await (await instance.client()).get(f"/queries/{QUERY}", headers=running.headers)
            rows = sorted((item["data"] for item in answer.json()[1:]), key=lambda row: json.dumps(row, sort_keys=True))
            return rows == running.direct(QUERY)

        await eventually(agrees, f"instance {pid} answers what the database says", 30)
        await instance.close()


async def _saw_all(load: Course, readers: list[Reader]) -> None:
    """A reader of each instance has got every event there was, but for the gaps it was told of."""
    truth = load.seen[QUERY]
    for reader in readers:
        missed = {number for after, latest in reader.gaps for number in range(after + 1, latest + 1)}
        await until(lambda reader=reader, missed=missed: reader.seen.keys() | missed >= truth.keys(), "a reader sees every event")
        assert reader.seen == {number: event for number, event in truth.items() if number not in missed}
        await reader.close()
