"""Whether Pub/Sub still has what management made there: an emulator that restarts comes back empty.

A topic marks it. Management makes it when every subscription is there, with two labels: the name of the database that says which
subscriptions these are, and one of its own, which differs each time. So whoever looks knows whether everything was lost, also when
it has been made anew meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from google.api_core.exceptions import AlreadyExists, DeadlineExceeded, NotFound

from drasi.bus.port import BusUnavailable
from drasi.bus.pubsub_client import ERRORS, PubSubClient, unavailable

MARKER: Final = "drasi-installation"


class BusLost(BusUnavailable):
    """Pub/Sub was emptied, and is not made anew yet. Nothing is published meanwhile: it would reach nobody."""

    code: ClassVar[str] = "BusLost"


@dataclass(frozen=True, slots=True)
class Mark:
    """Attributes:
    born: The name of the installation's database.
    made: A name of its own.
    """

    born: str
    made: str


class Marker:
    """The topic.

    Args:
        silence_s: An answer that takes longer is none.

    Raises, everywhere: BusUnavailable.
    """

    def __init__(self, client: PubSubClient, *, silence_s: float = 3.0) -> None:
        self._client = client
        self._silence_s = silence_s
        self._path = f"projects/{client.project}/topics/{MARKER}"

    async def find(self) -> Mark | None:
        try:
            topic = await self._client.publisher.get_topic(topic=self._path, retry=None, timeout=self._silence_s)
        except NotFound:
            return None
        except DeadlineExceeded as error:
            where = f"Pub/Sub's emulator at {self._client.emulator}" if self._client.emulator else "Pub/Sub"
            raise BusUnavailable(
                f"{where} has not answered for {self._silence_s:g} s", hint="everything waits until it does"
            ) from error
        except ERRORS as error:
            raise unavailable("cannot see whether Pub/Sub is as it was", error) from error
        return Mark(topic.labels.get("born", ""), topic.labels.get("made", ""))

    async def make(self, born: str) -> None:
        labels = {"born": born, "made": os.urandom(8).hex()}
        try:
            await self._client.publisher.create_topic(request={"name": self._path, "labels": labels}, **self._client.call())
        except AlreadyExists:
            # Another instance was quicker.
            return
        except ERRORS as error:
            raise unavailable(f"cannot create {self._path}", error) from error

    async def remove(self) -> None:
        try:
            await self._client.publisher.delete_topic(topic=self._path, **self._client.call())
        except NotFound:
            return
        except ERRORS as error:
            raise unavailable(f"cannot delete {self._path}", error) from error


class BusPresence:
    """Watches the marker for a function.

    Args:
        watch_s: How often it looks.
        lost: Called once for each loss, also for one that is made good already.
        back: Called when everything is made anew.

    Attributes:
        problem: Pub/Sub is empty, and nobody has made it anew yet.
        trouble: Why that cannot be told at the moment.
    """

    def __init__(
        self,
        marker: Marker,
        *,
        watch_s: float = 2.0,
        lost: Callable[[BusLost], None] = lambda _: None,
        back: Callable[[], None] = lambda: None,
    ) -> None:
        self.problem: BusLost | None = None
        self.trouble: BusUnavailable | None = None
        self._marker = marker
        self._watch_s = watch_s
        self._lost = lost
        self._back = back
        self._known: Mark | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to watch."""
        self._task = asyncio.create_task(self._watch(), name="watch of Pub/Sub")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def sure(self) -> None:
        """Looks; for a publisher that misses its topic. A topic may be made if this returns.

        Raises:
            BusLost, BusUnavailable
        """
        await self.look()
        if self.problem is not None:
            raise self.problem

    async def look(self) -> None:
        """Looks once. Raises BusUnavailable."""
        try:
            mark = await self._marker.find()
        except BusUnavailable as error:
            self.trouble = error
            raise
        self.trouble = None
        if mark == self._known:
            return
        if self._known is not None and self.problem is None:
            self.problem = BusLost(
                "Pub/Sub came back empty: subscriptions, and the messages they held, are gone",
                hint="an emulator restarted: management makes subscriptions anew, and sources are read again",
            )
            self._lost(self.problem)
        if mark is not None:
            self._known = mark
            if self.problem is not None:
                self.problem = None
                self._back()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(BusUnavailable):
                await self.look()
            await asyncio.sleep(self._watch_s)
