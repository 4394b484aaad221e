"""The openCypher TCK's reading scenarios as texts: what must be refused is, with its words; all else is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from gherkin.parser import Parser
from gherkin.pickles.compiler import Compiler

from drasi.errors import QueryError
from drasi.language import check, parse
from tests.conftest import SHARED

FEATURES = SHARED / "tck" / "features"
WRITING = re.compile(r"\b(CREATE|MERGE|DELETE|SET|REMOVE)\b")
PROCEDURE = re.compile(r"there exists a procedure ([\w.]+)\((.*?)\) :: \((.*?)\)\s*:?$")
RAISED = re.compile(r"(\w+) should be raised at (compile time|runtime|any time): (\S+)$")


@dataclass
class Signature:
    arguments: list[tuple[str, str]]
    results: list[tuple[str, str]]


@dataclass
class Scenario:
    name: str
    query: str = ""
    error: tuple[str, str, str] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    procedures: dict[str, Signature] = field(default_factory=dict)


def _columns(written: str) -> list[tuple[str, str]]:
    pairs = (entry.split("::") for entry in written.split(",") if entry.strip())
    return [(name.strip(), type_.strip()) for name, type_ in pairs]


def _value(written: str) -> Any:
    """Numbers are numbers; of other parameters the text does well enough here."""
    for read in (int, float):
        try:
            return read(written)
        except ValueError:
            continue
    return written


def _scenario(feature: str, pickle: dict[str, Any]) -> Scenario:
    scenario = Scenario(f"{feature} {pickle['name']}")
    for step in pickle["steps"]:
        text = step["text"]
        if text == "executing query:":
            scenario.query = step["argument"]["docString"]["content"]
        elif text.startswith("parameters are"):
            for row in step["argument"]["dataTable"]["rows"]:
                name, value = (cell["value"] for cell in row["cells"])
                scenario.parameters[name] = _value(value)
        elif found := PROCEDURE.search(text.strip()):
            scenario.procedures[found[1]] = Signature(_columns(found[2]), _columns(found[3]))
        elif found := RAISED.search(text):
            scenario.error = (found[1], found[2], found[3])
    return scenario


def _scenarios() -> Iterator[Scenario]:
    for path in sorted(FEATURES.rglob("*.feature")):
        document: Any = Parser().parse(path.read_text())
        document["uri"] = str(path)
        for pickle in Compiler().compile(document):
            scenario = _scenario(path.stem, dict(pickle))
            if scenario.query and not (WRITING.search(scenario.query) and "exists {" not in scenario.query):
                yield scenario


SCENARIOS = list(_scenarios()) if FEATURES.is_dir() else []
AT_CREATION = [scenario for scenario in SCENARIOS if scenario.error is not None and scenario.error[1] == "compile time"]
BY_PARAMETER = [
    scenario for scenario in SCENARIOS if scenario.error is not None and scenario.error[:2] == ("SyntaxError", "runtime")
]
OTHERS = [
    scenario
    for scenario in SCENARIOS
    if (scenario.error is None or scenario.error[1] != "compile time") and scenario not in BY_PARAMETER
]

pytestmark = pytest.mark.skipif(not SCENARIOS, reason=f"the TCK is not at {FEATURES}; set DRASI_SHARED")


def _check(scenario: Scenario) -> None:
    text = scenario.query
    check(parse(text), text=text, parameters=scenario.parameters, procedures=scenario.procedures)


def test_the_reading_scenarios_are_there() -> None:
    assert len(AT_CREATION) > 550
    assert len(BY_PARAMETER) == 6
    assert len(OTHERS) > 2900


@pytest.mark.parametrize("scenario", AT_CREATION + BY_PARAMETER, ids=lambda scenario: scenario.name)
def test_refused_with_the_tcks_words(scenario: Scenario) -> None:
    assert scenario.error is not None
    type_, phase, detail = scenario.error
    with pytest.raises(QueryError) as caught:
        _check(scenario)
    assert (caught.value.type, caught.value.phase, caught.value.detail) == (type_, phase, detail)
    assert caught.value.line >= 1


def test_everything_else_is_accepted() -> None:
    """One test: thousands of small ones say no more. What may fail at any time is allowed to fail here."""
    refused: list[str] = []
    for scenario in OTHERS:
        try:
            _check(scenario)
        except QueryError as error:
            if scenario.error is None or scenario.error[1] != "any time":
                refused.append(f"{scenario.name}\n{scenario.query}\n{error}")
    assert not refused, "\n\n".join(refused[:5])
