"""What a function stands on: bus, logs and memory of its profile."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from prometheus_client.metrics_core import Metric

from drasi.bus.port import Bus, Deliver
from drasi.environment import Environment
from drasi.reactions.state import ReactionState
from drasi.resources.store import ResourceStore
from drasi.sources.port import State
from drasi.web.stores import Logs


class Parts(Protocol):
    """Opened once per process."""

    @property
    def logs(self) -> Logs:
        """Of containers."""
        ...

    async def bus(self) -> Bus:
        """For a process that publishes."""
        ...

    def attend(self, deliver: Deliver) -> Deliver:
        """``deliver`` as pushes are to reach it: without what is the bus's own."""
        ...

    async def hears(self, subscription: str, topic: str, labels: Collection[str] | None) -> bool:
        """Whether a subscription lets through messages of each of these labels (None: all messages)."""
        ...

    async def source_state(self, name: str) -> State: ...

    async def reaction_state(self, name: str) -> ReactionState: ...

    async def resources(self) -> ResourceStore:
        """Of the installation."""
        ...

    def metrics(self) -> Iterable[Metric]:
        """What this process has used of what is billed."""
        ...


def parts_of(environment: Environment) -> Parts:
    """The parts of the environment's profile."""
    if environment.profile == "embedded":
        from drasi.functions.files import FileParts

        return FileParts(environment.state)
    from drasi.functions.google import GoogleParts

    return GoogleParts(environment)
