"""In memory: change objects in, difference objects out; ours and the hand-written program in turn, in one process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks import comfort, handwritten
from drasi import ContinuousQuery


def rate(apply: Callable[[Any], list[Any]], changes: list[Any]) -> float:
    """Changes per second; the rows of every difference are looked at, since they may be made on demand."""
    gc.collect()
    started = time.process_time()
    for change in changes:
        for difference in apply(change):
            difference.updated  # noqa: B018
    return len(changes) / (time.process_time() - started)


def measure(rooms: int, count: int, rounds: int = 5) -> dict[str, tuple[float, float]]:
    """Per query: (ours, hand-written), medians of ``rounds`` in turn."""
    results = {}
    elements = list(comfort.elements(rooms))
    for name, text in comfort.QUERIES.items():
        query = ContinuousQuery(text)
        for insert in elements:
            query.apply(insert)
        program = handwritten.PROGRAMS[name](elements)
        ours, theirs = [], []
        for round_ in range(rounds + 1):
            changes = comfort.changes(rooms, count, seed=round_)
            ours.append(rate(query.apply, changes))
            theirs.append(rate(program.apply, changes))
        results[name] = (median(ours[1:]), median(theirs[1:]))
    return results
