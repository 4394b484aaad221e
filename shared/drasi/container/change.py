"""Changes as sources send them, checked, folded, and as the engine takes them."""

from __future__ import annotations

from drasi.engine import Delete, Engine
from drasi.engine.changes import Change
from drasi.messages.changes import Element, SourceChange
from drasi.values import Node, Relation, normalise


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


def made(source: str, element: Element, time_ms: int) -> Node | Relation:
    """The element as the engine takes it."""
    if element.startId is None:
        return Node(source, element.id, element.labels, element.properties, time_ms)
    start, end = _end(element.startSource, element.startId), _end(element.endSource, element.endId)
    return Relation(source, element.id, element.labels, element.properties, time_ms, start, end)


def _end(source: str | None, id_: str | None) -> str | tuple[str, str] | None:
    return id_ if source is None or id_ is None else (source, id_)


def normalise_change(change: Change) -> bool:
    """Numbers beyond 64 bits become floats (wire.md section 9). Returns whether there were any; raises ValueError."""
    if isinstance(change, Delete):
        return False
    element = change.element
    sent = element.properties
    element.properties = normalise(sent, element.id)
    return element.properties is not sent


def check_alone(change: Change) -> None:
    """Raises ValueError unless the change is well formed in itself, with its numbers normalised."""
    normalise_change(change)
    Engine().apply(change)
