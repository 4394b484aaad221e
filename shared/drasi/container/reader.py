"""Rows and events of the queries of containers in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from drasi.container.container import Container
from drasi.messages.reading import QueryNotFound, View
from drasi.messages.results import ResultEvent


class LocalReader:
    """A ``QueryReader`` over containers in this process (``containers`` is read at every call: it may grow)."""

    def __init__(self, containers: Mapping[str, Container]) -> None:
        self._containers = containers

    def container_of(self, query_id: str) -> Container:
        for container in self._containers.values():
            if query_id in container.queries():
                return container
        raise QueryNotFound(f"View `{query_id}` not found")

    async def view(self, query_id: str) -> View:
        return self.container_of(query_id).view(query_id)

    def events(self, query_id: str, after: int) -> AsyncIterator[ResultEvent]:
        return self.container_of(query_id).events(query_id, after)

    async def read_events(self, query_id: str, after: int, limit: int) -> list[ResultEvent]:
        return await self.container_of(query_id).read_events(query_id, after, limit)
