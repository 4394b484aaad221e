"""The manifests of directories, as ``drasi run`` reads them, and whether they have changed since."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drasi.resources.load import Document, load

SUFFIXES = (".yaml", ".yml", ".json")


def files(directories: Iterable[Path]) -> list[Path]:
    """Manifest files, in order of name; those of a directory itself, not of folders in it."""
    found: list[Path] = []
    for directory in directories:
        if directory.is_file():
            found.append(directory)
        else:
            found += sorted(path for path in directory.iterdir() if _is_manifest(path))
    return found


def _is_manifest(path: Path) -> bool:
    return path.suffix in SUFFIXES and path.is_file() and not path.name.startswith(".")


def read(paths: Iterable[Path]) -> list[Document]:
    """Every document of the files. One that cannot be read is a document that says so."""
    return [document for path in paths for document in load(path.read_text(encoding="utf-8"), str(path))]


class Watched:
    """Tells whether files have changed, appeared or gone since the last look."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = list(directories)
        self._seen = self._look()

    def changed(self) -> bool:
        now = self._look()
        if now == self._seen:
            return False
        self._seen = now
        return True

    def _look(self) -> dict[Path, tuple[int, int]]:
        stamps = {}
        for path in files(self._directories):
            try:
                stat = path.stat()
            except FileNotFoundError:  # gone between listing and looking
                continue
            stamps[path] = (stat.st_mtime_ns, stat.st_size)
        return stamps
