"""Management makes Pub/Sub anew when it came back empty (``drasi.bus.presence``)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from drasi.bus.port import BusUnavailable
from drasi.bus.presence import BusLost, Mark
from drasi.errors import DrasiError
from drasi.web.installation import Installation

_REASON: Final = "Pub/Sub came back empty"
_log = structlog.get_logger("drasi.management")


class Marks(Protocol):
    """``drasi.bus.presence.Marker``."""

    async def find(self) -> Mark | None: ...

    async def make(self, born: str) -> None: ...

    async def remove(self) -> None: ...


class Emptied(Protocol):
    """A bus that may lose everything."""

    def forget(self) -> None:
        """What was made there is gone."""
        ...

    async def sweep(self) -> list[str]:
        """Removes every subscription between functions, and says which."""
        ...


class BusUpkeep:
    """Looks whether everything is there, and makes it.

    Subscriptions first: what is published from then on is kept. Then every container is told to read its sources again, because
    what was in flight is gone. Then the marker: whoever sees it publishes.

    Args:
        born: The name of the database that says which subscriptions there are.
        sweep: Whether subscriptions of another database (this one was emptied) may be removed: what they hold is not true any more.

    Attributes:
        trouble: What is wrong at the moment.
    """

    def __init__(
        self,
        marks: Marks,
        born: str,
        installation: Installation,
        bus: Emptied,
        *,
        sweep: bool,
        watch_s: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.trouble: DrasiError | None = None
        self._marks = marks
        self._born = born
        self._installation = installation
        self._bus = bus
        self._sweep = sweep
        self._watch_s = watch_s
        self._sleep = sleep
        self._seen = False
        self._said = False

    async def run(self) -> None:
        """Looks for ever; what fails is done the next time."""
        while True:
            await self._sleep(self._watch_s)
            with contextlib.suppress(DrasiError):
                await self.look()

    async def look(self) -> None:
        """Looks once.

        Raises:
            DrasiError: It could not see, or not make everything.
        """
        try:
            await self._look()
        except DrasiError as error:
            self.trouble = error
            raise
        self.trouble = None

    async def _look(self) -> None:
        mark = await self._marks.find()
        if mark is not None and mark.born == self._born:
            self._seen = True
            return
        if mark is not None:
            await self._remove()
        elif not self._said and (self._seen or await self._installation.has_queries()):
            self._said = True
            lost = BusLost(
                "Pub/Sub came back empty: subscriptions, and the messages they held, are gone", hint="both are made good"
            )
            self.trouble = lost
            _log.error(f"{lost.code}: {lost.message}; {lost.hint}")
        self._bus.forget()
        if not await self._installation.begin_again(_REASON):
            raise BusUnavailable("not every subscription could be made", hint="it is tried again")
        await self._marks.make(self._born)
        if self._said:
            _log.info("subscriptions are made anew, and sources are read again")
        self._seen, self._said = True, False

    async def _remove(self) -> None:
        if not self._sweep:
            raise BusUnavailable(
                "Pub/Sub has subscriptions of another database of this project",
                hint="DRASI_DATABASE is not what it was, or two installations share the project, or the database was emptied: then "
                "delete the subscriptions and the topic 'drasi-installation'",
            )
        removed = await self._bus.sweep()
        await self._marks.remove()
        _log.warning("subscriptions of a database that is gone are removed", count=len(removed))
