"""Management over a fake runtime, and a client to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from drasi.resources.secrets import LocalSecrets
from drasi.resources.store_memory import MemoryResourceStore
from drasi.web.installation import Installation
from drasi.web.management import management_app
from tests.web.fake_runtime import FakeRuntime

SOURCE = """
apiVersion: v1
kind: Source
name: clock
spec: {kind: Mock, properties: {intervalMs: "50"}}
"""
QUERY = """
apiVersion: v1
kind: ContinuousQuery
name: ticks
spec:
  sources: {subscriptions: [{id: clock}]}
  query: MATCH (c:Counter) RETURN c.value AS value
"""
REACTION = """
apiVersion: v1
kind: Reaction
name: printer
spec: {kind: Log, queries: {ticks: null}}
"""
ALL = "---".join([REACTION, QUERY, SOURCE])


@dataclass
class Managed:
    """One installation. Its time stands still."""

    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    store: MemoryResourceStore = field(default_factory=MemoryResourceStore)

    def __post_init__(self) -> None:
        self.installation = Installation(self.store, self.runtime, LocalSecrets(), now_ms=lambda: 1_000)
        self.app = management_app(self.installation)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers={"Accept": "application/json"})

    async def apply(self, manifests: str, **params: Any) -> httpx.Response:
        return await self.client.post("/v1/apply", content=manifests, headers={"Content-Type": "application/yaml"}, params=params)

    async def results(self, manifests: str) -> dict[str, str]:
        """What became of each document, by name."""
        answer = await self.apply(manifests)
        assert answer.status_code == 200, answer.text
        return {outcome["name"]: outcome["result"] for outcome in answer.json()}

    async def put(self, path: str, body: Any, headers: Mapping[str, str] | None = None, **params: Any) -> httpx.Response:
        content = msgspec.json.encode(body)
        return await self.client.put(
            path, content=content, headers={"Content-Type": "application/json", **(headers or {})}, params=params
        )
