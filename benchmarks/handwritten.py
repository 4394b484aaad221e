"""The peer: what one would write by hand for exactly these three queries and nothing else.

Same face: change objects in, difference objects with rows out. No labels are looked at, no type is tested, nothing but the
readings is kept, relations are fixed when the program starts, sums of floats are plain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from drasi import Diff, Insert, Relation, Update
from drasi.engine.results import Shape

# The same rows and differences as ours: what is compared is how they come about.
ROOM, FLOOR, BUILDING = (
    Shape((name, "ComfortLevel"), keys, str)
    for name, keys in (("RoomId", None), ("FloorId", ("FloorId",)), ("BuildingId", ("BuildingId",)))
)


def level(room: dict[str, Any]) -> float:
    co2 = room["co2"]
    return float(math.floor(50 + (room["temp"] - 72) + (room["humidity"] - 42) + ((co2 - 500) // 25 if co2 > 500 else 0)))


class RoomLevel:
    def __init__(self, elements: Iterable[Insert]) -> None:
        self.levels = {e.element.id: level(dict(e.element.properties)) for e in elements if e.element.labels == ["Room"]}

    def apply(self, change: Update) -> list[Diff]:
        element = change.element
        key = element.id
        old = self.levels[key]
        new = level(element.properties)  # type: ignore[arg-type]
        if new == old:
            return []
        self.levels[key] = new
        return [Diff(ROOM, [(key, (key, old), (key, new))], element.effective_from)]


class FloorAverage:
    def __init__(self, elements: Iterable[Insert]) -> None:
        self.levels: dict[str, float] = {}
        self.floor_of: dict[str, list[Any]] = {}
        floors: dict[str, list[Any]] = {}
        for insert in elements:
            element = insert.element
            if element.labels == ["Room"]:
                self.levels[element.id] = level(dict(element.properties))
            elif isinstance(element, Relation) and element.id.startswith("rf"):
                floor = floors.setdefault(str(element.end), [str(element.end), 0.0, 0])
                self.floor_of[str(element.start)] = floor
                floor[1] += self.levels[str(element.start)]
                floor[2] += 1

    def apply(self, change: Update) -> list[Diff]:
        element = change.element
        key = element.id
        old = self.levels[key]
        new = level(element.properties)  # type: ignore[arg-type]
        if new == old:
            return []
        self.levels[key] = new
        floor = self.floor_of[key]
        name, total, count = floor
        floor[1] = after_total = total + (new - old)
        return [Diff(FLOOR, [(name, (name, total / count), (name, after_total / count))], element.effective_from)]


class BuildingAverage(FloorAverage):
    def __init__(self, elements: Iterable[Insert]) -> None:
        kept = list(elements)
        super().__init__(kept)
        floors = {floor[0]: floor for floor in self.floor_of.values()}
        buildings: dict[str, list[Any]] = {}
        self.building_of: dict[str, list[Any]] = {}
        for insert in kept:
            element = insert.element
            if isinstance(element, Relation) and element.id.startswith("fb"):
                building = buildings.setdefault(str(element.end), [str(element.end), 0.0, 0])
                self.building_of[str(element.start)] = building
                floor = floors[str(element.start)]
                building[1] += floor[1] / floor[2]
                building[2] += 1

    def apply(self, change: Update) -> list[Diff]:
        element = change.element
        key = element.id
        old = self.levels[key]
        new = level(element.properties)  # type: ignore[arg-type]
        if new == old:
            return []
        self.levels[key] = new
        floor = self.floor_of[key]
        name, total, count = floor
        floor[1] = after_total = total + (new - old)
        building = self.building_of[name]
        name, total, floors = building
        building[1] = after_sum = total + (after_total / count - (after_total - (new - old)) / count)
        return [Diff(BUILDING, [(name, (name, total / floors), (name, after_sum / floors))], element.effective_from)]


PROGRAMS: dict[str, type[RoomLevel] | type[FloorAverage]] = {
    "room level": RoomLevel,
    "floor average": FloorAverage,
    "building average": BuildingAverage,
}
