"""A burst of 200,000 changes over the same elements, with a reader that keeps up and one that does not."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.embedded.owner import owner
from tests.embedded.test_kill import port_of
from tests.embedded.waiting import until

MANIFESTS = """
apiVersion: v1
kind: Source
name: sensors
spec: {kind: Http, properties: {}}
---
apiVersion: v1
kind: ContinuousQuery
name: levels
spec:
  sources: {subscriptions: [{id: sensors}]}
  query: MATCH (r:Room) RETURN r.name AS name, r.level AS level
---
apiVersion: v1
kind: Reaction
name: out
spec: {kind: SSE, queries: {levels: null}}
"""

ROOMS = 100
BATCH = 500
FIRST, ALL = 20_000, 200_000


@contextmanager
def _system(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    manifests, state = tmp_path / "manifests", tmp_path / "state"
    manifests.mkdir()
    state.mkdir()
    (manifests / "all.yaml").write_text(MANIFESTS)
    command = [sys.executable, "-m", "drasi", "run", str(manifests), "--state", str(state), "--port", "0"]
    with (state / "run.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: port_of(state, process) > 0, "it runs", 30)
            url = f"http://127.0.0.1:{port_of(state, process)}"
            with httpx.Client(base_url=url, timeout=60, headers=owner(state)) as client:
                until(lambda: '"running"' in client.get("/queries/levels").text, "the query runs")
                yield process, client
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


def _post(client: httpx.Client, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, BATCH):
        events = [
            {
                "operation": "update",
                "element": {
                    "type": "node",
                    "id": f"r{number % ROOMS}",
                    "labels": ["Room"],
                    "properties": {"name": f"room {number % ROOMS}", "level": number},
                },
            }
            for number in range(start, start + BATCH)
        ]
        assert client.post("/sources/sensors/events/batch", json={"events": events}).status_code == 202


def _memory_kib(process: subprocess.Popen[bytes]) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


class Reader:
    """Follows the stream and keeps the rows, checking that each difference follows from the last."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._port = port
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.rows: dict[str, dict[str, Any]] = {}
        self.last_id = ""
        self.connections = 0
        self.seen = 0

    def connect(self, *, buffer: int | None = None) -> socket.socket:
        self.connections += 1
        reader = socket.socket()
        if buffer is not None:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        reader.settimeout(30)
        reader.connect(("127.0.0.1", self._port))
        resume = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
        path = "/reactions/out/events?query=levels"
        reader.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n{self._headers}{resume}\r\n".encode())
        return reader

    def follow(self, reader: socket.socket, final: int) -> bool:
        """Reads until a row has the final level: True; or until the server ends the stream: False."""
        with reader.makefile("rb") as lines:
            upcoming = ""
            for line in lines:
                if not line.endswith(b"\n"):
                    return False
                if line.startswith(b"id: "):
                    upcoming = line[4:].strip().decode()
                elif line.startswith(b"data: "):
                    if self._take(json.loads(line[6:])) == final:
                        return True
                elif line == b"\n" and upcoming:
                    self.last_id, upcoming = upcoming, ""
        return False

    def _take(self, item: dict[str, Any]) -> int | None:
        if item["op"] == "h":
            self.rows.clear()
        if item["op"] not in "riud":
            return None
        payload = item["payload"]
        before = self.rows.get(payload["rowId"])
        if item["op"] == "u":
            assert before == payload["before"]
        elif item["op"] == "i":
            assert before is None
        self.rows[payload["rowId"]] = payload["after"]
        self.seen += 1
        level = payload["after"]["level"]
        assert isinstance(level, int)
        return level


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_burst_loses_nothing_and_takes_no_memory(tmp_path: Path) -> None:
    with _system(tmp_path) as (process, client):
        port = client.base_url.port
        assert port is not None
        shown = owner(tmp_path / "state")
        quick, slow = Reader(port, shown), Reader(port, shown)
        followed: list[bool] = []
        stream = quick.connect()
        following = threading.Thread(target=lambda: followed.append(quick.follow(stream, ALL - 1)))
        following.start()
        stalled = slow.connect(buffer=4096)  # it reads nothing until all is over
        _post(client, range(FIRST))
        early = _memory_kib(process)
        _post(client, range(FIRST, ALL))
        late = _memory_kib(process)
        following.join(60)
        stream.close()
        assert followed == [True]
        assert quick.seen == ALL
        assert not slow.follow(stalled, ALL - 1), "a reader that does not read is cut off"
        stalled.close()
        while True:
            again = slow.connect()
            with again:
                if slow.follow(again, ALL - 1):
                    break
            assert slow.connections < 20
        view = {item["rowId"]: item["data"] for item in client.get("/queries/levels").json()[1:]}
        assert view == quick.rows == slow.rows
        assert {row["level"] for row in view.values()} == set(range(ALL - ROOMS, ALL))
        assert late <= 1.2 * early, f"{early} KiB after {FIRST} changes, {late} KiB after {ALL}"
