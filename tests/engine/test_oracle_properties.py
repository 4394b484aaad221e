"""The incremental answer is the oracle's after every change: random queries, graphs and change streams.

An example is a seed. Each is a query of the supported language and some thirty events; whatever fails is reduced to the fewest
changes that still fail. ``HYPOTHESIS_PROFILE=thorough`` takes seeds at random, and far more of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import drasi
from drasi.engine import Engine
from drasi.plan import Compiled, compile_query
from tests.oracle.changes import Change, of_element, stream
from tests.oracle.graph import Graph
from tests.oracle.queries import PARAMETERS, Query, query
from tests.oracle.watch import Watch, by_id, written

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
examples = settings(max_examples=50_000 if THOROUGH else 600, database=None, phases=[Phase.explicit, Phase.generate])
Events = list[list[Change]]


def run(drawn: Query, events: Events, fork: int) -> None:
    """The query from construction through all events and back to the empty graph; restored from a snapshot on the way."""
    watch = Watch(drawn.text, PARAMETERS, drawn.language)
    for number, event in enumerate(events):
        if number == fork:
            watch.fork()
        watch.event(event)
    watch.take_away()


def failure(drawn: Query, events: Events, fork: int) -> BaseException | None:
    try:
        run(drawn, events, fork)
    except Exception as error:
        return error
    return None


def reduced(events: Events, fails: Callable[[Events], bool]) -> Events:
    """Fewer changes that still fail: events, then changes within them, dropped as long as it does."""
    dropped = True
    while dropped:
        dropped = False
        for place in reversed(range(len(events))):
            shorter = events[:place] + events[place + 1 :]
            if fails(shorter):
                events, dropped = shorter, True
        for place, event in enumerate(events):
            for change in reversed(range(len(event))):
                less = event[:change] + event[change + 1 :]
                if less and fails([*events[:place], less, *events[place + 1 :]]):
                    events, event, dropped = [*events[:place], less, *events[place + 1 :]], less, True
    return events


def check(drawn: Query, events: Events, fork: int) -> None:
    first = failure(drawn, events, fork)
    if first is None:
        return
    kind = type(first)
    events = reduced(events, lambda fewer: type(failure(drawn, fewer, fork)) is kind)
    told = "\n".join(str(event) for event in events)
    raise AssertionError(f"{drawn.text}\nfork before event {fork}\n{told}") from failure(drawn, events, fork)


@examples
@given(st.integers(0, 2**48))
def test_the_incremental_answer_is_the_oracles(seed: int) -> None:
    random = Random(seed)
    drawn = query(random)
    events = stream(random)
    check(drawn, events, random.randrange(len(events)))


def compiled(drawn: Query) -> Compiled:
    return compile_query(drawn.text, language=drawn.language, parameters=PARAMETERS)


def alone(drawn: Query) -> drasi.ContinuousQuery:
    return drasi.ContinuousQuery(drawn.text, language=drawn.language, parameters=PARAMETERS)


@settings(max_examples=5_000 if THOROUGH else 60, database=None, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**48))
def test_queries_on_one_graph_do_not_touch_each_other(seed: int) -> None:
    """Four queries on one engine, one removed and one added on the way: each gives what it gives alone."""
    random = Random(seed)
    drawn = {f"q{number}": query(random) for number in range(4)}
    late = query(random)
    events = stream(random)
    engine, single = Engine(), {name: alone(one) for name, one in drawn.items()}
    for name, one in drawn.items():
        engine.add(name, compiled(one))
    graph = Graph()
    for number, event in enumerate(events):
        if number == len(events) // 2:
            engine.remove("q0")
            del single["q0"]
            added = engine.add("late", compiled(late))
            single["late"] = alone(late)
            everything = [of_element(element).for_library(number) for element in graph.elements.values()]
            single["late"].apply_transaction(everything)
            assert by_id(added.added if added is not None else []) == by_id(single["late"].rows())
        sent = [change.for_library(number) for change in event]
        try:
            found = dict(engine.apply_transaction(sent))
        except ValueError:
            continue
        for change in event:
            change.apply(graph)
        for name, one_alone in single.items():
            expected = [written(diff) for diff in one_alone.apply_transaction(sent)]
            assert ([written(found[name])] if name in found else []) == expected, drawn.get(name, late).text
            assert by_id(engine.rows(name)) == by_id(one_alone.rows())


ROOT = Path(__file__).parents[2]


def replayed(hash_seed: str) -> bytes:
    path = os.pathsep.join((str(ROOT), str(ROOT / "shared")))
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-m", "tests.oracle.replay"], check=True, capture_output=True, env=environment, cwd=ROOT)
    return done.stdout


def test_no_result_depends_on_hash_order() -> None:
    first = replayed("0")
    assert first.count(b"\n") > 300
    assert replayed("1") == first
    assert replayed("4294967295") == first


@pytest.mark.parametrize("number", range(3))
def test_the_reducer_keeps_what_fails(number: int) -> None:
    events = stream(Random(number))
    wanted = events[-1][0]
    left = reduced(events, lambda fewer: any(change is wanted for event in fewer for change in event))
    assert left == [[wanted]]
