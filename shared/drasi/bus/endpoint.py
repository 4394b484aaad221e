"""Where the pushes of a subscription go: Pub/Sub delivers to a URL, never to a function of this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from drasi.bus.port import Deliver


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A push endpoint.

    Attributes:
        url: Where messages are posted. It may carry a token as a parameter (the emulator sends no OIDC token), so it is not shown.
        service_account: Whose OIDC token Google sends along; empty: none.
        audience: The token's audience; empty: the URL.
    """

    url: str = field(repr=False)
    service_account: str = ""
    audience: str = ""


class Endpoints(Protocol):
    """Knows the endpoint of each subscription, and whether anybody listens there."""

    async def open(self, subscription: str, deliver: Deliver) -> Endpoint:
        """From now on ``deliver`` gets what is posted to the endpoint. Opening again replaces ``deliver``."""
        ...

    async def shut(self, subscription: str) -> None:
        """Nothing that comes in reaches ``deliver`` any more; deliveries under way are waited for."""
        ...

    async def close(self) -> None:
        """Shuts all."""
        ...


class FunctionEndpoints:
    """Endpoints of function processes: their own applications take what is posted (``/changes``, ``/control``, ``/results``).

    So ``deliver`` stays unused here, and the process may end and come back without the subscription being touched.

    Args:
        of: The endpoint of a subscription.
    """

    def __init__(self, of: Callable[[str], Endpoint]) -> None:
        self._of = of

    async def open(self, subscription: str, deliver: Deliver) -> Endpoint:
        return self._of(subscription)

    async def shut(self, subscription: str) -> None:
        return

    async def close(self) -> None:
        return
