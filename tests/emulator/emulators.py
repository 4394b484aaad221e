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


@cache
def pubsub() -> str:
    """``host:port`` of Pub/Sub."""
    return _start("pubsub", ["beta", "emulators", "pubsub"])


@cache
def firestore() -> str:
    """``host:port`` of Firestore."""
    return _start("firestore", ["emulators", "firestore"])


def _start(name: str, command: list[str]) -> str:
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        reason = f"the {name} emulator needs gcloud and java"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    directory = Path(tempfile.mkdtemp(prefix=f"drasi-{name}-"))
    log = directory / "log"
    environment = {**os.environ, "CLOUDSDK_CORE_DISABLE_PROMPTS": "1", "JAVA_TOOL_OPTIONS": "-Xmx768m"}
    arguments = [gcloud, *command, "start", f"--host-port={host}", "--project=drasi-test"]
    if name == "pubsub":
        arguments.append(f"--data-dir={directory}")
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, start_new_session=True, env=environment)
    atexit.register(_stop, process, directory)
    deadline = time.monotonic() + _START_S
    while not _listens(host):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the {name} emulator did not start: {log.read_text(errors='replace')[-2_000:]}")
        time.sleep(0.1)
    return host


def _listens(host: str) -> bool:
    address, _, port = host.partition(":")
    try:
        socket.create_connection((address, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes], directory: Path) -> None:
    # gcloud starts Java as a child: the whole group goes.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(directory, ignore_errors=True)
