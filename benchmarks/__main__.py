"""``make bench``: every figure, each beside its peer in the same run."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from benchmarks import container, footprint, http, memory, wire
from benchmarks.emulated.report import report

SIZES = (1_000, 100_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "part", nargs="?", choices=("local", "emulators"), help="only this: in processes here, or through emulators"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the changes: to see that it runs")
    options = parser.parse_args()
    if options.part != "emulators":
        local(5_000 if options.quick else 50_000)
    if options.part != "local":
        print(f"\nPython {platform.python_version()} on {platform.machine()}, {os.cpu_count()} CPUs; through Google's emulators\n")
        report(quick=options.quick)


def local(count: int) -> None:
    """Without anything foreign."""
    print(f"Python {platform.python_version()} on {platform.machine()}; changes per second, medians; in turn with the peer\n")
    for title, measure in (("in memory: objects in, differences out", memory.measure), ("JSON in, JSON out", wire.measure)):
        print(f"| {title} | rooms | ours | by hand | ratio |\n|---|---:|---:|---:|---:|")
        for rooms in SIZES:
            for name, (ours, theirs) in measure(rooms, count).items():
                print(f"| {name} | {rooms:,} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} |")
                sys.stdout.flush()
        print()
    batches = {1: count // 10, 100: count, 500: count}
    print("| container on SQLite, durable | rooms |" + "".join(f" {batch} a message |" for batch in batches))
    print("|---|---:|" + "---:|" * len(batches))
    for rooms in SIZES:
        for name, rates in container.measure(rooms, batches).items():
            print(f"| {name} | {rooms:,} | " + " | ".join(f"{rate:,.0f}" for rate in rates.values()) + " |")
            sys.stdout.flush()
    print("\n| POST in, SSE out, one change a request | 16 connections | p50 ms | p99 ms |\n|---|---:|---:|---:|")
    for name, (rate, p50, p99) in http.measure(1_000, count // 5).items():
        print(f"| {name} | {rate:,.0f} | {p50:.2f} | {p99:.2f} |")
    print(f"\nMemory: {footprint.measure(100_000):,.0f} bytes per element (100,000 rooms, floor average).")


if __name__ == "__main__":
    main()
