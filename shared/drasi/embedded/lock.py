"""One process per state directory: a file that is locked while the process lives, and says who it is."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import msgspec

from drasi.errors import DrasiError

FILE = "drasi.lock"


class AlreadyRunning(DrasiError):
    """Another process runs on this state directory."""

    code: ClassVar[str] = "AlreadyRunning"

    def __init__(self, directory: Path, holder: Holder) -> None:
        where = f", http://127.0.0.1:{holder.port}" if holder.port else ""
        super().__init__(
            f"state directory {directory} is in use by process {holder.pid} (port {holder.port or 'not open yet'}{where})",
            hint=f"use that one, stop it (kill {holder.pid}), or give another directory with --state",
        )
        self.holder = holder


class StateDirectoryUnusable(DrasiError):
    """The state directory cannot be made or written."""

    code: ClassVar[str] = "StateDirectoryUnusable"


class Holder(msgspec.Struct):
    """Who holds the lock; port 0: it does not listen yet."""

    pid: int = 0
    port: int = 0


class StateLock:
    """The lock of a state directory. The system releases it when the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = -1

    def acquire(self) -> None:
        """Makes the directory if it is not there, and takes the lock.

        Raises:
            AlreadyRunning: Another process has it.
            StateDirectoryUnusable: It cannot be made, or not be written.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            file = os.open(self._directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateDirectoryUnusable(
                f"the state directory {self._directory} cannot be used: {error.strerror} ({error.filename})",
                hint="give a directory that this user may write with --state",
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            content = os.pread(file, 1000, 0)
            os.close(file)
            raise AlreadyRunning(self._directory, _holder(content)) from error
        self._file = file
        self.announce(0)

    def announce(self, port: int) -> None:
        """Writes down where this process listens, for those who find the directory in use."""
        content = msgspec.json.encode(Holder(os.getpid(), port))
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _holder(content: bytes) -> Holder:
    try:
        return msgspec.json.decode(content, type=Holder)
    except msgspec.MsgspecError:
        return Holder()
