"""A pushed source at work behind HTTP, and what it publishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from starlette.applications import Starlette

from drasi.bus.endpoint import Endpoint
from drasi.messages.changes import SourceChange
from drasi.sources.function import SourceFunction
from drasi.sources.port import SourceKind
from drasi.sources.state import MemoryState
from tests.sources.world import RecordingBus, eventually

NOW = 1_700_000_000_000_000_000


class Pushing:
    """Make it with ``start``; nothing is left running after ``stop``."""

    def __init__(self, kind: SourceKind) -> None:
        self.kind = kind
        self.bus = RecordingBus()

    async def start(self, *, push_endpoint: Callable[[str], Endpoint] | None = None, **properties: Any) -> None:
        self.function = SourceFunction(
            "src", self.kind, properties, bus=self.bus, state=MemoryState(), push_endpoint=push_endpoint, now_ns=lambda: NOW
        )
        await self.function.start()
        self.app = Starlette(routes=list(self.function.routes()))
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://source")
        await eventually(lambda: bool(self.function.status()["available"]))

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> int:
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return (await self.client.post(path, headers=headers, **content)).status_code

    async def stop(self) -> None:
        await self.client.aclose()
        await self.function.close()

    @property
    def changes(self) -> list[SourceChange]:
        return self.bus.changes

    async def errors(self) -> list[str]:
        return [letter["error"] for letter in await self.function.dead_letters()]
