"""What a directory of manifests may bring along."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drasi.embedded.example import Driver, ExampleFailed, find
from tests.embedded.waiting import until

CODE = """
import time
from pathlib import Path
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def setup(state):
    (state / "made").write_text("made")

def reset(state):
    (state / "made").unlink()

def drive(state):
    (state / "driven").write_text("driven")
    time.sleep(3600)

async def hello(request):
    return PlainTextResponse("hello")

def routes(state):
    return [Route("/hello", hello)]
"""


def test_a_directory_of_manifests_alone_has_none(tmp_path: Path) -> None:
    assert find(tmp_path) is None


async def test_setup_reset_routes_and_page(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(CODE)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<!doctype html>")
    example = find(tmp_path)
    assert example is not None
    assert example.page == tmp_path / "page"
    await example.setup(tmp_path)
    assert (tmp_path / "made").read_text() == "made"
    await example.reset(tmp_path)
    assert not (tmp_path / "made").exists()
    assert [route.path for route in example.routes(tmp_path)] == ["/hello"]  # type: ignore[attr-defined]


async def test_a_page_alone_is_enough(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<!doctype html>")
    example = find(tmp_path)
    assert example is not None
    await example.setup(tmp_path)
    assert not example.drives
    assert list(example.routes(tmp_path)) == []


async def test_what_fails_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text("import nowhere_at_all")
    with pytest.raises(ExampleFailed, match=r"example\.py: ModuleNotFoundError"):
        find(tmp_path)
    (tmp_path / "example.py").write_text("def setup(state):\n    raise OSError('no room')")
    example = find(tmp_path)
    assert example is not None
    with pytest.raises(ExampleFailed, match="setup failed: OSError: no room"):
        await example.setup(tmp_path)


async def test_the_driver_is_a_process_that_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(CODE)
    example = find(tmp_path)
    assert example is not None
    driver = Driver(example, tmp_path)
    await driver.start()
    await asyncio.to_thread(until, (tmp_path / "driven").exists, "drive is called")
    pid = driver.pid
    assert pid is not None
    await driver.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


PARENT = """
import asyncio, sys, pathlib
from drasi.embedded.example import Driver, find
async def main():
    directory = pathlib.Path(sys.argv[1])
    driver = Driver(find(directory), directory)
    await driver.start()
    print(driver.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_the_driver_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(CODE)
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        until((tmp_path / "driven").exists, "drive is called")
        parent.kill()
    until(lambda: not _command(pid), "the driver has ended")


def _command(pid: int) -> bytes:
    """The command line of a process; empty when it has ended (a zombie has none)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
