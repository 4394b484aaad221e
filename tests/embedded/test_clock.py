"""Ticks come only while a timer is due."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from drasi.errors import DrasiError
from drasi.messages.control import ControlMessage
from drasi.web.clock import Clock
from drasi.web.stores import Stores


class Machine:
    """A state machine of which only the timers are looked at."""

    def __init__(self, timers: Mapping[str, int | None]) -> None:
        self._timers = timers

    def queries(self) -> list[str]:
        return list(self._timers)

    def query_status(self, query: str) -> dict[str, Any]:
        return {"nextTimerMs": self._timers[query]}


class Container:
    def __init__(self, *machines: Machine) -> None:
        self.machines = dict(enumerate(machines))


async def _beat(now_ms: int, containers: dict[str, Container], *, failing: bool = False) -> list[tuple[str, ControlMessage]]:
    sent: list[tuple[str, ControlMessage]] = []

    async def send(container: str, message: ControlMessage) -> None:
        sent.append((container, message))
        if failing:
            raise DrasiError("the bus is full")

    await Clock(cast("dict[str, Stores]", containers), send, now_ns=lambda: now_ms * 1_000_000).beat()
    return sent


async def test_no_timer_no_tick() -> None:
    assert await _beat(1_000, {"default": Container(Machine({"q": None}))}) == []
    assert await _beat(1_000, {"default": Container()}) == []


async def test_a_timer_ticks_when_it_is_due_and_not_before() -> None:
    containers = {
        "a": Container(Machine({"q": 2_000, "r": None}), Machine({"s": 1_000})),
        "b": Container(Machine({"t": 1_001})),
    }
    assert await _beat(999, containers) == []
    assert await _beat(1_000, containers) == [("a", ControlMessage(kind="tick", ts_ns=1_000_000_000))]
    assert [name for name, _ in await _beat(1_001, containers)] == ["a", "b"]


async def test_one_container_that_cannot_be_told_does_not_keep_the_others_waiting() -> None:
    containers = {"a": Container(Machine({"q": 1})), "b": Container(Machine({"q": 1}))}
    assert [name for name, _ in await _beat(5, containers, failing=True)] == ["a", "b"]
