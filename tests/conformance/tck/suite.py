"""The read scenarios that can be asked of the oracle, and of the library: parsed, with their graphs and parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drasi.errors import QueryError
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
    """The scenarios of one file that read, call no procedure, have a result, and a graph without temporal values.

    Raises:
        ExceptionGroup: Queries that the language refuses though the scenario has a result; after all other cases.
    """
    refused = []
    for scenario in read(feature):
        if scenario.writes or scenario.procedures or scenario.expected is None or scenario.query_writes:
            continue
        parameters = {name: Cell(text).python() for name, text in scenario.parameters.items()}
        try:
            checked = check(parse(scenario.query), text=scenario.query, parameters=parameters, language="cypher")
        except QueryError as error:
            error.add_note(scenario.id)
            refused.append(error)
            continue
        graph = graph_of(tck, scenario)
        if graph is not None:
            not_yet = tuple(item.construct for item in checked.not_yet)
            yield Case(scenario, scenario.expected, checked.query, graph, parameters, not_yet)
    if refused:
        raise ExceptionGroup(f"{feature.stem}: refused", refused)


def graph_of(tck: Path, scenario: Scenario) -> Graph | None:
    """The scenario's graph; None if its statements need what the oracle does not know."""
    setup = Setup()
    try:
        for statement in [named_graph(tck, scenario.graph)] if scenario.graph else []:
            setup.execute(statement)
        for statement in scenario.setup:
            setup.execute(statement)
    except NotImplementedError:
        return None
    return setup.graph


def by_oracle(case: Case) -> Answer | None:
    """The oracle's answer; None for what it does not know."""
    try:
        return Oracle(case.query, case.parameters).answer(case.graph)
    except NotImplementedError:
        return None
