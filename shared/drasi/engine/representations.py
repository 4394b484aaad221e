"""Equivalent values that are not the same: which one a group shows.

1 and 1.0 form one group. It shows the representation that came first among those present (language.md section 5), and "came" means
came into the group. Nearly always all members agree; then one value and a count are all there is. Only members that came after a
second representation appeared are kept by name, in the order in which they came.

Invariant: ``count - len(late)`` members are *settled*: they hold ``shown`` and came before every late one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drasi.values import Node, Relation
from drasi.values.identity import same


class Representations:
    __slots__ = ("count", "late", "shown")

    def __init__(self, value: Any) -> None:
        """No members yet; ``value`` is what the first one holds."""
        self.shown = value
        self.count = 0
        self.late: dict[Any, Any] | None = None

    def enter(self, member: Any, value: Any) -> None:
        self.count += 1
        if self.late is not None:
            self.late[member] = value
        elif self.count == 1:
            self.shown = value
        elif not same(value, self.shown):
            self.late = {member: value}

    def leave(self, member: Any) -> None:
        self.count -= 1
        late = self.late
        if late is None:
            return
        late.pop(member, None)
        if self.count == len(late):
            self._settle()
        if not late:
            self.late = None

    def replace(self, member: Any, old: Any, new: Any) -> None:
        """What ``member`` holds changes. It keeps its place if nothing but the content of elements does."""
        if not _alike(old, new):
            self.leave(member)
            self.enter(member, new)
        elif self.late is not None and member in self.late:
            self.late[member] = new
        else:
            self.shown = new

    # --- rebuilding: the order of arrival comes from a snapshot, the members from the graph ---

    def track(self) -> None:
        """From now on keeps every member by name, until ``settle_as``."""
        self.late = {}

    def settle_as(self, order: Sequence[Any]) -> None:
        """Ends tracking: the members in ``order`` are the late ones, in this order; all others are settled."""
        members = self.late or {}
        late = {member: members[member] for member in order if member in members}
        settled = next((value for member, value in members.items() if member not in late), None)
        self.late = late or None
        if len(late) < self.count:
            self.shown = settled
        else:
            self._settle()
            self.late = self.late or None

    def _settle(self) -> None:
        """The last settled member has gone: the run of equals that came next takes its place."""
        late = self.late
        if not late:
            return
        run = []
        shown = next(iter(late.values()))
        for member, value in late.items():
            if not same(value, shown):
                break
            run.append(member)
        for member in run:
            del late[member]
        self.shown = shown


def _alike(a: Any, b: Any) -> bool:
    """As ``same``, but elements by identity: as keys they are what they were, whatever their properties became."""
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is Node or kind is Relation:
        return (a.source, a.id) == (b.source, b.id)
    if kind is list:
        return len(a) == len(b) and all(map(_alike, a, b))
    if kind is dict:
        return a.keys() == b.keys() and all(_alike(value, b[key]) for key, value in a.items())
    return same(a, b)
