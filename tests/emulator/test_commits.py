"""Commits of Firestore that happen, and are reported as failures: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
from google.cloud.firestore_v1.types import CommitRequest

from drasi.firestore.client import FirestoreClient
from drasi.resources.store_firestore import FirestoreResourceStore
from tests.emulator import emulators
from tests.emulator.course import course, until
from tests.emulator.harbour import Harbour, harbour
from tests.emulator.proxy import COMMIT, proxy, written

PLACES: Final = {
    "entries of a log": "/drasi-log/",
    "where a source is": "/drasi-source-state/",
    "how far a reaction is": "/drasi-reaction-progress/",
    "the collection of a reaction": "_drasi/loads-berth-load",
    "resources": "/drasi-resources/",
}
LEAST: Final = {name: 3 if name == "resources" else 10 for name in PLACES}
"""So many commits must have been reported wrongly of each."""
CHANGES: Final = 6
"""Of a resource, while that goes on."""


class Liar:
    """Reports every third commit that succeeds as a failure, in each way there is; some others fail before they come."""

    def __init__(self) -> None:
        self.lies: Counter[str] = Counter()
        self.statuses: Counter[grpc.StatusCode] = Counter()
        self.moved: list[int] = []
        self.honest = False
        self._chance = random.Random(11)

    async def before(self, method: str, request: bytes) -> grpc.StatusCode | None:
        if not self.honest and _place(method, request) is not None and self._chance.random() < 0.05:
            return grpc.StatusCode.UNAVAILABLE
        return None

    async def after(self, method: str, request: bytes, succeeded: bool) -> grpc.StatusCode | None:
        place = _place(method, request)
        if place is None or not succeeded:
            return None
        if place == "the collection of a reaction":
            self.moved.append(_sequence(request))
        if self.honest or self._chance.random() > (2 / 3 if place == "resources" else 1 / 3):
            return None
        status = self._chance.choice([grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, *_refusals(request)])
        self.lies[place] += 1
        self.statuses[status] += 1
        return status


async def test_commits_succeed_and_report_failure(tmp_path: Path) -> None:
    said: list[str] = []
    liar = Liar()
    try:
        async with proxy(emulators.firestore()) as between:
            between.before, between.after = liar.before, liar.after
            async with (
                harbour(tmp_path, said, firestore=between.host, documents=emulators.firestore()) as running,
                course(running, 8) as load,
            ):
                for number in range(1, CHANGES + 1):
                    await _apply(running, number)
                await until(lambda: all(liar.lies[place] >= LEAST[place] for place in PLACES), "each is reported wrongly")
                await load.rest()
                liar.honest = True
                await load.settled()
                await load.check(least=LEAST["entries of a log"], repeats=False)
                assert await _versions(running) == [_text(number) for number in range(CHANGES, 0, -1)]
                await _delete(running)
        assert liar.statuses.keys() == {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.ALREADY_EXISTS,
            grpc.StatusCode.FAILED_PRECONDITION,
        }
        # Each event once, and in order: the last commit of an event moves the sequence.
        assert liar.moved == sorted(set(liar.moved))
    finally:
        print(liar.lies, "\n".join(said[-200:]))


def _place(method: str, request: bytes) -> str | None:
    paths = written(method, request) if method == COMMIT else []
    return next((name for name, part in PLACES.items() if any(part in path for path in paths)), None)


def _refusals(request: bytes) -> list[grpc.StatusCode]:
    """What a condition of the commit gives that was repeated below us, and had succeeded the first time."""
    conditions = [write.current_document for write in CommitRequest.deserialize(request).writes]
    found = []
    if any("exists" in condition for condition in conditions):
        found.append(grpc.StatusCode.ALREADY_EXISTS)
    if any("update_time" in condition for condition in conditions):
        found.append(grpc.StatusCode.FAILED_PRECONDITION)
    return found


def _sequence(request: bytes) -> int:
    writes = CommitRequest.deserialize(request).writes
    (moved,) = [write.update.fields["sequence"] for write in writes if PLACES["the collection of a reaction"] in write.update.name]
    return int(moved.integer_value)


def _text(number: int) -> str:
    return f"MATCH (s:Ship) WHERE s.draught > {number} RETURN count(s) AS ships"


async def _apply(running: Harbour, number: int) -> None:
    """One more version of a query; who cannot be told whether it is stored asks again."""
    spec = {"container": "default", "sources": {"subscriptions": [{"id": "harbour-db"}]}, "query": _text(number)}
    url = f"{running.system.url}/v1/continuousQueries/deeper"
    answer = await running.client.put(url, json=spec, headers=running.headers)
    assert answer.is_success, answer.text


async def _versions(running: Harbour) -> list[Any]:
    client = FirestoreClient(running.system.project, emulator=emulators.firestore())
    try:
        return [each.spec["query"] for each in await FirestoreResourceStore(client).versions("ContinuousQuery", "deeper")]
    finally:
        await client.close()


async def _delete(running: Harbour) -> None:
    url = f"{running.system.url}/v1/continuousQueries/deeper"
    answer: httpx.Response = await running.client.delete(url, headers=running.headers)
    assert answer.is_success, answer.text

    assert (await running.client.get(url, headers=running.headers)).status_code == 404
