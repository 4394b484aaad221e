"""One process per state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drasi.embedded.lock import FILE, AlreadyRunning, StateDirectoryUnusable, StateLock

HOLD = """
import sys, pathlib
from drasi.embedded.lock import StateLock
lock = StateLock(pathlib.Path(sys.argv[1])); lock.acquire(); lock.announce(8123)
print("held", flush=True); sys.stdin.read()
"""


def test_a_second_one_is_told_who_has_it(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning) as raised:
            StateLock(tmp_path).acquire()
        holder.kill()
    assert f"process {holder.pid} (port 8123" in raised.value.message
    assert str(holder.pid) in raised.value.hint
    with StateLock(tmp_path):  # the killed process holds nothing any more
        assert f'"pid":{os.getpid()}' in (tmp_path / FILE).read_text()


def test_in_one_process_too(tmp_path: Path) -> None:
    with StateLock(tmp_path), pytest.raises(AlreadyRunning, match="not open yet"):
        StateLock(tmp_path).acquire()
    with StateLock(tmp_path):
        pass


@pytest.mark.parametrize("under", ["", "below"])
def test_a_directory_that_cannot_be_made_says_which_and_what_to_do(tmp_path: Path, under: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateDirectoryUnusable, match=str(tmp_path / "file")) as raised:
        StateLock(tmp_path / "file" / under).acquire()
    assert "--state" in raised.value.hint


def test_the_directory_is_made(tmp_path: Path) -> None:
    with StateLock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / FILE).is_file()
