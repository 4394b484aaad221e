"""Bootstrap as part of the state: what is being read of a source, and how it is reconciled with live changes (wire.md section 4).

Parts go into the graph as they come: nobody looks at their labels yet. What must wait are live changes of elements that no part
has brought so far: they are held until the part with the element comes (then those at or below the part's position are in it
already), or until the marker behind the last part shows that no older change will come. Elements that the graph holds for running
queries are never held, and need no part: they get every change as it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

import msgspec

from drasi.container.change import fold
from drasi.container.entry import Part
from drasi.container.labels import Wanted
from drasi.messages.changes import Element, SourceChange, decode_change, encode

Positions = Mapping[str, str]
"""Position per partition; "" is the partition of a source that has none."""


class Fate(Enum):
    """What becomes of a live change while something of its source is being read."""

    APPLY = "apply"
    DROP = "a part has it already"
    HOLD = "hold"
    MERGE = "apply together with what was held"
    IGNORE = "nobody wants it"


@dataclass(slots=True)
class Build:
    """One reading of one source: some labels of it, part by part.

    Attributes:
        cursor, offset: Where the next part begins: in the body that was or is read from ``cursor``, at its ``offset``-th element.
        position: Header of the body that is being read.
        read: Whether the last part is there.
        renew: The labels were held before: what the parts say replaces what is in the graph, what they do not have goes.
    """

    number: int
    source: str
    wanted: Wanted
    renew: bool
    cursor: str | None = None
    offset: int = 0
    position: dict[str, str] = field(default_factory=dict)
    ts_ns: int = 0
    done: int = 0
    total: int | None = None
    read: bool = False
    marked: bool = True

    def continues(self, part: Part) -> bool:
        """Whether the part is the next one; any instance may read, only one counts.

        What was read before the body at hand and is committed behind it would bring back the time before: changes that the newer
        body has were passed over.
        """
        if part.cursor != self.cursor:
            return False
        if part.offset == 0:
            begun = self.read or self.offset
            return not begun or all(part.position.get(name, "") >= at for name, at in self.position.items())
        return part.offset == self.offset and part.position == self.position

    def advance(self, part: Part, count: int) -> None:
        if part.offset == 0:
            # The body is read anew: what it brought before counts once.
            self.done -= self.offset
        self.done += count
        self.offset = part.offset + count
        self.position = part.position
        self.ts_ns = max(self.ts_ns, part.ts_ns)
        self.total = part.total if part.total is not None else self.total
        if not part.last:
            return
        if part.following is not None:
            self.cursor = part.following
            self.offset = 0
        else:
            self.read = True
            self.marked = part.marked

    def plain(self) -> list[Any]:
        number, source, wanted, *rest = (getattr(self, each.name) for each in fields(self))
        return [number, source, wanted.plain(), *rest]

    @classmethod
    def of(cls, plain: list[Any]) -> Build:
        number, source, wanted, *rest = plain
        return cls(number, source, Wanted.of(wanted), *rest)


class Reconciliation:
    """What is remembered of one source while anything of it is being read for one graph."""

    __slots__ = ("covered", "held", "markers", "since", "truncated")

    def __init__(self) -> None:
        self.covered: dict[str, Positions] = {}
        self.held: dict[str, list[SourceChange]] = {}
        self.since: dict[str, list[SourceChange]] = {}
        self.truncated: list[SourceChange] = []
        self.markers: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.covered) + len(self.held) + len(self.since)

    def fate(self, change: SourceChange, element: Element, builds: Iterable[Build], *, known: bool, wanted: bool) -> Fate:
        """What to do with a live change; held ones are put aside here.

        Args:
            known: Whether the graph has the element.
            wanted: Whether its labels are held for running queries.
        """
        covered = self.covered.get(element.id)
        if covered is not None:
            if contained(change, covered):
                return Fate.DROP
            self._remember(change, element, builds)
            return Fate.APPLY
        held = self.held.get(element.id)
        if known or wanted:
            self._remember(change, element, builds)
            return Fate.MERGE if held else Fate.APPLY
        if held is not None or any(concerns(build.wanted, change) for build in builds):
            self.held.setdefault(element.id, []).append(change)
            return Fate.HOLD
        return Fate.IGNORE

    def _remember(self, change: SourceChange, element: Element, builds: Iterable[Build]) -> None:
        if element.id in self.since or any(build.renew and concerns(build.wanted, change) for build in builds):
            self.since.setdefault(element.id, []).append(change)

    def merged(self, change: SourceChange, element: Element) -> Element | None:
        """The element after what was held of it and this change."""
        return folded(None, [*self.held.pop(element.id), change])[0]

    def truncate(self, change: SourceChange) -> None:
        """A truncate: held elements and parts still to come are without what it names."""
        self.truncated.append(change)
        before = change.payload.before
        assert before is not None
        for element_id, changes in list(self.held.items()):
            if element_id.startswith(before.id) and _named(before.labels, changes[-1]):
                del self.held[element_id]

    def arrive(self, element: Element, position: Positions, *, relation: bool, renew: bool) -> tuple[Element | None, int] | None:
        """An element of a part.

        Returns:
            The element as it is now and its time (0 from the part, else that of the last change); None in its place if it is gone.
            None alone if the graph has it from an earlier part.
        """
        if element.id in self.covered and not renew:
            return None
        table = "rel" if relation else "node"
        later = [change for change in self.held.pop(element.id, []) if not contained(change, position)]
        if renew:
            # They are kept: another instance's part may come, or this one again.
            later += [change for change in self.since.get(element.id, ()) if not contained(change, position)]
        self.covered[element.id] = position
        for truncate in self.truncated:
            before = truncate.payload.before
            assert before is not None
            gone = element.id.startswith(before.id) and (not before.labels or not set(before.labels).isdisjoint(element.labels))
            if gone and truncate.payload.source.table == table and not contained(truncate, position):
                later = [change for change in later if _after(change, truncate)]
                return folded(None, later)
        return folded(element, later)

    def rest(self, wanted: Wanted) -> list[list[SourceChange]]:
        """Held changes of elements in no part, of these labels; they are held no longer."""
        found = [id_ for id_, changes in self.held.items() if any(concerns(wanted, change) for change in changes)]
        return [self.held.pop(id_) for id_ in found]

    def mark(self, partition: str, position: str) -> None:
        if position >= self.markers.get(partition, ""):
            self.markers[partition] = position

    def marked(self, build: Build, seen: Positions) -> bool:
        """Whether every change up to the last part's position has come: a marker says so, or a later change that came."""
        if not build.read:
            return False
        if not build.marked:
            return True
        if not build.position:
            return bool(self.markers)
        for partition, position in build.position.items():
            marker = self.markers.get(partition, self.markers.get(""))
            if (marker is not None and marker >= position) or seen.get(partition, "") >= position:
                continue
            return False
        return True

    def plain(self) -> list[Any]:
        numbers: dict[int, int] = {}
        positions: list[Positions] = []
        covered: dict[str, int] = {}
        for element_id, position in self.covered.items():
            if id(position) not in numbers:
                numbers[id(position)] = len(positions)
                positions.append(position)
            covered[element_id] = numbers[id(position)]
        return [
            positions,
            covered,
            {element_id: [encode(change) for change in changes] for element_id, changes in self.held.items()},
            {element_id: [encode(change) for change in changes] for element_id, changes in self.since.items()},
            [encode(change) for change in self.truncated],
            self.markers,
        ]

    @classmethod
    def of(cls, plain: list[Any]) -> Reconciliation:
        self = cls()
        positions, covered, held, since, truncated, self.markers = plain
        self.covered = {element_id: positions[number] for element_id, number in covered.items()}
        self.held = {element_id: [decode_change(change) for change in changes] for element_id, changes in held.items()}
        self.since = {element_id: [decode_change(change) for change in changes] for element_id, changes in since.items()}
        self.truncated = [decode_change(change) for change in truncated]
        return self


