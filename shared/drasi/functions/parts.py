"""What a function stands on: bus, logs and memory of its profile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Protocol, TypeVar

from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp

from drasi.bus.port import Bus, Deliver
from drasi.environment import Environment
from drasi.reactions.state import ReactionState
from drasi.resources.store import ResourceStore
from drasi.sources.port import State
from drasi.web.stores import Logs


class Parts(Protocol):
    """Opened once per process, and closed only if nothing can be made of them: a function ends with its process."""

    async def begin(self) -> None:
        """Before anything else is asked."""
        ...

    async def close(self) -> None: ...

    def watched(self, app: ASGIApp, end: Callable[[], Awaitable[None]], back: Callable[[], None] = lambda: None) -> ASGIApp:
        """The application, which says what is the matter with the parts, and stops when what is remembered is gone.

        Args:
            end: Ends what it does by itself; called then.
            back: Called when the bus has lost everything, and was made anew.
        """
        ...

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


P = TypeVar("P", bound=Parts)


async def on(parts: P, build: Callable[[P], Awaitable[ASGIApp]]) -> ASGIApp:
    """The application that ``build`` makes of parts, which are closed if it cannot."""
    try:
        await parts.begin()
        return await build(parts)
    except BaseException:
        await parts.close()
        raise


def on_parts(environment: Environment, build: Callable[[Parts], Awaitable[ASGIApp]]) -> Callable[[], Awaitable[ASGIApp]]:
    """The same, with parts of the environment's profile, when it is asked."""

    async def begin() -> ASGIApp:
        return await on(parts_of(environment), build)

    return begin


def parts_of(environment: Environment) -> Parts:
    """The parts of the environment's profile."""
    if environment.profile == "embedded":
        from drasi.functions.files import FileParts

        return FileParts(environment.state)
    from drasi.functions.google import GoogleParts

    return GoogleParts(environment)
