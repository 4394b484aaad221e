"""The facilities of the building-comfort example: the database, the sensors that write to it, and the operator's panel.

`drasi run` finds this file beside the manifests. `setup` makes the database, `drive` plays the sensors in a process of its own,
`routes` are the panel's buttons, below ``/panel``. None of them knows about queries: they only write to the database, as the
programs of a real building would.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATABASE = "building-comfort.db"

SCHEMA = """
CREATE TABLE Building (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL
);
CREATE TABLE Floor (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  number INTEGER NOT NULL,
  building_id TEXT NOT NULL REFERENCES Building (id)
);
CREATE TABLE Room (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  temp REAL,                              -- degrees Fahrenheit
  humidity REAL,                          -- per cent
  co2 REAL,                               -- parts per million
  people INTEGER NOT NULL DEFAULT 0,
  windows TEXT NOT NULL DEFAULT 'closed', -- or 'open'
  sensor TEXT NOT NULL DEFAULT 'ok',      -- or 'broken': it goes on sending what it last sent
  floor_id TEXT NOT NULL REFERENCES Floor (id)
);
"""

BUILDINGS = (
    ("Harbour House", (
        ("Lobby", "Café", "Post Room", "Gallery"),
        ("Studio A", "Studio B", "Workshop", "Print Room"),
        ("Finance", "Legal", "People", "Library"),
        ("Product", "Research", "Lab 1", "Lab 2"),
        ("Board Room", "Terrace", "Office East", "Office West"),
    )),
    ("Mill Yard", (
        ("Reception", "Loading Bay", "Canteen", "Tool Store", "First Aid"),
        ("Weaving Hall", "Dye Works", "Pattern Room", "Archive", "Showroom"),
        ("Drawing Room", "Long Room", "Attic North", "Attic South", "Loft"),
    )),
    ("The Observatory", (
        ("Foyer", "Lecture Hall", "Map Room"),
        ("Class 1", "Class 2", "Reading Room"),
        ("Optics", "Spectra", "Night Desk"),
        ("Dome", "Balcony", "Clock Room"),
    )),
)  # fmt: skip
FLOOR_NAMES = ("Ground Floor", "First Floor", "Second Floor", "Third Floor", "Fourth Floor")

COMFORTABLE = {"temp": 70.0, "humidity": 40.0, "co2": 450.0}
BROKEN = {"temp": 40.0, "humidity": 20.0, "co2": 700.0}
UNAVAILABLE: tuple[type[Exception], ...] = (sqlite3.OperationalError,)
"""What the database raises when it does not take a statement now."""
LIMITS = {"temp": (-40.0, 150.0), "humidity": (0.0, 100.0), "co2": (0.0, 10_000.0)}


@contextmanager
def connect(state: Path) -> Iterator[sqlite3.Connection]:
    """A connection in autocommit mode that waits for other writers."""
    connection = sqlite3.connect(state / DATABASE, timeout=10, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def where(state: Path) -> str:
    """What the page names as the database."""
    return str((state / DATABASE).resolve())


def setup(state: Path) -> None:
    """Makes the database if it is not there yet, complete or not at all."""
    with connect(state) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'Room'").fetchone():
            connection.execute("ROLLBACK")
            return
        for statement in SCHEMA.split(";\n"):
            connection.execute(statement)
        seed(connection)
        connection.execute("COMMIT")


def reset(state: Path) -> None:
    """Removes the database."""
    for companion in ("", "-wal", "-shm"):
        (state / (DATABASE + companion)).unlink(missing_ok=True)


def seed(connection: sqlite3.Connection) -> None:
    """Fills the tables with the same buildings every time."""
    chance = random.Random(7)  # noqa: S311 -- a simulation
    for b, (building, floors) in enumerate(BUILDINGS, 1):
        building_id = f"building_{b:02}"
        connection.execute("INSERT INTO Building VALUES (?, ?)", (building_id, building))
        for f, rooms in enumerate(floors, 1):
            floor_id = f"floor_{b:02}_{f:02}"
            name = f"{building}, {FLOOR_NAMES[f - 1]}"
            connection.execute("INSERT INTO Floor VALUES (?, ?, ?, ?)", (floor_id, name, f - 1, building_id))
            for r, room in enumerate(rooms, 1):
                connection.execute(
                    "INSERT INTO Room (id, name, temp, humidity, co2, floor_id) VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        f"room_{b:02}_{f:02}_{r:02}",
                        room,
                        round(chance.gauss(COMFORTABLE["temp"], 1.0), 1),
                        round(chance.gauss(COMFORTABLE["humidity"], 1.0), 1),
                        round(chance.uniform(420, 500)),
                        floor_id,
                    ),
                )


@dataclass(slots=True)
class Spell:
    """Something that lasts a while in a room: a meeting, a heater gone wild, open windows."""

    ends: float
    temp: float = 0.0
    humidity: float = 0.0
    co2: float = 0.0
    people: int = 0


def drive(state: Path) -> None:
    """Writes what the sensors measure, one room at a time, for ever."""
    chance = random.Random()  # noqa: S311 -- a simulation
    spells: dict[str, Spell] = {}
    next_event = time.monotonic() + 5
    with connect(state) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM Room ORDER BY id")]
        queue: list[str] = []
        while True:
            now = time.monotonic()
            if now >= next_event:
                next_event = now + chance.uniform(7, 15)
                queue[:0] = begin_event(connection, ids, spells, chance, now)
            for room in [room for room, spell in spells.items() if now >= spell.ends]:
                end_spell(connection, room, spells.pop(room))
            if not queue:
                queue = chance.sample(ids, len(ids))
            measure(connection, queue.pop(0), spells, chance, now)
            time.sleep(chance.uniform(0.05, 0.3))


def begin_event(
    connection: sqlite3.Connection, ids: Sequence[str], spells: dict[str, Spell], chance: random.Random, now: float
) -> list[str]:
    """Lets something happen in the building; returns the rooms that feel it first."""
    room = chance.choice(ids)
    if room in spells:
        return []
    what = chance.random()
    if what < 0.5:
        people = chance.randint(5, 14)
        spells[room] = Spell(
            now + chance.uniform(20, 45), temp=people * 0.2, humidity=people * 0.15, co2=people * 45, people=people
        )
        connection.execute("UPDATE Room SET people = ? WHERE id = ?", (people, room))
        return [room]
    if what < 0.7:
        spells[room] = Spell(now + chance.uniform(15, 30), temp=chance.choice((-13.0, 12.0)))
        return [room]
    floor = room.rsplit("_", 1)[0]
    rooms = [other for other in ids if other.startswith(floor) and other not in spells]
    ends = now + chance.uniform(15, 30)
    humidity = chance.choice((-7.0, 8.0))
    spells.update((other, Spell(ends, humidity=humidity)) for other in rooms)
    return rooms


def end_spell(connection: sqlite3.Connection, room: str, spell: Spell) -> None:
    if spell.people:
        connection.execute("UPDATE Room SET people = 0 WHERE id = ?", (room,))
    connection.execute("UPDATE Room SET windows = 'closed' WHERE id = ? AND windows = 'open'", (room,))


def measure(connection: sqlite3.Connection, room: str, spells: dict[str, Spell], chance: random.Random, now: float) -> None:
    """One reading of one room: a step from what it was towards where its heating, people and windows take it, and some noise."""
    row = connection.execute("SELECT temp, humidity, co2, windows, sensor FROM Room WHERE id = ?", (room,)).fetchone()
    if row is None:
        return
    temp, humidity, co2, windows, sensor = row
    if sensor != "ok":
        return
    if windows == "open":
        spells.setdefault(room, Spell(now + 40))
        goal = Spell(0, temp=58.0, humidity=36.0, co2=415.0)
    else:
        spell = spells.get(room, Spell(0))
        goal = Spell(0, COMFORTABLE["temp"] + spell.temp, COMFORTABLE["humidity"] + spell.humidity, COMFORTABLE["co2"] + spell.co2)
    pace = 0.45 if room in spells else 0.2
    connection.execute(
        "UPDATE Room SET temp = ?, humidity = ?, co2 = ? WHERE id = ? AND sensor = 'ok'",
        (
            round(step(temp, goal.temp, pace) + chance.gauss(0, 0.35), 1),
            round(step(humidity, goal.humidity, pace) + chance.gauss(0, 0.35), 1),
            round(max(400.0, step(co2, goal.co2, pace) + chance.gauss(0, 8))),
            room,
        ),
    )


def step(value: float | None, goal: float, pace: float) -> float:
    return goal if value is None else value + (goal - value) * pace


def set_values(state: Path, room: str, values: Mapping[str, Any]) -> str | None:
    """Writes columns of a room.

    Returns:
        The statement as an SQLite client would be given it; None if there is no such room.

    Raises:
        ValueError: A column that the panel does not set, or a value that no sensor sends.
    """
    allowed = {"windows": ("open", "closed"), "sensor": ("ok", "broken")}
    for column, value in values.items():
        if column in LIMITS:
            low, high = LIMITS[column]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ValueError(f"{column} must be a number between {low:g} and {high:g}")
        elif column not in allowed:
            raise ValueError(f"no such control: {column} (there are temp, humidity, co2, windows, sensor)")
        elif value not in allowed[column]:
            raise ValueError(f"{column} must be one of {', '.join(allowed[column])}")
    if not values:
        raise ValueError("nothing to set: give temp, humidity, co2, windows or sensor")
    assignments = ", ".join(f"{column} = ?" for column in values)
    with connect(state) as connection:
        changed = connection.execute(f"UPDATE Room SET {assignments} WHERE id = ?", (*values.values(), room)).rowcount  # noqa: S608
    if not changed:
        return None
    shown = ", ".join(f"{column} = {value!r}" for column, value in values.items())
    return f"UPDATE Room SET {shown} WHERE id = {room!r};"  # noqa: S608 -- shown, not run


ACTIONS: Mapping[str, Mapping[str, Any]] = {
    "open-windows": {"windows": "open", "temp": 62.0, "co2": 420.0},
    "close-windows": {"windows": "closed"},
    "break-sensor": {"sensor": "broken", **BROKEN},
    "repair-sensor": {"sensor": "ok", **COMFORTABLE},
    "reset": {"sensor": "ok", "windows": "closed", **COMFORTABLE},
}


def routes(state: Path) -> list[Any]:
    """The operator's panel."""
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def write(room: str, values: Mapping[str, Any]) -> Response:
        try:
            statement = await run_in_threadpool(set_values, state, room, values)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        except UNAVAILABLE as error:
            raise HTTPException(503, f"the database did not take it: {error}; try again") from error
        if statement is None:
            raise HTTPException(404, f"there is no room '{room}'")
        return JSONResponse({"statement": statement})

    async def info(request: Request) -> Response:
        return JSONResponse({"database": await run_in_threadpool(where, state)})

    async def set_room(request: Request) -> Response:
        try:
            values = await request.json()
        except ValueError as error:
            raise HTTPException(400, f"not JSON: {error}") from error
        if not isinstance(values, dict):
            raise HTTPException(400, 'give an object: {"temp": 71.5}')
        return await write(request.path_params["room"], values)

    async def act(request: Request) -> Response:
        action = ACTIONS.get(request.path_params["action"])
        if action is None:
            raise HTTPException(404, f"no such action; there are {', '.join(ACTIONS)}")
        return await write(request.path_params["room"], action)

    return [
        Route("/info", info),
        Route("/rooms/{room}", set_room, methods=["POST"]),
        Route("/rooms/{room}/{action}", act, methods=["POST"]),
    ]


if __name__ == "__main__":  # the sensors alone: python example.py STATE
    where = Path(sys.argv[1] if len(sys.argv) > 1 else ".drasi")
    where.mkdir(exist_ok=True)
    setup(where)
    drive(where)
