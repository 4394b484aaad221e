"""Four kinds of functions, each in processes of its own, on Firestore and Pub/Sub: from a row in a database to an HTTP call."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from tests.embedded.waiting import eventually
from tests.emulator.course import kept, until
from tests.emulator.harbour import FUNCTIONS, Harbour, harbour
from tests.postgres import Server, postgres

__all__ = ["postgres"]

_TOKEN = re.compile(r"eyJ[\w-]+\.eyJ[\w-]+\.")


async def test_a_row_changes_and_the_call_the_document_and_the_stream_come(tmp_path: Path, postgres: Server) -> None:
    said: list[str] = []
    try:
        async with harbour(tmp_path, said, postgres) as running:
            await _row_changes(running)
            left = {"lines": "\n".join(said), **await _answers(running), **await _documents(running)}
    finally:
        print("\n".join(said[-200:]))
    left |= await asyncio.to_thread(_files, tmp_path)
    assert "harbour-db" in left["/v1/sources/harbour-db"]
    assert any("ship-7" in text for name, text in left.items() if "/documents/drasi-default" in name), "logs are looked into"
    assert [name for name, text in left.items() if postgres.password in text] == []
    # Tokens are in their own file, and where the emulator of Pub/Sub is told where to push.
    assert [name for name, text in left.items() if _TOKEN.search(text) and not name.endswith("/state/token")] == []


async def _answers(running: Harbour) -> dict[str, str]:
    """What whoever may ask is told."""
    of_management = ("/v1/sources", "/v1/sources/harbour-db", "/v1/reactions/alerts", "/v1/status", "/console", "/metrics")
    urls = {path: f"{running.system.url}{path}" for path in of_management}
    for place, name in FUNCTIONS:
        for path in ("/status", "/dead-letters", "/metrics"):
            urls[f"{name}{path}"] = running.system.fleet.url(place, name) + path
    return {path: (await running.client.get(url, headers=running.headers)).text for path, url in urls.items()}


def _files(directory: Path) -> dict[str, str]:
    return {str(file): file.read_text(errors="replace") for file in directory.rglob("*") if file.is_file()}


async def _documents(running: Harbour) -> dict[str, str]:
    """All that is in Firestore, as another program reads it; what is packed is unpacked."""
    url = f"http://{running.firestore}/v1/projects/{running.system.project}/databases/(default)/documents:runQuery"
    query = {"structuredQuery": {"from": [{"allDescendants": True}]}}
    answer = await running.client.post(url, json=query, headers={"Authorization": "Bearer owner"})
    found: dict[str, str] = {}
    for item in answer.json():
        if document := item.get("document"):
            found[document["name"]] = json.dumps(document) + "".join(_unpacked(document.get("fields")))
    return found


def _unpacked(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("bytesValue"), str):
            data = base64.b64decode(value["bytesValue"])
            at = data.find(zstandard.FRAME_HEADER)
            yield data.decode(errors="replace")
            if at >= 0:
                yield zstandard.ZstdDecompressor().decompressobj().decompress(data[at:]).decode(errors="replace")
        for item in value.values():
            yield from _unpacked(item)
    elif isinstance(value, list):
        for item in value:
            yield from _unpacked(item)


async def _row_changes(running: Harbour) -> None:
    await eventually(running.agrees, "the answers are those of the database", 40)
    assert len({child.pid for child in running.system.fleet.children}) == 8
    notifications: list[dict[str, Any]] = []
    reading = asyncio.create_task(running.read_notifications(notifications))
    try:
        await until(lambda: any(one["op"] == "h" for one in notifications), "the stream begins with the rows")
        before = len(running.calls.calls)
        running.database.write(["UPDATE Ship SET draught = 99, berth = 3 WHERE id = 'ship-7'"])
        after = {"ship": "ship-7", "berth": 3, "draught": 99}
        await until(lambda: any(body.get("after") == after for _, body in running.calls.calls[before:]), "the call comes")
        await until(lambda: any(one["payload"].get("after") == after for one in notifications if one["op"] in "iu"), "the event")
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    await eventually(running.agrees, "the answers are those of the database", 40)
    await eventually(lambda: kept(running), "the collection is the answer", 40)
