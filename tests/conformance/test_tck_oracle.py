"""The oracle against the openCypher TCK: what the engine is compared with is right itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.conformance.tck.features import features
from tests.conformance.tck.suite import by_oracle, cases
from tests.conformance.tck.table import found, wanted
from tests.conftest import SHARED
from tests.oracle.strict import holds_bag

pytestmark = pytest.mark.usefixtures("shared_data")

TCK = SHARED / "tck"
FEATURES = features(TCK / "features")


@cache
def outcomes(feature: Path) -> dict[str, bool]:
    """Per scenario that the oracle can evaluate: whether its answer is the table."""
    result = {}
    for case in cases(TCK, feature):
        answer = by_oracle(case)
        if answer is not None:
            rows = [row for _, row in answer.rows]
            bags = any(holds_bag(row) for row in rows)
            right = wanted(case.expected, bags=bags) == found(case.expected, rows, bags=bags)
            result[case.scenario.id] = right and not answer.errors
    return result


@pytest.mark.parametrize("feature", FEATURES, ids=[path.stem for path in FEATURES])
def test_feature(feature: Path) -> None:
    assert [scenario for scenario, right in outcomes(feature).items() if not right] == []


def test_most_of_the_read_scenarios_are_evaluated(shared_data: Path) -> None:
    assert sum(len(outcomes(feature)) for feature in features(shared_data / "tck" / "features")) >= 1390
