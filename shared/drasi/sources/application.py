"""``Application``: the host program says what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.port import SourceContext, SourceKind
from drasi.sources.pushed import PushedSource


class ApplicationSource(PushedSource):
    """The handle for the host program. Each method returns when the change is accepted by every container that reads the source."""

    def __init__(self, context: SourceContext) -> None:
        super().__init__(context, partition=None)

    async def insert(
        self,
        element_id: str,
        labels: Sequence[str] = (),
        properties: Mapping[str, Any] | None = None,
        *,
        start: str | None = None,
        end: str | None = None,
        effective_from_ns: int | None = None,
    ) -> None:
        """A node, or with ``start`` and ``end`` a relation; one that is known already is replaced."""
        await self.publish(
            [self._change("i", Element(element_id, list(labels), dict(properties or {}), start, end), effective_from_ns)]
        )

    async def update(
        self,
        element_id: str,
        labels: Sequence[str] = (),
        properties: Mapping[str, Any] | None = None,
        *,
        start: str | None = None,
        end: str | None = None,
        effective_from_ns: int | None = None,
    ) -> None:
        """Labels and ends are replaced, properties given are set, None removes one, the others are kept."""
        await self.publish(
            [self._change("u", Element(element_id, list(labels), dict(properties or {}), start, end), effective_from_ns)]
        )

    async def delete(
        self, element_id: str, labels: Sequence[str] = (), *, relation: bool = False, effective_from_ns: int | None = None
    ) -> None:
        """Removes an element; one that is not known is no error."""
        change = self._change("d", Element(element_id, list(labels)), effective_from_ns)
        if relation:
            change.payload.source.table = "rel"
        await self.publish([change])

    def _change(self, op: str, element: Element, effective_from_ns: int | None) -> SourceChange:
        if not element.id:
            raise ValueError("an element needs an id")
        if (element.startId is None) != (element.endId is None):
            raise ValueError(f"relation {element.id} needs both start and end")
        is_relation = element.startId is not None
        if is_relation and not element.labels:
            raise ValueError(f"relation {element.id} needs a label: its type")
        origin = Origin(self.context.id, "rel" if is_relation else "node", effective_from_ns or self.context.now_ns())
        if op == "d":
            return SourceChange("d", Payload(origin, before=element))
        return SourceChange("i" if op == "i" else "u", Payload(origin, after=element))


KIND = SourceKind(
    name="Application",
    aliases=("application",),
    schema={"type": "object", "properties": {}},
    make=ApplicationSource,
    streams=False,
    pushed=True,
)
