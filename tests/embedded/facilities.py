"""The building-comfort example as tests use it: its database, its manifests, and its queries evaluated by hand."""

from __future__ import annotations

import math
import os
import sqlite3
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from drasi.embedded import EmbeddedSystem, manifests
from drasi.embedded.example import Example, find

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "building-comfort"
DATABASE = "building-comfort.db"
QUERIES = ("room-comfort", "floor-comfort", "building-comfort", "room-alert", "floor-alert", "building-alert")


def example() -> Example:
    found = find(EXAMPLE)
    assert found is not None
    return found


async def prepared(state: Path, **options: Any) -> EmbeddedSystem:
    """A system that has not started, over a fresh database of the example."""
    os.makedirs(state, exist_ok=True)
    companion = example()
    await companion.setup(state)
    return EmbeddedSystem(state, page=companion.page, panel=companion.routes(state), **options)


async def apply_example(system: EmbeddedSystem) -> None:
    outcomes = await system.apply(manifests.read(manifests.files([EXAMPLE])))
    assert {outcome.result for outcome in outcomes} == {"created"}, [outcome for outcome in outcomes if outcome.errors]


def write(state: Path, statement: str, *values: Any) -> None:
    """One transaction of another program."""
    connection = sqlite3.connect(state / DATABASE, timeout=10)
    with connection:
        connection.execute(statement, values)
    connection.close()


def answers(state: Path) -> dict[str, list[dict[str, Any]]]:
    """The answers of all queries, evaluated directly from the database: per query its rows, sorted by their first column."""
    connection = sqlite3.connect(state / DATABASE)
    connection.row_factory = sqlite3.Row
    rooms = connection.execute(
        """SELECT Room.*, Floor.name AS floor_name, Floor.number, Building.id AS building_id, Building.name AS building_name
           FROM Room JOIN Floor ON Floor.id = Room.floor_id JOIN Building ON Building.id = Floor.building_id ORDER BY Room.id"""
    ).fetchall()
    connection.close()
    result: dict[str, list[dict[str, Any]]] = {query: [] for query in QUERIES}
    by_floor: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    by_building: dict[tuple[str, str], list[float]] = defaultdict(list)
    for room in rooms:
        level = comfort(room["temp"], room["humidity"], room["co2"])
        by_floor[room["floor_id"], room["floor_name"], room["building_id"], room["building_name"]].append(level)
        result["room-comfort"].append(
            {
                "RoomId": room["id"],
                "RoomName": room["name"],
                "FloorId": room["floor_id"],
                "FloorName": room["floor_name"],
                "FloorNumber": room["number"],
                "BuildingId": room["building_id"],
                "BuildingName": room["building_name"],
                "Temperature": room["temp"],
                "Humidity": room["humidity"],
                "CO2": room["co2"],
                "People": room["people"],
                "Windows": room["windows"],
                "Sensor": room["sensor"],
                "ComfortLevel": level,
            }
        )
        result["room-alert"].append({"RoomId": room["id"], "RoomName": room["name"], "ComfortLevel": level})
    for (floor_id, floor_name, building_id, building_name), levels in by_floor.items():
        average = sum(levels) / len(levels)
        by_building[building_id, building_name].append(average)
        for query in ("floor-comfort", "floor-alert"):
            result[query].append({"FloorId": floor_id, "FloorName": floor_name, "ComfortLevel": average})
    for (building_id, building_name), levels in by_building.items():
        # An average is exact, rounded once.
        average = float(sum(map(Fraction, levels)) / len(levels))
        for query in ("building-comfort", "building-alert"):
            result[query].append({"BuildingId": building_id, "BuildingName": building_name, "ComfortLevel": average})
    for query, rows in result.items():
        if query.endswith("-alert"):
            rows[:] = [row for row in rows if row["ComfortLevel"] < 40 or row["ComfortLevel"] > 50]
    return result


def comfort(temp: float, humidity: float, co2: float) -> float:
    """The formula of the queries."""
    return float(math.floor(50 + (temp - 72) + (humidity - 42) + ((co2 - 500) / 25 if co2 > 500 else 0)))


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in the order of ``answers``."""
    return sorted(rows, key=lambda row: str(next(iter(row.values()))))
