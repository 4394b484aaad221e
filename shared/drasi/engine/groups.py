"""What the generated stages share: groups, and in which order the rows of one event arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drasi.engine.failure import Failure
from drasi.engine.representations import Representations

Delta = tuple[Any, Any, Any]
"""(identity, row before, row after): None where there is none, a Failure where it is in error."""

NO_ERRORS: dict[Any, Failure] = {}
"""Shared by all groups without errors; never written."""


class Group(Representations):
    """One group: its members' number and key (as shown), its erring members, the row it last gave."""

    __slots__ = ("errors", "key", "row")

    def __init__(self, key: Any, shown: Any) -> None:
        super().__init__(shown)
        self.key = key
        self.errors = NO_ERRORS
        self.row: Any = None


def group_class(slots: tuple[str, ...]) -> type[Group]:
    return type("Group", (Group,), {"__slots__": slots})


def fail(group: Group, member: Any, failure: Failure) -> None:
    if group.errors is NO_ERRORS:
        group.errors = {}
    group.errors[member] = failure


def order_by(text: Callable[[Any], str], keys: int, always: bool) -> Callable[[list[Delta]], None]:
    """How to put the rows of one event in order of arrival: by identity, where the order can be seen in the result.

    It can be seen in lists, and where equivalent keys of different representations arrive together.
    """

    def order(deltas: list[Delta]) -> None:
        if always or _mixed(deltas, keys):
            deltas.sort(key=lambda delta: text(delta[0]))

    return order


def _mixed(deltas: list[Delta], keys: int) -> bool:
    for i in range(keys):
        kinds = {row[i].__class__ for _, _, row in deltas if row.__class__ is tuple}
        if not (len(kinds) <= 1 and kinds.isdisjoint((float, list, dict))):
            return True
    return False
