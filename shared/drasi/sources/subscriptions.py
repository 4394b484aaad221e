"""Who reads a source, and which labels they want (wire.md section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from drasi.sources.port import Labels, State, StateConflict

_NAME = "subscriptions"


class _Wanted(msgspec.Struct, frozen=True):
    nodes: list[str]
    relations: list[str]


_Change = Callable[[dict[str, _Wanted]], dict[str, _Wanted]]
_decode = msgspec.json.Decoder(dict[str, _Wanted]).decode


class Subscriptions:
    """The registered queries of one source, kept in its state."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._stored: str | None = None
        self._queries: dict[str, _Wanted] = {}
        self._labels = Labels()

    async def load(self) -> None:
        self._take(await self._state.get(_NAME))

    async def add(self, query_node_id: str, query_id: str, nodes: list[str], relations: list[str]) -> None:
        wanted = _Wanted(sorted(nodes), sorted(relations))
        await self._change(lambda queries: {**queries, f"{query_node_id}/{query_id}": wanted})

    async def remove(self, query_node_id: str, query_id: str) -> None:
        await self._change(
            lambda queries: {name: wanted for name, wanted in queries.items() if name != f"{query_node_id}/{query_id}"}
        )

    def wanted(self) -> Labels:
        """The labels of all registered queries together; everything while nobody is registered, or if somebody wants that."""
        return self._labels

    async def _change(self, change: _Change) -> None:
        while True:
            queries = change(self._queries)
            if queries == self._queries:
                return
            value = msgspec.json.encode(queries).decode()
            try:
                await self._state.put(_NAME, value, expected=self._stored)
            except StateConflict:
                await self.load()
                continue
            self._take(value)
            return

    def _take(self, stored: str | None) -> None:
        self._stored = stored
        self._queries = _decode(stored) if stored else {}
        wanted = self._queries.values()
        if not wanted or any(not query.nodes and not query.relations for query in wanted):
            self._labels = Labels()
        else:
            self._labels = Labels(
                frozenset(label for query in wanted for label in query.nodes),
                frozenset(label for query in wanted for label in query.relations),
            )
