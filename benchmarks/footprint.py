"""Memory per element: the process's growth over a graph with one query on it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import comfort
from drasi import ContinuousQuery


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(rooms: int) -> float:
    """Bytes per element (node or relation) of ``rooms`` rooms, with the floors' averages kept; in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.footprint", str(rooms)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def grown(rooms: int) -> float:
    query = ContinuousQuery(comfort.QUERIES["floor average"])
    gc.collect()
    before = resident()
    count = 0
    for insert in comfort.elements(rooms):
        query.apply(insert)
        count += 1
    gc.collect()
    return (resident() - before) / count


if __name__ == "__main__":
    print(grown(int(sys.argv[1])))
