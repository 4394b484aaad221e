"""Net differences of our events, and whether they are what a transcribed case says: rows as bags, numbers by value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import drasi
from tests.oracle.strict import strict_row

Values = dict[str, Any]


@dataclass
class Difference:
    added: list[Values] = field(default_factory=list)
    updated: list[tuple[Values | None, Values]] = field(default_factory=list)
    """A before that is None is not asserted."""
    deleted: list[Values] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.added) + len(self.updated) + len(self.deleted)


def net(diffs: Iterable[drasi.Diff]) -> Difference:
    """What several events amount to: a row that comes and goes does not appear, updates of one row are one."""
    before: dict[str, drasi.Row | None] = {}
    after: dict[str, drasi.Row | None] = {}
    for diff in diffs:
        for row in diff.added:
            before.setdefault(row.id, None)
            after[row.id] = row
        for row in diff.deleted:
            before.setdefault(row.id, row)
            after[row.id] = None
        for pair in diff.updated:
            before.setdefault(pair.before.id, pair.before)
            after[pair.after.id] = pair.after
    result = Difference()
    for id_, old in before.items():
        new = after[id_]
        if old is None and new is not None:
            result.added.append(dict(new))
        elif old is not None and new is None:
            result.deleted.append(dict(old))
        elif old is not None and new is not None and strict_row(old) != strict_row(new):
            result.updated.append((dict(old), dict(new)))
    return result


def alike(expected: Any, found: Any, tolerance: float = 0.0) -> bool:
    """Equal, numbers by value (within the tolerance, relative or absolute); true is no number."""
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return expected == found or math.isclose(expected, found, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(alike(a, b, tolerance) for a, b in zip(expected, found, strict=True))
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(alike(expected[name], found[name], tolerance) for name in expected)
    return type(expected) is type(found) and bool(expected == found)


def same_bag(expected: Sequence[Any], found: Sequence[Any], tolerance: float = 0.0) -> bool:
    """Whether the items pair up; each is a row, or a pair of rows whose first may be None."""
    left = list(found)
    for wanted in expected:
        place = next((i for i, item in enumerate(left) if paired(wanted, item, tolerance)), None)
        if place is None:
            return False
        left.pop(place)
    return not left


def paired(wanted: Any, item: Any, tolerance: float) -> bool:
    if not isinstance(wanted, tuple):
        return alike(wanted, item, tolerance)
    (old, new), (before, after) = wanted, item
    return (old is None or alike(old, before, tolerance)) and alike(new, after, tolerance)


def assert_difference(expected: Difference, found: Difference, tolerance: float = 0.0) -> None:
    for kind in ("added", "updated", "deleted"):
        wanted, got = getattr(expected, kind), getattr(found, kind)
        assert same_bag(wanted, got, tolerance), f"{kind}: expected {wanted}, found {got}"
