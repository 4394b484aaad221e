"""A secret may stand in any property: a host, a path, a topic. What cannot be reached is said without it, whatever its shape."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from drasi.embedded.system import EmbeddedSystem
from drasi.web.logs import Lines
from tests.embedded.waiting import eventually

WORD = "pl4nt"
SHAPES = {
    "word": "pl4nt-ed",
    "url": "pl4nt:/?#[]@!$&()*+,;=%41 pl4nt",
    "lines": "pl4nt\nand-pl4nt",
    "quotes": '"pl4nt\'\\"{}',
    "address": "http://pl4nt:pl4nt@127.0.0.1:9/pl4nt?k=pl4nt",
}
POSTGRESQL: dict[str, Any] = {"host": "127.0.0.1", "port": 9, "database": "d", "user": "u", "password": "x", "tables": ["public.a"]}
STOREDPROC: dict[str, Any] = {
    "databaseHostname": "127.0.0.1", "databasePort": 9, "databaseDbname": "d", "databaseUser": "u", "databasePassword": "x",
    "addedResultCommand": "CALL a()",
}  # fmt: skip
PLACES: list[tuple[str, str, dict[str, Any], str]] = [
    *(("Source", "PostgreSQL", POSTGRESQL, name) for name in ("host", "database", "user", "password")),
    ("Source", "SQLite", {"path": "a.db"}, "path"),
    *(("Reaction", "StoredProc", STOREDPROC, name) for name in ("databaseHostname", "databaseDbname", "databasePassword")),
    ("Reaction", "Http", {"baseUrl": "http://127.0.0.1:9"}, "token"),
    ("Reaction", "Http", {"baseUrl": "http://127.0.0.1:9"}, "baseUrl"),
    ("Reaction", "Firestore", {"collection": "c", "project": "p"}, "collection"),
]
BEFORE = """
{apiVersion: v1, kind: Source, name: quay, spec: {kind: Http, properties: {}}}
---
apiVersion: v1
kind: ContinuousQuery
name: ships
spec: {sources: {subscriptions: [{id: quay}]}, query: 'MATCH (s:Ship) RETURN s.name AS name'}
"""


def manifests() -> str:
    documents = []
    for number, (kind, name, properties, place) in enumerate(PLACES):
        for shape in SHAPES:
            spec: dict[str, Any] = {
                "kind": name, "properties": {**properties, place: {"kind": "Secret", "name": "odd", "key": shape}}
            }  # fmt: skip
            if kind == "Reaction":
                spec |= {"queries": {"ships": None}, "onFailure": {"attempts": 1, "then": "skip"}}
            documents.append({"apiVersion": "v1", "kind": kind, "name": f"x{number}-{shape}", "spec": spec})
    return "\n---\n".join(json.dumps(document) for document in documents)


async def test_a_secret_in_any_place_stays_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:9")
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(Lines(processor=structlog.dev.ConsoleRenderer()))
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    (tmp_path / "secrets.json").write_text(json.dumps({"odd": SHAPES}))
    said = []
    async with EmbeddedSystem(tmp_path, auth=False) as system:
        assert {outcome.result for outcome in await system.apply(BEFORE)} == {"created"}
        said.append(str(await system.apply(manifests())))
        transport = httpx.ASGITransport(system.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            ship = {"type": "node", "id": "s1", "labels": ["Ship"], "properties": {"name": "Aurora"}}
            assert (await client.post("/sources/quay/events", json={"operation": "insert", "element": ship})).status_code == 202

            async def trouble() -> bool:
                """Every source has tried, and every database was asked for."""
                sources = [one["status"]["messages"] for one in (await client.get("/v1/sources")).json() if one["id"] != "quay"]
                reactions = {one["id"]: one["status"] for one in (await client.get("/v1/reactions")).json()}
                called = [status for name, status in reactions.items() if name.startswith(("x5", "x6", "x7", "x8"))]
                return all(sources) and all(status.get("deadLetters") or status["messages"] for status in called)

            await eventually(trouble, "everything fails", 60)
            paths = ["/", "/v1/status", "/v1/sources", "/v1/reactions", "/metrics"]
            for kind in ("sources", "reactions"):
                paths += [f"/v1/{kind}/{one['id']}/errors" for one in (await client.get(f"/v1/{kind}")).json()]
            said += [(await client.get(path)).text for path in paths]
    said.append(log.getvalue())
    assert "cannot reach ***" in "".join(said[:-1])
    assert "cannot reach ***" in said[-1]
    assert [text[max(0, text.find(WORD) - 200) : text.find(WORD) + 50] for text in said if WORD in text] == []
    assert _files_with_the_word(tmp_path) == ["secrets.json"]


def _files_with_the_word(directory: Path) -> list[str]:
    return [file.name for file in directory.rglob("*") if file.is_file() and WORD.encode() in file.read_bytes()]
