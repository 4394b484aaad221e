"""``drasi run`` is killed at random moments under load: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from drasi.embedded.lock import FILE
from tests.embedded.facilities import DATABASE, answers, example, ordered
from tests.embedded.owner import owner
from tests.embedded.target import Target
from tests.embedded.waiting import eventually, until
from tests.web.served import serving

KILLS = 12
QUERIES = ("floor-comfort", "building-comfort", "room-alert")

MANIFESTS = Path(__file__).resolve().parents[2] / "examples" / "building-comfort"

REACTION = """
apiVersion: v1
kind: Reaction
name: target
spec:
  kind: Http
  properties: {{baseUrl: "{url}"}}
  onFailure: {{attempts: 1000000}}
  queries:
    floor-comfort:
    building-comfort:
    room-alert:
"""


class Load:
    """Another program that changes rooms as fast as it can, in transactions of one to five."""

    def __init__(self, database: Path, seed: int) -> None:
        self._database = database
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.transactions = 0

    def _run(self) -> None:
        connection = sqlite3.connect(self._database, timeout=30, isolation_level=None)
        ids = [row[0] for row in connection.execute("SELECT id FROM Room")]
        while not self._stop.is_set():
            connection.execute("BEGIN IMMEDIATE")
            for room in self._chance.sample(ids, self._chance.randint(1, 5)):
                values = (self._chance.randint(60, 85), self._chance.randint(30, 55), self._chance.randint(400, 900), room)
                connection.execute("UPDATE Room SET temp = ?, humidity = ?, co2 = ? WHERE id = ?", values)
            connection.execute("COMMIT")
            self.transactions += 1
            self._stop.wait(0.02)
        connection.close()

    def goes_on(self, transactions: int) -> None:
        """Returns when so many more are done."""
        enough = self.transactions + transactions
        until(lambda: self.transactions >= enough, "the load goes on", 30)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def drasi(directory: Path, state: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``drasi run`` as a process of its own; killed at the end."""
    command = [sys.executable, "-m", "drasi", "run", str(directory), "--port", "0", "--state", str(state)]
    with (state / "run.log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def port_of(state: Path, process: subprocess.Popen[bytes]) -> int:
    """Where it listens, once it does; 0 before."""
    try:
        holder = json.loads((state / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return 0
    assert process.poll() is None, (state / "run.log").read_text()
    return int(holder["port"]) if holder["pid"] == process.pid else 0


async def test_killed_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(20260301)
    target = Target(seed=7)
    state, manifests = tmp_path / "state", tmp_path / "manifests"
    state.mkdir()
    manifests.mkdir()
    await example().setup(state)
    for name in ("source.yaml", "comfort.yaml", "alerts.yaml"):
        (manifests / name).write_text((MANIFESTS / name).read_text())
    async with serving(target.app) as at:
        (manifests / "reactions.yaml").write_text(REACTION.format(url=str(at.base_url).rstrip("/")))
        await asyncio.to_thread(_kill_again_and_again, manifests, state, chance)
        target.well()
        with drasi(manifests, state) as process:
            await asyncio.to_thread(until, lambda: port_of(state, process) > 0, "it runs", 30)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port_of(state, process)}", headers=owner(state)) as client:
                await _agrees(client, target, state)
    assert target.taken
    log = (state / "run.log").read_text()
    assert "Traceback" not in log, log


def _kill_again_and_again(manifests: Path, state: Path, chance: random.Random) -> None:
    with Load(state / DATABASE, seed=3) as load:
        for number in range(KILLS):
            with drasi(manifests, state) as process:
                if number % 3:  # else: while it starts
                    until(lambda process=process: port_of(state, process) > 0, "it runs", 30)  # type: ignore[misc]
                load.goes_on(chance.randint(1, 60))


async def _agrees(client: httpx.AsyncClient, target: Target, state: Path) -> None:
    """In the end the answers are those of the database, and the target has every difference of them exactly once."""
    wanted = answers(state)
    views: dict[str, dict[str, object]] = {}

    async def answered() -> bool:
        for query in QUERIES:
            answer = await client.get(f"/queries/{query}")
            if answer.status_code != 200:
                return False
            _, *items = answer.json()
            if ordered([item["data"] for item in items]) != wanted[query]:
                return False
            views[query] = {item["rowId"]: item["data"] for item in items}
        return True

    await eventually(answered, "the answers are those of the database", 30)

    async def delivered() -> bool:
        status = (await client.get("/v1/reactions/target")).json()["status"]["queries"]
        return all(status[query]["behind"] == 0 for query in QUERIES)

    await eventually(delivered, "everything is delivered", 30)
    for query in QUERIES:
        assert target.folded(query) == views[query]
