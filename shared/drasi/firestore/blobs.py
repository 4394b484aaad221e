"""Bytes of any size in documents: one where they fit, else a head and parts beside it, visible at once or not at all.

The head has the bytes (``data``), or says how many parts there are (``parts``), how many bytes (``size``), and of which writing
they are (``nonce``). Parts of another writing are never taken for its own. They are in a collection of their own, so that listing
and reading heads costs nothing for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from google.cloud.firestore_v1.types import Write

from drasi.firestore.client import FirestoreClient, Found

PART_BYTES = 1_000_000
"""Of one document: 1 MiB is the most, with its name and its fields' names."""

COMMIT_BYTES = 3_500_000
"""Of one commit: 10 MiB is the most in the cloud, 4 MiB in the emulator."""


class Torn(Exception):
    """A part is not there: the document was replaced or deleted meanwhile, or somebody deleted the part."""


def parts_of(data: bytes, size: int = PART_BYTES) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def head_fields(data: bytes, nonce: bytes) -> dict[str, bytes | int]:
    """What the head holds."""
    if len(data) <= PART_BYTES:
        return {"data": data, "nonce": nonce}
    return {"parts": -(-len(data) // PART_BYTES), "size": len(data), "nonce": nonce}


def part_paths(path: str, fields: dict[str, Any]) -> list[str]:
    """Where the parts of a head are."""
    parts, nonce = fields.get("parts", 0), fields.get("nonce", b"")
    return [part_path(path, nonce, number) for number in range(parts)]


def part_path(path: str, nonce: bytes, number: int) -> str:
    collection, _, identifier = path.rpartition("/")
    return f"{collection}-parts/{identifier}~{nonce.hex()}~{number:04d}"


def commits(client: FirestoreClient, path: str, head: Write, data: bytes, nonce: bytes) -> list[list[Write]]:
    """The commits that write a blob, in order. The last one holds the head, and makes it visible."""
    if len(data) <= PART_BYTES:
        return [[head]]
    made: list[list[Write]] = [[]]
    size = 0
    for number, part in enumerate(parts_of(data)):
        if size + len(part) > COMMIT_BYTES:
            made.append([])
            size = 0
        made[-1].append(client.set(part_path(path, nonce, number), {"data": part}))
        size += len(part)
    made[-1].append(head)
    return made


async def contents(client: FirestoreClient, heads: Sequence[Found]) -> list[bytes]:
    """The bytes of heads that were read.

    Raises:
        Torn
    """
    wanted = [path for head in heads for path in part_paths(head.path, head.fields)]
    parts = await _read(client, wanted)
    try:
        return [_whole(head, parts) for head in heads]
    except KeyError as error:
        raise Torn(f"document {error.args[0]} is missing") from error


def _whole(head: Found, parts: dict[str, bytes]) -> bytes:
    if not head.fields.get("parts"):
        return bytes(head.fields["data"])
    return b"".join(parts[path] for path in part_paths(head.path, head.fields))


async def _read(client: FirestoreClient, paths: Iterable[str]) -> dict[str, bytes]:
    paths = list(paths)
    if not paths:
        return {}
    found, _ = await client.read(paths)
    return {path: document.fields["data"] for path, document in found.items()}


def new_nonce() -> bytes:
    return os.urandom(8)
