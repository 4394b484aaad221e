"""Every manifest of Drasi's tutorials gives what its scenario says, but for what this version does not build yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from drasi.resources.known import Known
from drasi.resources.load import load
from drasi.resources.validate import validate
from tests.conftest import SHARED

SCENARIOS = sorted(SHARED.glob("tutorials/*/scenario.yaml"))

# The scenario calls these uncertain: Drasi accepts them, language.md section 2 does not.
AGGREGATES_BESIDE_VARIABLES = {
    "query-maintenance-predicted-1.yaml",
    "query-maintenance-predicted-2.yaml",
    "query-odometer-prediction.yaml",
}


def test_the_tutorials_are_there(shared_data: Path) -> None:
    assert len(SCENARIOS) >= 11


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.parent.name)
def test_manifests(scenario: Path) -> None:
    content = YAML(typ="safe").load(scenario.read_text(encoding="utf-8"))
    known = Known.of([])
    for entry in content["manifests"]:
        expected: dict[str, Any] = {"file": entry} if isinstance(entry, str) else entry
        file = scenario.parent / "manifests" / expected["file"]
        reports = validate(load(file.read_text(encoding="utf-8"), file.name), known)
        errors = [(problem.code, problem.path) for report in reports for problem in report.errors]
        if file.name in AGGREGATES_BESIDE_VARIABLES:
            assert errors == [("QueryError", "spec.query")], file
            assert "Aggregation" in reports[0].errors[0].message
            continue
        if "refused" in expected:
            assert errors == [(expected["refused"], expected["path"])], file
            continue
        assert errors == [], file
        codes = {problem.code for report in reports for problem in report.warnings}
        assert set(expected.get("warnings", ())) <= codes, file
        for report in reports:
            assert report.resource is not None
            known.add(report.kind, report.name, report.resource.spec)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.parent.name)
def test_nothing_but_what_is_not_built_is_refused_by_apply(scenario: Path) -> None:
    content = YAML(typ="safe").load(scenario.read_text(encoding="utf-8"))
    files = [entry if isinstance(entry, str) else entry["file"] for entry in content["manifests"]]
    for name in files:
        if name in AGGREGATES_BESIDE_VARIABLES or name == "debug-reaction.yaml":
            continue
        for report in validate(load((scenario.parent / "manifests" / name).read_text(encoding="utf-8")), Known.of([])):
            warned = {problem.message for problem in report.warnings if problem.code == "NotYet"}
            report.refuse_not_yet()
            assert {problem.message for problem in report.errors} == warned
            assert (report.resource is None) is bool(warned)
