"""Changes as sources send them, checked, folded, and as the engine takes them."""

from __future__ import annotations

from typing import Any

from drasi.container.evaluation import Evaluation
from drasi.messages.changes import Element, SourceChange


class MalformedChange(ValueError):
    """The item can never be applied."""


def subject(change: SourceChange) -> Element:
    """The element a change is about, after checking what the schema alone does not say (wire.md section 2).

    Raises:
        MalformedChange: What is wrong with it.
    """
    op = change.op
    payload = change.payload
    element = payload.after if op in ("i", "u") else payload.before
    if element is None:
        raise MalformedChange(f"op '{op}' needs payload.{'after' if op in ('i', 'u') else 'before'}")
    if op == "t":
        return element
    if not element.id:
        raise MalformedChange("the element's id is empty")
    if op == "d":
        return element
    if payload.source.table == "rel":
        if not element.labels:
            raise MalformedChange(f"relation '{element.id}' has no type (labels is empty)")
        if not element.startId or not element.endId:
            raise MalformedChange(f"relation '{element.id}' needs startId and endId")
    elif element.startId is not None or element.endId is not None:
        raise MalformedChange(f"node '{element.id}' has startId or endId; is its table 'rel'?")
    return element


def fold(element: Element | None, change: SourceChange) -> Element | None:
    """The element after one more change (wire.md section 2.1)."""
    if change.op == "d":
        return None
    after = change.payload.after
    assert after is not None
    if change.op == "i" or element is None:
        return Element(
            after.id,
            after.labels,
            {name: value for name, value in after.properties.items() if value is not None},
            after.startId,
            after.endId,
            after.startSource,
            after.endSource,
        )
    properties = {**element.properties, **after.properties}
    return Element(
        after.id,
        after.labels,
        {name: value for name, value in properties.items() if value is not None},
        after.startId if after.startId is not None else element.startId,
        after.endId if after.endId is not None else element.endId,
        after.startSource if after.startId is not None else element.startSource,
        after.endSource if after.endId is not None else element.endSource,
    )


def made(evaluation: Evaluation, source: str, element: Element, time_ms: int, *, relation: bool) -> Any:
    """The element as the engine takes it."""
    if not relation:
        return evaluation.node(source, element.id, element.labels, element.properties, time_ms)
    start: Any = element.startId if element.startSource is None else (element.startSource, element.startId)
    end: Any = element.endId if element.endSource is None else (element.endSource, element.endId)
    return evaluation.relation(source, element.id, element.labels, element.properties, time_ms, start, end)
