"""Whether rows of ours are the table of a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.tck.cells import Cell, written
from tests.conformance.tck.features import Expected


def wanted(expected: Expected, *, bags: bool = False) -> list[str]:
    """The rows of the table, each as one text. ``bags``: lists without their order."""
    bags = bags or expected.lists_as_bags
    texts = [" | ".join(Cell(cell, bags).text() for cell in row) for row in expected.rows]
    return texts if expected.ordered else sorted(texts)


def found(expected: Expected, rows: Sequence[Mapping[str, Any]], *, bags: bool = False) -> list[str]:
    """Our rows in the same notation."""
    bags = bags or expected.lists_as_bags
    texts = [" | ".join(written(row[column], bags) for column in expected.columns) for row in rows]
    return texts if expected.ordered else sorted(texts)
