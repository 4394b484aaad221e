"""``python -m benchmarks emulators``: the whole system through Google's emulators, every function in a process of its own.

Three ways to load it: one change at a time, each when the one before has arrived; a steady rate; and as fast as the database takes
them. Batches form by themselves. Times are from the commit in the database to the HTTP call, and to the server-sent event.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from benchmarks.emulated import ceiling, prices
from benchmarks.emulated.kept import Kept, cpu_seconds, import_seconds
from benchmarks.emulated.prices import Used
from benchmarks.emulated.stage import POLL_MS, Stage, stage
from drasi.emulate.emulators import FIRESTORE, PUBSUB, Emulator

QUERIES = (1, 20)
ROOMS = 1_000
LARGE_ROOMS = 45_450
STEADY = 100
"""Changes a second."""
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    alone: int
    steady_s: int
    burst: int
    posts: int
    pushes: int
    restarts: int
    idle_s: int


FULL = Size(alone=100, steady_s=5, burst=6_000, posts=8_000, pushes=3_000, restarts=3, idle_s=6)
QUICK = Size(alone=30, steady_s=2, burst=2_000, posts=1_600, pushes=500, restarts=2, idle_s=3)


@dataclass(frozen=True, slots=True)
class Phase:
    """One way of loading.

    Attributes:
        rate, call_rate: Changes a second, until the last one was streamed, and called.
        per_message, per_entry: Changes in a message of the source, and in an entry of the log.
        called, streamed: Latencies in milliseconds.
        used: Per change.
        cpu: Seconds of all functions per change.
    """

    name: str
    rate: float
    call_rate: float
    per_message: float
    per_entry: float
    called: list[float]
    streamed: list[float]
    used: Used
    cpu: float


def missing() -> str:
    """Why it cannot run here; empty: it can."""
    wanted = [name for name in ("gcloud", "java") if shutil.which(name) is None]
    return f"the emulators need {' and '.join(wanted)}" if wanted else ""


@dataclass(frozen=True, slots=True)
class Found:
    """Of one number of queries.

    Attributes:
        idle: Used in a day in which nothing changes.
    """

    phases: list[Phase]
    idle: Used


async def _alone(one: Stage, count: int) -> list[float]:
    levels = []
    for _ in range(count):
        level = one.change()
        await one.arrivals.all([level])
        levels.append(level)
    return levels


async def _steady(one: Stage, seconds: int) -> list[float]:
    levels = []
    began = asyncio.get_running_loop().time()
    for number in range(seconds * STEADY):
        await asyncio.sleep(max(0.0, began + number / STEADY - asyncio.get_running_loop().time()))
        levels.append(one.change())
    await one.arrivals.all(levels)
    return levels


async def _burst(one: Stage, count: int) -> list[float]:
    levels = await asyncio.to_thread(lambda: [one.change() for _ in range(count)])
    await one.arrivals.all(levels)
    return levels


async def _phase(one: Stage, name: str, load: Callable[[], object]) -> Phase:
    before = await one.used()
    levels: list[float] = await load()  # type: ignore[misc]
    used = await one.used()
    used.subtract(before)
    arrivals = one.arrivals
    began = min(arrivals.sent[level] for level in levels)
    streamed = max(arrivals.streamed[level] for level in levels) - began
    called = max(arrivals.called[level] for level in levels) - began
    count = len(levels)
    return Phase(
        name,
        count / streamed,
        count / called,
        count / max(1, used["source:drasi_pubsub_messages_published_total"]),
        count / max(1, used["drasi_container_log_entry"]),
        arrivals.latencies(arrivals.called, levels),
        arrivals.latencies(arrivals.streamed, levels),
        _per(used, count),
        used["process_cpu_seconds_total"] / count,
    )


def _per(used: Counter[str], count: int) -> Used:
    return Used(
        reads=used["drasi_firestore_reads_total"] / count,
        writes=used["drasi_firestore_writes_total"] / count,
        entries=used["drasi_container_log_entry"] / count,
        messages=used["drasi_pubsub_messages_published_total"] / count,
        pushes=used["drasi_pubsub_pushes_total"] / count,
        billed_bytes=used["drasi_pubsub_billed_bytes_total"] / count,
    )


@asynccontextmanager
async def _emulators(directory: Path, *names: str) -> AsyncIterator[dict[str, str]]:
    said: list[str] = []
    running = [Emulator(name, directory, "benchmark", lambda name, text: said.append(f"{name}: {text}")) for name in names]
    try:
        await asyncio.gather(*(each.start() for each in running))
        yield dict(zip(names, (each.host for each in running), strict=True))
    finally:
        await asyncio.gather(*(each.stop() for each in running))


async def _system(directory: Path, emulators: dict[str, str], queries: int, size: Size) -> Found:
    async with stage(directory / f"q{queries}", emulators, f"bench-q{queries}", rooms=ROOMS, queries=queries) as one:
        await _alone(one, 10)
        phases = [await _phase(one, "one at a time", lambda: _alone(one, size.alone))]
        phases.append(await _phase(one, f"{STEADY} a second", lambda: _steady(one, size.steady_s)))
        phases.append(await _phase(one, "as fast as it goes", lambda: _burst(one, size.burst)))
        # Who read the tail before is not followed for ever.
        await asyncio.sleep(size.idle_s)
        before = await one.used()
        await asyncio.sleep(size.idle_s)
        idle = await one.used()
        idle.subtract(before)
        return Found(phases, _per(idle, 1).times(86_400 / size.idle_s))


async def _kept(directory: Path, emulators: dict[str, str], size: Size) -> None:
    kept = Kept(directory / "kept", emulators, "bench-kept")
    try:
        await kept.fill(LARGE_ROOMS, "floor average")
        here = [await kept.restore_here() for _ in range(size.restarts)]
        started = [await kept.started() for _ in range(size.restarts)]
        print(f"| restoring {kept.elements:,} elements from Firestore | seconds | of a CPU |\n|---|---:|---:|")
        print(f"| in this process | {median(each[0] for each in here):.2f} | {median(each[1] for each in here):.2f} |")
        seconds, cpu = (median(each[place] for each in started) for place in (0, 1))
        print(f"| a function's process, from its start until `/readyz` says yes | {seconds:.2f} | {cpu:.2f} |")
        main, whole = import_seconds()
        print(f"| of it: importing `functions/query/main.py` | {main[0]:.2f} | {main[1]:.2f} |")
        print(f"| of it: importing that and everything else it needs | {whole[0]:.2f} | {whole[1]:.2f} |\n")
        child = kept.process()
        await child.start()
        try:
            await child.ready()
            await _ceiling(kept, emulators, size, child.pid or 0)
        finally:
            await child.stop()
        seconds, cpu, later = await kept.restore_here()
        print(f"Restoring with {later:,} later entries, in this process: {seconds:.2f} s, {cpu:.2f} s of a CPU.\n")
    finally:
        kept.close()


async def _ceiling(kept: Kept, emulators: dict[str, str], size: Size, pid: int) -> None:
    path = ceiling.path_of(kept)
    print("| POSTs of Pub/Sub's push envelope, 16 connections | requests/s | changes/s | CPU µs a request |\n|---|---:|---:|---:|")
    async with ceiling.empty_function() as (port, empty_pid):
        for batch in (1, 100):
            count = size.posts * (1 if batch == 1 else 5)
            for name, where, process in (("an empty function", port, empty_pid), ("the query function", kept.port, pid)):
                parts = ceiling.bodies(kept, ROOMS, count, batch)
                requests = sum(map(len, parts))
                await ceiling.posts(where, path, [part[: len(part) // 5] for part in parts])
                before = cpu_seconds(process)
                rest = [part[len(part) // 5 :] for part in parts]
                rate = await ceiling.posts(where, path, rest)
                cpu = (cpu_seconds(process) - before) / sum(map(len, rest)) * 1e6
                print(f"| {name}, {batch} a request ({requests:,}) | {rate:,.0f} | {rate * batch:,.0f} | {cpu:,.0f} |", flush=True)
        contents = [part[0] for part in ceiling.bodies(kept, ROOMS, ceiling.CONNECTIONS, 1)]
        messages = [contents[number % len(contents)] for number in range(size.pushes)]
        rate = await ceiling.pushes(emulators[PUBSUB], "bench-ceiling", port, messages)
        cuts = quantiles(await ceiling.push_latency(emulators[PUBSUB], "bench-latency", size.alone), n=100)
        print(
            f"\nThe Pub/Sub emulator pushes {rate:,.0f} messages/s of one key to the empty function. A message alone takes", end=" "
        )
        print(
            f"{cuts[49]:.0f} ms (p50), {cuts[98]:.0f} ms (p99) from publishing to the push; a change takes two pushes.\n",
            flush=True,
        )


def _show_speed(found: dict[int, Found]) -> None:
    print(
        f"| through the emulators, {ROOMS:,} rooms | queries | changes/s | calls/s | changes a message | changes an entry "
        "| call p50 ms | p99 | SSE p50 ms | p99 |\n|---|" + "---:|" * 9
    )
    for queries, measured in found.items():
        for phase in measured.phases:
            cells = []
            for latencies in (phase.called, phase.streamed):
                cuts = quantiles(latencies, n=100)
                cells += [f"{cuts[49]:,.0f}", f"{cuts[98]:,.0f}"]
            rates = f"{phase.rate:,.0f} | {phase.call_rate:,.0f} | {phase.per_message:,.1f} | {phase.per_entry:,.1f}"
            print(f"| {phase.name} | {queries} | {rates} | " + " | ".join(cells) + " |")
    print(f"\nThe source looks at its database every {POLL_MS} ms. One reaction calls for each row of the first query;", end=" ")
    print("another streams all queries.\n")


def _show_costs(found: dict[int, Found]) -> None:
    print(
        "| a million changes | queries | Firestore: reads | writes | deletes | Pub/Sub: messages | pushes | GB billed | CPU s "
        "| Firestore $ | Pub/Sub $ | together $ | + requests $ |\n|---|" + "---:|" * 12
    )
    for queries, measured in found.items():
        for phase in (measured.phases[0], measured.phases[-1]):
            used = phase.used.times(MILLION)
            counts = f"{used.reads:,.0f} | {used.writes:,.0f} | {used.entries:,.0f} | {used.messages:,.0f} | {used.pushes:,.0f}"
            together = used.firestore + used.pubsub
            cells = f"{used.firestore:.2f} | {used.pubsub:.2f} | {together:.2f} | {used.requests:.2f}"
            print(f"| {phase.name} | {queries} | {counts} | {used.billed_bytes / 1e9:.2f} | {phase.cpu * MILLION:,.0f} | {cells} |")
    print(
        f"\nList prices of {prices.DATE}, us-central1: "
        + "; ".join(f"{each.what}: ${each.dollars:g} for {each.per:,}" for each in prices.ALL)
    )
    print("Deletes are counted as one for each entry: they come an hour later at the earliest.", end=" ")
    print("Reads follow the clock rather than the changes:\n")
    print("| a day without a change | queries | Firestore: reads | writes | Pub/Sub: messages | $ a day |\n|---|" + "---:|" * 5)
    for queries, measured in found.items():
        idle = measured.idle
        dollars = idle.firestore + idle.pubsub
        print(f"| four functions | {queries} | {idle.reads:,.0f} | {idle.writes:,.0f} | {idle.messages:,.0f} | {dollars:.2f} |")
    print()


async def _measure(size: Size) -> None:
    with tempfile.TemporaryDirectory(prefix="drasi-bench-") as name:
        directory = Path(name)
        async with _emulators(directory, FIRESTORE, PUBSUB) as emulators:
            await _kept(directory, emulators, size)
            found = {}
            for queries in QUERIES:
                found[queries] = await _system(directory, emulators, queries, size)
            _show_speed(found)
            _show_costs(found)


def report(*, quick: bool) -> None:
    """Prints everything; or says why it cannot."""
    reason = missing()
    if reason:
        print(f"Not run: {reason}.")
        return
    began = time.monotonic()
    asyncio.run(_measure(QUICK if quick else FULL))
    print(f"(emulators: {time.monotonic() - began:.0f} s)")
    sys.stdout.flush()
