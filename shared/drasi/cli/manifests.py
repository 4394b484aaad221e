"""Where manifests come from: files, directories, URLs, standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from drasi.cli.options import FAILED, USAGE, CommandFailed
from drasi.resources.load import Document, from_data, load
from drasi.resources.problems import Problem, dotted

SUFFIXES = (".yaml", ".yml", ".json")


def chosen(arguments: Sequence[str], files: bool) -> list[Document]:
    """The documents that a command's arguments name: ``-f`` files, standard input, or ``kind name``.

    Raises:
        CommandFailed: Wrong count, nothing found, unreadable.
    """
    if files:
        documents = read(arguments)
    elif not arguments:
        documents = load(sys.stdin.read(), "standard input")
    elif len(arguments) == 2:
        from drasi.cli.api import parse_kind

        documents = [from_data({"apiVersion": "v1", "kind": parse_kind(arguments[0]), "name": arguments[1]})]
    else:
        raise CommandFailed(f"invalid argument count: expected 0 or 2 arguments, got {len(arguments)}", exit_code=USAGE)
    if not documents:
        raise CommandFailed("no manifests found. Did you forget to specify the '-f' flag")
    return documents


def read(places: Iterable[str | Path]) -> list[Document]:
    """The documents of files, of all manifests in directories (sorted by name), and of URLs."""
    documents: list[Document] = []
    for place in places:
        text = str(place)
        if text.startswith(("http://", "https://")):
            documents += load(_fetch(text), text)
            continue
        path = Path(text)
        found = in_directory(path) if path.is_dir() else [path]
        for file in found:
            try:
                content = file.read_text(encoding="utf-8")
            except FileNotFoundError:
                raise CommandFailed(f"{file}: no such file or directory") from None
            except (OSError, UnicodeDecodeError) as error:
                raise CommandFailed(f"cannot read {file}: {error}", exit_code=FAILED) from error
            documents += load(content, str(file))
    return documents


def in_directory(directory: Path) -> list[Path]:
    """The manifests of a directory and of those below it, without hidden ones and without an example's ``page``."""
    found = []
    for file in sorted(directory.rglob("*")):
        inside = file.relative_to(directory).parts
        if file.suffix in SUFFIXES and file.is_file() and inside[0] != "page" and not any(part.startswith(".") for part in inside):
            found.append(file)
    return found


def placed(document: Document, problem: Problem) -> Problem:
    """The problem with its place in the file: the server has seen documents, not files.

    What has an excerpt stands inside a text of the manifest, and keeps its place there.
    """
    if problem.excerpt is None:
        by_name = {dotted(path): path for path in document.places}
        name = problem.path
        while name not in by_name and name:
            name = name[: max(name.rfind("."), name.rfind("["), 0)]
        if name in by_name and document.text:
            place = document.place(by_name[name], key=problem.code in ("UnknownField", "IgnoredField"))
            if place is not None:
                problem.line, problem.column = place
    return problem


def plain(document: Document) -> Any:
    """What is sent of a document; what could not be read is said at once.

    Raises:
        CommandFailed: It could not be read.
    """
    if document.error is not None:
        raise CommandFailed(f"{document.file}: {document.error.text()}" if document.file else document.error.text())
    return document.data


def _fetch(url: str) -> str:
    import httpx

    try:
        response = httpx.get(url, follow_redirects=True, timeout=30)
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise CommandFailed(f"cannot read {url}: {error}") from error
    return response.text
