"""Pub/Sub brings messages again that were acknowledged long ago, in any order: answers and calls stay exact."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any, Final

from drasi.functions.addresses import HOST, Ports
from tests.embedded.waiting import eventually
from tests.emulator.course import course, until
from tests.emulator.harbour import Harbour, harbour
from tests.emulator.relay import PUSHES, Relay, relay

AGAIN: Final = 400
"""So many pushes come again at least, of each kind but the rare messages of control."""
ANSWERS: Final = {204, 429, 503}


async def test_acknowledged_messages_come_again_in_any_order(tmp_path: Path) -> None:
    said: list[str] = []
    again: Counter[str] = Counter()
    ports = Ports(tmp_path / "state" / "functions" / "ports")
    try:
        async with (
            relay(lambda place, name: f"http://{HOST}:{ports.of(place, name)}", 21) as between,
            harbour(tmp_path, said, variables=between.variables) as running,
            course(running, 9, pause_s=0.06) as load,
        ):
            repeating = asyncio.create_task(_repeat(between, random.Random(22), again))
            try:
                await _queries_come_and_go(running)
                await until(
                    lambda: repeating.done() or min(again["/changes"], again["/results"]) >= AGAIN, "messages come again", 90
                )
            finally:
                repeating.cancel()
                await asyncio.wait([repeating])
            assert repeating.cancelled()
            await load.rest()
            orders = [push for push in between.acknowledged if push.path == "/control"]
            for push in random.Random(23).sample(orders, len(orders)):
                assert await between.deliver(push) in ANSWERS
            await load.settled()
            await load.check(least=AGAIN // 4, repeats=False)
            await eventually(lambda: _as_ordered(running), "queries are as they were last ordered", 30)
    finally:
        print(again, "\n".join(said[-200:]))


async def _repeat(between: Relay, chance: random.Random, again: Counter[str]) -> None:
    """Any push that was acknowledged, several at a time, without end."""

    async def one(kind: str) -> None:
        while True:
            known = [push for push in between.acknowledged if push.path == kind]
            if known:
                assert await between.deliver(chance.choice(known)) in ANSWERS
                again[kind] += 1
            await asyncio.sleep(0.02)  # the load

    await asyncio.gather(*(one(kind) for kind in PUSHES))


def _text(number: int) -> str:
    return f"MATCH (s:Ship) WHERE s.draught > {number} RETURN count(s) AS ships"


async def _queries_come_and_go(running: Harbour) -> None:
    """Each ends in a state in which an older message would be felt."""
    for number in range(1, 4):
        await _put(running, "changed", number)
    for name in ("gone", "anew", "paused", "resumed"):
        await _put(running, name, 1)
    await _delete(running, "gone")
    await _delete(running, "anew")
    await _put(running, "anew", 2)
    await _post(running, "resumed", "stop")
    await _post(running, "resumed", "start")
    await _post(running, "paused", "start")
    await _post(running, "paused", "stop")
    await eventually(lambda: _as_ordered(running), "queries are as they were last ordered", 60)


async def _as_ordered(running: Harbour) -> bool:
    statuses = {name: (await _get(running, name)) for name in ("changed", "gone", "anew", "paused", "resumed")}
    states = {name: status["status"] if status is not None else None for name, status in statuses.items()}
    if states != {"changed": "Running", "gone": None, "anew": "Running", "paused": "Stopped", "resumed": "Running"}:
        return False
    for name, number in (("changed", 3), ("anew", 2), ("resumed", 1)):
        rows = await running.rows(name)
        if rows != running.database.read(f"SELECT count(*) AS ships FROM Ship WHERE draught > {number}"):
            return False
    # Not only management says that it is gone.
    answer = await running.client.get(f"{running.system.fleet.url('container', 'default')}/queries/gone", headers=running.headers)
    return answer.status_code == 404


async def _get(running: Harbour, name: str) -> dict[str, Any] | None:
    answer = await running.client.get(f"{running.system.url}/v1/continuousQueries/{name}", headers=running.headers)
    if answer.status_code == 404:
        return None
    assert answer.is_success, answer.text
    return dict(answer.json()["status"])


async def _put(running: Harbour, name: str, number: int) -> None:
    spec = {"container": "default", "sources": {"subscriptions": [{"id": "harbour-db"}]}, "query": _text(number)}
    url = f"{running.system.url}/v1/continuousQueries/{name}"
    answer = await running.client.put(url, json=spec, headers=running.headers)
    assert answer.is_success, answer.text


async def _delete(running: Harbour, name: str) -> None:
    answer = await running.client.delete(f"{running.system.url}/v1/continuousQueries/{name}", headers=running.headers)
    assert answer.is_success, answer.text


async def _post(running: Harbour, name: str, verb: str) -> None:
    answer = await running.client.post(f"{running.system.url}/v1/continuousQueries/{name}/{verb}", headers=running.headers)
    assert answer.is_success, answer.text
