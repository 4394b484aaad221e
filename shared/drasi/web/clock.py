"""Time for queries with timers: a tick a second on the control topic, only while a timer is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from drasi.errors import DrasiError
from drasi.messages.control import ControlMessage
from drasi.web.stores import Stores

_log = structlog.get_logger("drasi.clock")


class Clock:
    """Sends ``tick`` to containers in which a query's next timer has fallen due.

    Args:
        containers: Read at every beat: they come and go.
        send: ``control`` of the runtime.
        now_ns: The wall clock.
        sleep: Waits between beats.
    """

    def __init__(
        self,
        containers: Mapping[str, Stores],
        send: Callable[[str, ControlMessage], Awaitable[None]],
        *,
        every_s: float = 1.0,
        now_ns: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._containers = containers
        self._send = send
        self._every_s = every_s
        self._now_ns = now_ns
        self._sleep = sleep

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._sleep(self._every_s)
            await self.beat()

    async def beat(self) -> None:
        """One look at every container."""
        now = self._now_ns()
        for name, container in list(self._containers.items()):
            due = next_timer_ms(container)
            if due is None or due * 1_000_000 > now:
                continue
            try:
                await self._send(name, ControlMessage(kind="tick", ts_ns=now))
            except DrasiError as error:
                _log.warning("tick not sent, trying again", container=name, error=error.message)


def next_timer_ms(container: Stores) -> int | None:
    """When the next timer of any query of the container is due."""
    due = [
        status["nextTimerMs"]
        for machine in container.machines.values()
        for query in machine.queries()
        if (status := machine.query_status(query)).get("nextTimerMs") is not None
    ]
    return min(due, default=None)
