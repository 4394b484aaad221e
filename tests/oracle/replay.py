"""Replays one recorded stream over several queries and writes the bytes of every result event: a program of its own, so that it
can be run under any PYTHONHASHSEED."""

from __future__ import annotations

import sys
from random import Random

from drasi.engine import Engine
from drasi.engine.events import encode_event
from drasi.plan import compile_query
from tests.oracle.changes import stream
from tests.oracle.queries import PARAMETERS, Query, query

QUERIES = (
    "MATCH (a) RETURN a, labels(a) AS labels, keys(a) AS keys, properties(a) AS properties",
    "MATCH (a:A)-[r]-(b) WHERE a.k IS NOT NULL RETURN a.k AS k, r, b",
    "MATCH (a)-[:R|S]->(b), (c) RETURN a.p AS p, count(*) AS n, collect(c.s) AS all, collect(DISTINCT b.q) AS some",
    "MATCH (a) RETURN DISTINCT a.p AS p, a.q AS q",
    "MATCH (a)--(b) WITH a.p AS p, b.q AS q, count(*) AS n, min(b.s) AS s WITH p, sum(n) AS n, collect(q) AS qs RETURN p, n, qs",
    "MATCH (a:A|B) RETURN max(a.p) AS greatest, avg(a.k) AS mean, count(DISTINCT a.q) AS different, sum(DISTINCT a.k) AS total",
)
LENGTH = 300


def main() -> None:
    random = Random("a recorded stream")
    queries = [*(Query(text, "cypher") for text in QUERIES), *(query(random) for _ in range(6))]
    events = stream(random, LENGTH)
    engine = Engine()
    for number, (text, language) in enumerate(queries):
        engine.add(f"q{number}", compile_query(text, language=language, parameters=PARAMETERS))
    for number, event in enumerate(events):
        try:
            diffs = engine.apply_transaction([item.for_library(number) for item in event])
        except ValueError as error:
            sys.stdout.write(f"{number}: {error}\n")
            continue
        for name, diff in diffs:
            sys.stdout.write(encode_event(diff, name, number).decode() + "\n")
    for number in range(len(queries)):
        errors = [f"{error.type} {error.detail} {error.message}" for error in engine.errors(f"q{number}")]
        sys.stdout.write(f"q{number}: {[row.id for row in engine.rows(f'q{number}')]} {errors}\n")


if __name__ == "__main__":
    main()
