"""Equivalent values that are not the same: which one a group shows.

1 and 1.0 form one group. It shows the representation that came first among those present (language.md section 5), and "came" means
came into the group. Nearly always all members agree; then one value and a count are all there is. Only members that came after a
second representation appeared are kept by name, in the order in which they came.

Invariant: ``count - len(late)`` members are *settled*: they hold ``shown`` and came before every late one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
