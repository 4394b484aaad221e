"""Drasi's tutorials, replayed: their queries, unchanged, over the changes of their scenarios.

Without databases, as the README beside them describes it: the queries get the elements of the bootstrap at time 0, the clock
moves to the scenario's start, then come each step's changes.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import drasi
from tests.conformance.differences import Difference, assert_difference, net, same_bag
from tests.conftest import SHARED

pytestmark = pytest.mark.usefixtures("shared_data")

TUTORIALS = SHARED / "tutorials"
TOLERANCE = 1e-9

WAITING = {
    "drasi.trueFor()": (
        "absence-of-change/freezer",
        "non-events/freezer",
    ),
    "joins": (
        "building-comfort/building-comfort-ui",
        "building-comfort/building-comfort-level-calc",
        "building-comfort/floor-comfort-level-calc",
        "building-comfort/floor-alert",
        "building-comfort/building-alert",
        "curbside-pickup/delivery",
        "curbside-pickup/delay",
        "dapr/product-catalogue-query",
        "dapr/at-risk-orders-query",
        "dapr/delayed-gold-orders-query",
        "fleet-poc/unplanned-maintenance",
        "non-events/sensors-not-reporting",
        "rag-chat-app/enriched-products",
        "risky-containers/risky-containers",
        "trivia/player-scores",
        "trivia/team-scores",
        "trivia/questions-per-category",
    ),
    "middleware": (
        "dapr/low-stock-event-query",
        "dapr/critical-stock-event-query",
        "fleet-poc/vehicle-status",
        "fleet-poc/vehicle-status2",
        "github-bot/open-issues",
        "github-bot/stale-issues",
    ),
    "drasi.changeDateTime()": ("getting-started/inactive-people",),
    "datetime()": (
        "trivia/inactive-players",
        "trivia/players-to-evict",
        "trivia/test-1",
    ),
}
"""Queries that a later issue brings, by the construct they wait for; all others run."""
NOT_YET = {name: construct for construct, names in WAITING.items() for name in names}


@dataclass(frozen=True)
class Tutorial:
    folder: Path
    scenario: dict[str, Any]
    queries: dict[str, dict[str, Any]]

    @property
    def start(self) -> int:
        return int(dt.datetime.fromisoformat(self.scenario["start"]).timestamp() * 1000)


@cache
def tutorial(folder: Path) -> Tutorial:
    yaml = YAML(typ="safe", pure=True)
    scenario = yaml.load((folder / "scenario.yaml").read_text(encoding="utf-8"))
    queries: dict[str, dict[str, Any]] = {}
    for item in scenario["manifests"]:
        entry = {"file": item} if isinstance(item, str) else item
        if "refused" in entry:
            continue
        for document in yaml.load_all((folder / "manifests" / entry["file"]).read_text(encoding="utf-8")):
            if document and document["kind"] == "ContinuousQuery" and document["name"] in scenario["queries"]:
                queries[document["name"]] = document["spec"]
    return Tutorial(folder, scenario, queries)


FOLDERS = sorted(path.parent for path in TUTORIALS.glob("*/scenario.yaml"))
QUERIES = {f"{folder.name}/{name}": (folder, name) for folder in FOLDERS for name in tutorial(folder).queries}


def created(spec: dict[str, Any]) -> drasi.ContinuousQuery:
    sources = spec.get("sources") or {}
    joins = [
        drasi.Join(join["id"], keys=[(key["label"], key["property"]) for key in join["keys"]])
        for join in sources.get("joins") or []
    ]
    middleware = [
        drasi.Middleware(item["kind"], item["name"], {name: value for name, value in item.items() if name not in ("kind", "name")})
        for item in sources.get("middleware") or []
    ]
    pipelines = {item["id"]: item["pipeline"] for item in sources.get("subscriptions") or [] if item.get("pipeline")}
    language = spec.get("queryLanguage", "cypher").lower()
    return drasi.ContinuousQuery(
        spec["query"], language=language, joins=joins, middleware=middleware, pipelines=pipelines, column_names="short"
    )


def bootstrap(source: Tutorial) -> list[dict[str, Any]]:
    path = source.folder / "elements.json"
    elements: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    for name, entry in source.scenario["sources"].items():
        elements += [{"source": name, **item} for item in entry.get("bootstrap", [])]
    return elements


def element(data: dict[str, Any], time: int) -> drasi.Node | drasi.Relation:
    values: dict[str, Any] = {name: data[name] for name in ("source", "id", "labels", "properties")}
    if "start" not in data:
        return drasi.Node(**values, effective_from=time)
    return drasi.Relation(**values, effective_from=time, start=end(data["start"]), end=end(data["end"]))


def end(place: str | dict[str, str]) -> str | tuple[str, str]:
    return place if isinstance(place, str) else (place["source"], place["id"])


def change(data: dict[str, Any], time: int) -> drasi.Insert | drasi.Update | drasi.Delete:
    if data["op"] == "d":
        return drasi.Delete(source=data["source"], id=data["id"], labels=data.get("labels", ()), effective_from=time)
    return drasi.Insert(element(data, time)) if data["op"] == "i" else drasi.Update(element(data, time))


def changes(step: dict[str, Any]) -> list[dict[str, Any]]:
    event = step.get("event")
    if event is None:
        return list(step.get("changes", []))
    return [{"op": "i", "source": event["source"], "id": event["id"], "labels": [event["hub"]], "properties": event["body"]}]


def expected(entry: dict[str, Any]) -> Difference:
    updated = [(pair["before"], pair["after"]) for pair in entry.get("updated", [])]
    return Difference(list(entry.get("added", [])), updated, list(entry.get("deleted", [])))


def run(source: Tutorial, name: str) -> None:
    query = created(source.queries[name])
    for item in bootstrap(source):
        query.apply(drasi.Insert(element(item, 0)))
    query.advance(to=source.start)
    for step in source.scenario["steps"]:
        time = source.start + step["t"]
        diffs = [diff for data in changes(step) for diff in query.apply(change(data, time))]
        if step["do"] == "wait":
            diffs = query.advance(to=time)
        entry = step.get("expect", {}).get(name, {})
        rows = [dict(row) for row in query.rows()]
        if "rows" in entry:
            assert same_bag(entry["rows"], rows, TOLERANCE), f"{step['name']}: {rows}"
        else:
            assert_difference(expected(entry), net(diffs), TOLERANCE)
        assert len(rows) == entry.get("size", len(rows)), step["name"]
        assert query.errors() == []
    final = source.scenario.get("final", {})
    if name in final:
        assert same_bag(final[name], [dict(row) for row in query.rows()], TOLERANCE)


@pytest.mark.parametrize("name", [name for name in QUERIES if name not in NOT_YET])
def test_replay(name: str) -> None:
    folder, query = QUERIES[name]
    run(tutorial(folder), query)


@pytest.mark.parametrize("name", NOT_YET)
def test_not_yet(name: str) -> None:
    folder, query = QUERIES[name]
    with pytest.raises(drasi.QueryError) as caught:
        created(tutorial(folder).queries[query])
    assert caught.value.type == "NotYet"
    assert NOT_YET[name] in str(caught.value)
