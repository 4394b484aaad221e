"""A ring of keys in a file that only its owner reads."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from drasi.auth.keys import KeyRing, KeysUnreadable
from drasi.private_file import write_private


class KeyFile:
    """A ``KeyStore`` in a file of mode 0600, replaced as a whole; processes take turns by a lock beside it.

    A file that is mounted from elsewhere (a Kubernetes Secret) may be replaced under a running process: it is read again whenever
    it is another one.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._seen: tuple[int, int, int] | None = None
        self._ring: KeyRing | None = None

    def load(self) -> KeyRing | None:
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if seen != self._seen:
                self._ring = KeyRing.decode(self._path.read_bytes())
                self._seen = seen
        except FileNotFoundError:
            self._seen = self._ring = None
        except OSError as error:
            raise KeysUnreadable(f"cannot read {self._path}: {error.strerror}", hint="it holds the signing keys") from error
        return self._ring

    def change(self, change: Callable[[KeyRing | None], KeyRing]) -> KeyRing:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            ring = change(self.load())
            write_private(self._path, ring.encode())
        return ring

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