def contained(change: SourceChange, position: Positions) -> bool:
    """Whether a part read at ``position`` has the change in it already. Without positions nobody knows: it is applied again."""
    source = change.payload.source
    if source.position is None:
        return False
    read_at = position.get(source.partition or "", position.get("", ""))
    return bool(read_at) and source.position <= read_at


def concerns(wanted: Wanted, change: SourceChange) -> bool:
    """Whether the change is about an element with one of the labels, before or after."""
    payload = change.payload
    relation = payload.source.table == "rel"
    return any(element is not None and wanted.has(element.labels, relation=relation) for element in (payload.after, payload.before))


def folded(element: Element | None, changes: Iterable[SourceChange]) -> tuple[Element | None, int]:
    """The element after the changes, and the time of the last one (0 if there is none)."""
    time_ms = 0
    for change in changes:
        element = fold(element, change)
        time_ms = change.payload.source.ts_ns // 1_000_000
    return element, time_ms


decode_elements = msgspec.json.Decoder(list[Element]).decode


def _named(labels: list[str], change: SourceChange) -> bool:
    element = change.payload.after or change.payload.before
    return not labels or (element is not None and not set(labels).isdisjoint(element.labels))


def _after(change: SourceChange, other: SourceChange) -> bool:
    one, two = change.payload.source.position, other.payload.source.position
    return one is None or two is None or one > two
