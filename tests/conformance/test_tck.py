"""The openCypher TCK's read scenarios, incrementally.

A scenario's graph arrives change by change in shuffled order, relations before their nodes too; every prefix's answer is the
oracle's, the last one is the scenario's table; then the graph is taken away again, and with it the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.conformance.tck.features import features
from tests.conformance.tck.suite import Case, cases
from tests.conformance.tck.table import found, wanted
from tests.conftest import SHARED
from tests.oracle.changes import of_element
from tests.oracle.watch import Watch, bag_columns

pytestmark = pytest.mark.usefixtures("shared_data")

TCK = SHARED / "tck"
FEATURES = features(TCK / "features")
MOST_EVENTS = 30


def evaluated(feature: Path) -> Iterator[Case]:
    """The scenarios whose query the library evaluates."""
    return (case for case in cases(TCK, feature) if not case.not_yet)


def run(case: Case) -> None:
    watch = Watch(case.scenario.query, case.parameters)
    changes = [of_element(element) for element in case.graph.elements.values()]
    Random(case.scenario.id).shuffle(changes)
    together = 1 + len(changes) // MOST_EVENTS
    for start in range(0, len(changes), together):
        watch.event(changes[start : start + together])
    rows = watch.query.rows()
    bags = bool(bag_columns(watch.answer))
    assert found(case.expected, rows, bags=bags) == wanted(case.expected, bags=bags)
    assert watch.query.errors() == []
    watch.take_away(together)


@pytest.mark.parametrize("feature", FEATURES, ids=[path.stem for path in FEATURES])
def test_feature(feature: Path) -> None:
    failed = {}
    for case in evaluated(feature):
        try:
            run(case)
        except Exception as error:
            failed[case.scenario.id] = f"{type(error).__name__}: {error}"
    assert failed == {}


def test_so_many_scenarios_are_evaluated(shared_data: Path) -> None:
    assert sum(len(list(evaluated(feature))) for feature in features(shared_data / "tck" / "features")) >= 1175
