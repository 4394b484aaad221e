"""Google's emulators, each started once per test session by the first test that asks for it, and ended with the session."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import pytest

_START_S = 90.0
_COMMANDS = {"pubsub": ["beta", "emulators", "pubsub"], "firestore": ["emulators", "firestore"]}


@cache
def pubsub() -> str:
    """``host:port`` of Pub/Sub."""
    return Emulator("pubsub").start()


@cache
def firestore() -> str:
    """``host:port`` of Firestore."""
    return Emulator("firestore").start()


class Emulator:
    """One emulator's process, for a test that pauses it or ends it; it ends with the session at the latest.

    Attributes:
        host: ``host:port``, the same after a restart, which begins empty.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Starts it, and returns where it is."""
        self.begin()
        while not self.listens():
            time.sleep(0.05)
        return self.host

    def begin(self) -> None:
        """Starts it, and waits for nothing."""
        gcloud = shutil.which("gcloud")
        if gcloud is None or shutil.which("java") is None:
            reason = f"the {self._name} emulator needs gcloud and java"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        self._directory = Path(tempfile.mkdtemp(prefix=f"drasi-{self._name}-"))
        environment = {**os.environ, "CLOUDSDK_CORE_DISABLE_PROMPTS": "1", "JAVA_TOOL_OPTIONS": "-Xmx768m"}
        arguments = [gcloud, *_COMMANDS[self._name], "start", f"--host-port={self.host}", "--project=drasi-test"]
        if self._name == "pubsub":
            arguments.append(f"--data-dir={self._directory}")
        with (self._directory / "log").open("wb") as output:
            self._process = subprocess.Popen(arguments, stdout=output, stderr=output, start_new_session=True, env=environment)
        self._deadline = time.monotonic() + _START_S
        atexit.register(self.stop)

    def listens(self) -> bool:
        """Whether it has come up; fails the test if it does not."""
        assert self._process is not None
        assert self._directory is not None
        address, _, port = self.host.partition(":")
        try:
            socket.create_connection((address, int(port)), timeout=1.0).close()
        except OSError:
            if self._process.poll() is not None or time.monotonic() > self._deadline:
                pytest.fail(f"{self._name} did not start: {(self._directory / 'log').read_text(errors='replace')[-2_000:]}")
            return False
        return True

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is None or self._directory is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._process = None
        atexit.unregister(self.stop)

    def _signal(self, number: int) -> None:
        # gcloud starts Java as a child: the whole group gets it.
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
