"""A runtime that runs nothing, remembers what it was asked, and says what a test tells it to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from drasi.errors import DrasiError
from drasi.messages.control import ControlMessage
from drasi.messages.reading import Gone, QueryNotFound, View
from drasi.messages.results import ResultEvent
from drasi.resources.resource import CONTINUOUS_QUERY, Resource, Settings


class OutOfOrder(DrasiError):
    code = "OutOfOrder"
    retryable = True


class FakeReader:
    """Views and tails that a test has put there; a tail ends where the test's events end."""

    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        self.tails: dict[str, list[ResultEvent]] = {}

    async def view(self, query_id: str) -> View:
        if query_id not in self.views:
            raise QueryNotFound(f"View `{query_id}` not found")
        return self.views[query_id]

    async def events(self, query_id: str, after: int) -> AsyncIterator[ResultEvent]:
        for event in self.tails.get(query_id, []):
            if event.sequence > after:
                yield event

    async def read_events(self, query_id: str, after: int, limit: int) -> list[ResultEvent]:
        tail = self.tails.get(query_id, [])
        if tail and after < tail[0].sequence - 1:
            raise Gone(after, tail[0].sequence, tail[-1].sequence)
        return [event for event in tail if event.sequence > after][:limit]


class FakeRuntime:
    def __init__(self) -> None:
        self.reader = FakeReader()
        self.asked: list[str] = []
        self.settings: dict[str, Settings | None] = {}
        self.messages: list[tuple[str, ControlMessage]] = []
        self.statuses: dict[tuple[str, str], dict[str, Any]] = {}
        self.found_errors: dict[str, list[dict[str, Any]]] = {}
        self.broken: set[str] = set()

    async def ensure(self, resource: Resource, settings: Settings | None) -> None:
        if resource.name in self.broken:
            raise OutOfOrder(f"{resource.name} cannot start")
        state = " stopped" if resource.stopped else ""
        self.asked.append(f"ensure {resource.path}{state}")
        self.settings[resource.name] = settings
        if resource.kind != CONTINUOUS_QUERY:
            self.statuses.setdefault((resource.kind, resource.name), {"available": True, "messages": {}})

    async def remove(self, resource: Resource, *, force: bool = False) -> None:
        self.asked.append(f"remove {resource.path}" + (" force" if force else ""))
        self.statuses.pop((resource.kind, resource.name), None)

    async def status(self, kind: str, name: str) -> Mapping[str, Any]:
        return self.statuses.get((kind, name), {})

    async def errors(self, kind: str, name: str) -> Sequence[Mapping[str, Any]]:
        return self.found_errors.get(name, [])

    async def control(self, container: str, message: ControlMessage) -> None:
        self.messages.append((container, message))
        self.asked.append(f"{message.kind} {container}/{message.queryId}")
        if message.kind == "configure":
            status = self.statuses.setdefault((CONTINUOUS_QUERY, message.queryId or ""), {"sequence": 1})
            status |= {"status": "Running", "container": container}
        elif message.kind == "stop":
            self.statuses[CONTINUOUS_QUERY, message.queryId or ""]["status"] = "Stopped"

    async def explain(self, container: str, query: str) -> str:
        return f"plan of {query} in {container}"
