"""``Mock``: made-up data at an interval. Everything it says follows from the seed and a running number."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

from drasi.errors import DrasiError
from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.port import SnapshotEnd, SnapshotHeader, SnapshotLine, SnapshotRequest, Source, SourceContext, SourceKind

_LABELS = {"counter": "Counter", "sensorReading": "SensorReading", "generic": "Generic"}
_PART = 5_000


class MockSource(Source):
    """Tick n (1, 2, 3 …) inserts or updates one element.

    The state holds how many ticks were published, and when each run of the process began (``[first tick, time]``), so that the
    current values can be told again after any number of restarts.
    """

    def __init__(self, context: SourceContext) -> None:
        self.context = context
        data_type = context.properties.get("dataType") or {}
        self._type: str = data_type.get("type", "generic")
        self._sensors: int = data_type.get("sensorCount", 5)
        self._seed: int = context.properties.get("seed", 0)
        self._interval_ns = (
            int(context.schedule_s * 1e9) if context.schedule_s else context.properties.get("intervalMs", 5_000) * 1_000_000
        )
        self._count = 0
        self._runs: list[list[int]] = []

    async def start(self) -> None:
        state = self.context.state
        self._count = int(await state.get("count") or 0)
        stored = await state.get("runs")
        self._runs = json.loads(stored) if stored else []
        if not self._runs or self._runs[-1][0] != self._count + 1:
            self._runs.append([self._count + 1, self.context.now_ns()])
            await state.put("runs", json.dumps(self._runs), expected=stored)

    async def run(self) -> None:
        failures = 0
        while True:
            await self.context.sleep(self._interval_ns / 1e9 if not failures else min(60.0, 2.0 ** min(failures - 1, 6)))
            number = self._count + 1
            try:
                await self.context.publish([self._change(number)])
                await self.context.state.put("count", str(number), expected=str(self._count) if self._count else None)
            except DrasiError as error:
                failures += 1
                self.context.report(error.code, error.message)
                continue
            if failures:
                failures = 0
                self.context.report("BusUnavailable", None)
                self.context.report("StateUnavailable", None)
            self._count = number

    async def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        count = self._count
        after = int(request.cursor or 0)
        yield SnapshotHeader(f"{count:020d}", self.context.now_ns())
        most = min(request.limit or _PART, _PART)
        given = 0
        cursor = None
        if not (request.nodes or request.relations) or _LABELS[self._type] in request.nodes:
            for place, number in self._current(count):
                if place <= after:
                    continue
                if given == most:
                    cursor = str(after + given)
                    break
                given += 1
                yield self._element(number)
        yield SnapshotEnd(given, cursor)

    def _current(self, count: int) -> Iterator[tuple[int, int]]:
        """Place in the snapshot, and the tick that made the element as it is now."""
        if self._type != "sensorReading":
            yield from ((number, number) for number in range(1, count + 1))
            return
        newest: dict[int, int] = {}
        number = count
        while number > 0 and len(newest) < self._sensors:
            newest.setdefault(self._sensor(number), number)
            number -= 1
        yield from ((sensor + 1, newest[sensor]) for sensor in sorted(newest))

    async def mark(self) -> SourceChange | None:
        number = self._count
        return SourceChange("u", Payload(Origin(self.context.id, "node", self.context.now_ns(), number, position=f"{number:020d}")))

    def _change(self, number: int) -> SourceChange:
        element = self._element(number)
        seen = self._type == "sensorReading" and any(place == self._sensor(number) + 1 for place, _ in self._current(number - 1))
        origin = Origin(self.context.id, "node", self._time_ns(number), number, position=f"{number:020d}")
        return SourceChange("u" if seen else "i", Payload(origin, after=element))

    def _element(self, number: int) -> Element:
        chance = random.Random(f"{self._seed}/{number}")  # noqa: S311 -- made-up data
        timestamp = (
            datetime.fromtimestamp(self._time_ns(number) / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )
        properties: dict[str, Any]
        if self._type == "counter":
            name, properties = f"counter_{number}", {"value": number}
        elif self._type == "sensorReading":
            sensor = self._sensor(number)
            temperature, humidity = round(chance.uniform(20, 30), 2), round(chance.uniform(40, 60), 2)
            name, properties = (
                f"sensor_{sensor}",
                {"sensor_id": f"sensor_{sensor}", "temperature": temperature, "humidity": humidity},
            )
        else:
            name, properties = f"generic_{number}", {"value": chance.randrange(100), "message": f"Generic mock data {number}"}
        return Element(name, [_LABELS[self._type]], {**properties, "timestamp": timestamp})

    def _sensor(self, number: int) -> int:
        return random.Random(f"{self._seed}/{number}/sensor").randrange(self._sensors)  # noqa: S311

    def _time_ns(self, number: int) -> int:
        first, began = next(run for run in reversed(self._runs) if run[0] <= number)
        return began + (number - first) * self._interval_ns


KIND = SourceKind(
    name="Mock",
    aliases=("mock",),
    schema={
        "type": "object",
        "properties": {
            "dataType": {
                "type": "object",
                "properties": {
                    "type": {"type": "string", "enum": ["counter", "sensorReading", "generic"], "default": "generic"},
                    "sensorCount": {"type": "integer", "minimum": 1, "default": 5},
                },
                "required": ["type"],
            },
            "intervalMs": {"type": "integer", "minimum": 1, "default": 5000},
            "seed": {"type": "integer", "default": 0},
        },
    },
    make=MockSource,
    defaults={"intervalMs": 5000, "seed": 0},
)
