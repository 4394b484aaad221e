"""``Application``: the host program says what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

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
        await self._send("i", Element(element_id, list(labels), dict(properties or {}), start, end), effective_from_ns)

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
        await self._send("u", Element(element_id, list(labels), dict(properties or {}), start, end), effective_from_ns)

    async def delete(
        self, element_id: str, labels: Sequence[str] = (), *, relation: bool = False, effective_from_ns: int | None = None
    ) -> None:
        """Removes an element; one that is not known is no error."""
        await self._send("d", Element(element_id, list(labels)), effective_from_ns, relation=relation)

    async def _send(
        self, op: Literal["i", "u", "d"], element: Element, effective_from_ns: int | None, *, relation: bool = False
    ) -> None:
        if not element.id:
            raise ValueError("an element needs an id")
        if (element.startId is None) != (element.endId is None):
            raise ValueError(f"relation {element.id} needs both start and end")
        if element.startId is not None:
            relation = True
            if not element.labels:
                raise ValueError(f"relation {element.id} needs a label: its type")
        origin = Origin(self.context.id, "rel" if relation else "node", effective_from_ns or self.context.now_ns())
        payload = Payload(origin, before=element) if op == "d" else Payload(origin, after=element)
        await self.publish([SourceChange(op, payload)])


KIND = SourceKind(
    name="Application",
    aliases=("application",),
    schema={"type": "object", "properties": {}},
    make=ApplicationSource,
    streams=False,
    pushed=True,
)
