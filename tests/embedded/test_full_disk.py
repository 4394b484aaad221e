"""The disk is full: nothing is acknowledged that is not kept, the status says what to do, and it goes on when there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.embedded.test_serve import client_of, run
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
"""
ROOMS = 50


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A directory with room for 3 MB."""
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(directory)], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def _batch(number: int) -> dict[str, Any]:
    rooms = [{"name": f"room {room}", "level": number, "pad": "x" * 800} for room in range(ROOMS)]
    elements = [{"type": "node", "id": str(room), "labels": ["Room"], "properties": of} for room, of in enumerate(rooms)]
    return {"events": [{"operation": "update", "element": element} for element in elements]}


def _levels(client: httpx.Client) -> set[int]:
    return {item["data"]["level"] for item in client.get("/queries/levels").json()[1:]}


def test_a_full_disk(tmp_path: Path, small: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(MANIFESTS)
    with run(manifests, small) as process, client_of(small, process) as client:
        until(lambda: '"running"' in client.get("/queries/levels").text, "the query runs")
        accepted = 0
        for number in range(1, 1_000):
            answer = client.post("/sources/sensors/events/batch", json=_batch(number))
            if answer.status_code != 202:
                break
            accepted = number
        assert answer.status_code == 503
        assert "full" in answer.text
        assert _levels(client) <= {accepted, accepted + 1}  # what was refused may have come all the same, but nothing is lost
        status = client.get("/v1/queryContainers/default").json()["status"]
        assert not status["available"]
        assert "make room on the disk" in status["messages"]["Log"]
        assert client.get("/readyz").status_code == 503
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        until(lambda: client.post("/sources/sensors/events/batch", json=_batch(5_000)).status_code == 202, "it accepts again", 60)
        until(lambda: _levels(client) == {5_000}, "the answer is right")
        until(lambda: client.get("/readyz").status_code == 200, "it is ready")
        process.terminate()
        assert process.wait(20) == 0
