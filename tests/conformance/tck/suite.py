"""The read scenarios that can be asked of the oracle, and of the library: parsed, with their graphs and parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drasi.language import check, parse, tree
from tests.conformance.tck.cells import Cell
from tests.conformance.tck.features import Expected, Scenario, read
from tests.conformance.tck.setup import Setup, named_graph
from tests.oracle.answer import Answer, Oracle
from tests.oracle.graph import Graph


@dataclass(frozen=True)
class Case:
    """A scenario with a table as its result.

    Attributes:
        not_yet: The constructs of the query that the library does not evaluate yet; empty: it must.
    """

    scenario: Scenario
    expected: Expected
    query: tree.Query
    graph: Graph
    parameters: dict[str, Any]
    not_yet: tuple[str, ...]


def cases(tck: Path, feature: Path) -> Iterator[Case]:
    """The scenarios of one file that read, call no procedure, and have a result."""
    for scenario in read(feature):
        if scenario.writes or scenario.procedures or scenario.expected is None or scenario.query_writes:
            continue
        parameters = {name: Cell(text).python() for name, text in scenario.parameters.items()}
        checked = check(parse(scenario.query), text=scenario.query, parameters=parameters, language="cypher")
        setup = Setup()
        for statement in [named_graph(tck, scenario.graph)] if scenario.graph else []:
            setup.execute(statement)
        for statement in scenario.setup:
            setup.execute(statement)
        not_yet = tuple(item.construct for item in checked.not_yet)
        yield Case(scenario, scenario.expected, checked.query, setup.graph, parameters, not_yet)


def by_oracle(case: Case) -> Answer | None:
    """The oracle's answer; None for what it does not know."""
    try:
        return Oracle(case.query, case.parameters).answer(case.graph)
    except NotImplementedError:
        return None
