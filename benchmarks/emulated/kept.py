"""A container's log in Firestore with a large graph in it, and processes of the query function over it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import httpx

from benchmarks import comfort
from benchmarks.container import NothingYet, Nowhere, message
from benchmarks.wire import source_change
from drasi.container import Container, Settings
from drasi.embedded.identity import Identity
from drasi.emulate.child import Child, python
from drasi.emulate.system import FUNCTIONS
from drasi.firestore.client import FirestoreClient
from drasi.log.firestore_logs import FirestoreLogs
from drasi.log.snapshots import manifests
from drasi.messages import control as control_messages
from drasi.messages.changes import encode
from drasi.messages.control import ControlMessage
from drasi.messages.envelope import Message
from drasi.resources.known import default_container

QUERY = "comfort"
_CONTAINER = default_container("emulator")
_NEVER = Settings(snapshot_entries=10**9, snapshot_bytes=10**12)


class Kept:
    """See the module.

    Args:
        directory: A state directory: keys, ports.
        emulators: ``firestore`` and ``pubsub``: where they are.

    Attributes:
        elements: In the graph.
        number: Of the last change.
    """

    def __init__(self, directory: Path, emulators: dict[str, str], project: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.identity = Identity(directory)
        self.elements = 0
        self.number = 0
        self._emulators = emulators
        self._project = project
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        self.said: list[str] = []
        self._environment = {
            **os.environ,
            "DRASI_PROFILE": "emulator",
            "DRASI_PROJECT": project,
            "DRASI_STATE": str(directory),
            "DRASI_PORTS": str(directory / "ports"),
            "FIRESTORE_EMULATOR_HOST": emulators["firestore"],
            "PUBSUB_EMULATOR_HOST": emulators["pubsub"],
        }

    def close(self) -> None:
        self._socket.close()

    async def fill(self, rooms: int, query: str) -> None:
        """Loads the graph through a container, and writes a snapshot of it."""
        spec = {"query": comfort.QUERIES[query], "sources": {"subscriptions": [{"id": comfort.SOURCE}]}}
        order = ControlMessage(kind="configure", queryId=QUERY, version=1, spec=spec)
        loading = [encode(source_change(insert, 1 + i)) for i, insert in enumerate(comfort.elements(rooms))]
        async with _Opened(self, _NEVER) as container:
            assert await container.control(Message(control_messages.encode(order), {})) == 204
            messages = [message(loading[start : start + 1000], 1 + start) for start in range(0, len(loading), 1000)]
            assert set(await asyncio.gather(*map(container.changes, messages))) == {204}
        self.elements = self.number = len(loading)
        async with _Opened(self, Settings(snapshot_entries=1)):
            pass
        async with _Client(self) as client:
            log = FirestoreLogs(client).open(_CONTAINER.name, _CONTAINER.spec, "durable")
            assert await manifests(log)
            await log.close()

    async def restore_here(self) -> tuple[float, float, int]:
        """Seconds until a container in this process has restored, seconds of a CPU, and the entries behind the snapshot."""
        async with _Client(self) as client:
            log = FirestoreLogs(client).open(_CONTAINER.name, _CONTAINER.spec, "durable")
            container = Container("default", log, Nowhere(), NothingYet(), settings=_NEVER)
            started, cpu = time.perf_counter(), time.process_time()
            await container.start()
            elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
            later = int(container.status()["entry"]) - (container._kept.newest.number if container._kept.newest else 0)
            await container.close()
        return elapsed, cpu, later

    def process(self) -> Child:
        """The query function; start it."""
        command = python("drasi.emulate.served", str(FUNCTIONS / "query" / "main.py"), "query", str(self._socket.fileno()))
        return Child(
            "query", command, self._environment, lambda name, text: self.said.append(text), descriptors=[self._socket.fileno()]
        )

    async def started(self) -> tuple[float, float]:
        """Seconds from the start of a process until it says that it is ready, and seconds of a CPU; the one before was killed."""
        child = self.process()
        began = time.perf_counter()
        await child.start()
        try:
            async with asyncio.timeout(120), httpx.AsyncClient() as client:
                # The socket is ours: who connects waits until the process listens.
                while (await client.get(f"http://127.0.0.1:{self.port}/readyz", timeout=120)).status_code != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            return time.perf_counter() - began, cpu_seconds(child.pid or 0)
        finally:
            child.kill()
            await child.stop()


def cpu_seconds(pid: int) -> float:
    """Of a CPU, that the process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Client:
    def __init__(self, kept: Kept) -> None:
        self._client = FirestoreClient(kept._project, emulator=kept._emulators["firestore"])

    async def __aenter__(self) -> FirestoreClient:
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


class _Opened:
    """The container in this process; closing it waits for a snapshot that is due."""

    def __init__(self, kept: Kept, settings: Settings) -> None:
        self._client = _Client(kept)
        self._settings = settings

    async def __aenter__(self) -> Container:
        log = FirestoreLogs(await self._client.__aenter__()).open(_CONTAINER.name, _CONTAINER.spec, "durable")
        self._container = Container("default", log, Nowhere(), NothingYet(), settings=self._settings)
        await self._container.start()
        return self._container

    async def __aexit__(self, *_: object) -> None:
        if self._container._writing is not None:
            await self._container._writing
        await self._container.close()
        await self._client.__aexit__()


def import_seconds(rounds: int = 5) -> tuple[tuple[float, float], tuple[float, float]]:
    """Median seconds, and seconds of a CPU, to import the query function's ``main.py``, and that with all it needs in the cloud."""
    begin = "import sys, time; began = time.perf_counter(), time.process_time(); sys.path.insert(0, sys.argv[1]); import main"
    end = "print(time.perf_counter() - began[0], time.process_time() - began[1])"
    found = []
    for rest in ("", "import drasi.functions.query, drasi.functions.google; "):
        command = [sys.executable, "-c", f"{begin}; {rest}{end}", str(FUNCTIONS / "query")]
        runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(rounds)]
        found.append((median(float(run[0]) for run in runs), median(float(run[1]) for run in runs)))
    return found[0], found[1]
