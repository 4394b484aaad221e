"""The workload: buildings of ten floors of ten rooms; each change is a whole room with one property changed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from drasi import Insert, Node, Relation, Update

SOURCE = "facilities"

_LEVEL = "floor(50 + (r.temp - 72) + (r.humidity - 42) + CASE WHEN r.co2 > 500 THEN (r.co2 - 500) / 25 ELSE 0 END)"

QUERIES = {
    "room level": f"MATCH (r:Room) RETURN elementId(r) AS RoomId, {_LEVEL} AS ComfortLevel",
    "floor average": (
        f"MATCH (r:Room)-[:PART_OF]->(f:Floor) WITH f, {_LEVEL} AS RoomComfortLevel "
        "RETURN elementId(f) AS FloorId, avg(RoomComfortLevel) AS ComfortLevel"
    ),
    "building average": (
        f"MATCH (r:Room)-[:PART_OF]->(f:Floor)-[:PART_OF]->(b:Building) WITH b, f, {_LEVEL} AS RoomComfortLevel "
        "WITH b, f, avg(RoomComfortLevel) AS FloorComfortLevel "
        "RETURN elementId(b) AS BuildingId, avg(FloorComfortLevel) AS ComfortLevel"
    ),
}


def start(room: int) -> dict[str, object]:
    return {"name": f"Room {room}", "temp": 72.5, "humidity": 42, "co2": 500}


def elements(rooms: int) -> Iterator[Insert]:
    """The graph before the changes: nodes and relations of ``rooms`` rooms."""
    floors = (rooms + 9) // 10
    for building in range((floors + 9) // 10):
        yield Insert(Node(SOURCE, f"b{building}", ["Building"], {"name": f"Building {building}"}))
    for floor in range(floors):
        yield Insert(Node(SOURCE, f"f{floor}", ["Floor"], {"name": f"Floor {floor}"}))
        yield Insert(Relation(SOURCE, f"fb{floor}", ["PART_OF"], {}, 0, f"f{floor}", f"b{floor // 10}"))
    for room in range(rooms):
        yield Insert(Node(SOURCE, f"r{room}", ["Room"], start(room)))
        yield Insert(Relation(SOURCE, f"rf{room}", ["PART_OF"], {}, 0, f"r{room}", f"f{room // 10}"))


def changes(rooms: int, count: int, seed: int = 1) -> list[Update]:
    """``count`` changes: a random room, one of its three readings set to another value."""
    chance = random.Random(seed)
    state = [start(room) for room in range(rooms)]
    result = []
    for time in range(1, count + 1):
        room = chance.randrange(rooms)
        reading = chance.choice(("temp", "humidity", "co2"))
        value: float
        if reading == "temp":
            value = round(chance.uniform(60, 85), 1)
        else:
            value = chance.randrange(25, 60) if reading == "humidity" else chance.randrange(400, 1400)
        state[room] = {**state[room], reading: value}
        result.append(Update(Node(SOURCE, f"r{room}", ["Room"], dict(state[room]), time)))
    return result
