"""Drasi's tutorials over PostgreSQL: the snapshot is what they expect, and every statement gives the changes they expect."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from drasi.messages.changes import SourceChange
from tests.conftest import SHARED
from tests.sources.postgres_world import PostgresWorld, whole_snapshot

WALL_CLOCK = {"insertdate", "updatedate", "expiredate", "updated_at", "created_at"}
"""Columns that the expectations leave out."""


@cache
def read(scenario: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(scenario)
    return found


@dataclass(frozen=True)
class Origin:
    """A PostgreSQL source of a tutorial."""

    folder: Path
    name: str

    @property
    def scenario(self) -> dict[str, Any]:
        return read(self.folder / "scenario.yaml")

    def properties(self) -> dict[str, Any]:
        for file in sorted((self.folder / "manifests").rglob("*.yaml")):
            for document in YAML(typ="safe", pure=True).load_all(file):
                if document and document.get("kind") == "Source" and document["name"] == self.name:
                    given = document["spec"]["properties"]
                    return {name: value for name, value in given.items() if name in ("tables", "tableKeys")}
        raise AssertionError(f"no manifest makes {self.name}")

    def elements(self) -> dict[str, dict[str, Any]]:
        listed = json.loads((self.folder / "elements.json").read_text())
        return {item["id"]: item for item in listed if item["source"] == self.name}


def origins() -> list[Origin]:
    found = []
    for scenario in sorted((SHARED / "tutorials").glob("*/scenario.yaml")):
        for name, source in read(scenario)["sources"].items():
            if source.get("engine") == "postgres":
                found.append(Origin(scenario.parent, name))
    return found


ORIGINS = origins()


def statements(text: str) -> list[str]:
    """Each of them is a transaction of its own."""
    parts = re.findall(r"(?:'(?:[^']|'')*'|[^;'])+", text)
    return [part.strip() for part in parts if part.strip()]


def stable(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name not in WALL_CLOCK}


def said(change: SourceChange) -> dict[str, Any]:
    element = change.payload.after or change.payload.before
    assert element is not None
    found: dict[str, Any] = {"op": change.op, "id": element.id, "labels": element.labels}
    if change.op != "d":
        found["properties"] = stable(element.properties)
    return found


def test_there_are_tutorials(shared_data: Path) -> None:
    assert len(ORIGINS) >= 12


@pytest.mark.parametrize("origin", ORIGINS, ids=[f"{origin.folder.name}-{origin.name}" for origin in ORIGINS])
async def test_tutorial(pg: PostgresWorld, origin: Origin) -> None:
    client = pg.client()
    scenario = origin.scenario
    client.execute((origin.folder / scenario["sources"][origin.name]["schema"]).read_text())
    expected = origin.elements()
    steps = list(scenario["steps"])
    while steps and steps[0]["do"] == "setup":
        step = steps.pop(0)
        for statement in statements((step.get("sql") or {}).get(origin.name, "")):
            client.execute(statement)
        for change in step.get("changes") or ():
            if change["source"] == origin.name:
                expected.pop(change["id"], None) if change["op"] == "d" else expected.update({change["id"]: change})
    function = await pg.watch(**origin.properties())
    _, elements, _ = await whole_snapshot(function)
    assert {element.id: (element.labels, stable(element.properties)) for element in elements} == {
        identity: (item["labels"], item["properties"]) for identity, item in expected.items()
    }
    for step in steps:
        text = (step.get("sql") or {}).get(origin.name)
        if text is None:
            continue
        before = len(pg.bus.changes)
        for statement in statements(text):
            client.execute(statement)
        await pg.settled(function)
        wanted = [change for change in step.get("changes") or () if change["source"] == origin.name]
        shapes = [
            {
                key: change[key]
                for key in ("op", "id", "labels", "properties")
                if key in change and (key != "properties" or change["op"] != "d")
            }
            for change in wanted
        ]
        assert [said(change) for change in pg.bus.changes[before:]] == shapes, step["name"]
