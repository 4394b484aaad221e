"""Memory per element: the process's growth over a graph with one query on it."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from benchmarks import comfort
from drasi import ContinuousQuery


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(rooms: int) -> float:
    """Bytes per element (node or relation) of ``rooms`` rooms, with the floors' averages kept."""
    query = ContinuousQuery(comfort.QUERIES["floor average"])
    gc.collect()
    before = resident()
    count = 0
    for insert in comfort.elements(rooms):
        query.apply(insert)
        count += 1
    gc.collect()
    return (resident() - before) / count
