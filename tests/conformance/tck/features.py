"""The scenarios of the feature files, outlines expanded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gherkin.parser import Parser
from gherkin.pickles.compiler import Compiler

WRITING = re.compile(r"\b(CREATE|MERGE|DELETE|SET|REMOVE)\b")


@dataclass(frozen=True)
class Expected:
    """The table of a result: ``rows`` hold the cells' texts."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    ordered: bool = False
    lists_as_bags: bool = False


@dataclass
class Scenario:
    name: str
    feature: str
    graph: str | None = None
    setup: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    procedures: bool = False
    query: str = ""
    expected: Expected | None = None
    error: tuple[str, str, str] | None = None
    """Type, phase, detail."""
    writes: bool = False

    @property
    def query_writes(self) -> bool:
        """Whether the query has a writing clause, even one without effect."""
        return WRITING.search(self.query) is not None

    @property
    def id(self) -> str:
        return f"{self.feature}: {self.name}"


def features(folder: Path) -> list[Path]:
    """The feature files below the folder."""
    return sorted(folder.rglob("*.feature"))


def read(path: Path) -> Iterator[Scenario]:
    """The scenarios of one file; an outline's are numbered."""
    document: Any = Parser().parse(path.read_text(encoding="utf-8"))
    document["uri"] = path.name
    times: dict[str, int] = {}
    for pickle in Compiler().compile(document):
        times[pickle["name"]] = number = times.get(pickle["name"], 0) + 1
        name = pickle["name"] if number == 1 else f"{pickle['name']} #{number}"
        yield scenario(name, path.stem, pickle["steps"])


def scenario(name: str, feature: str, steps: list[Any]) -> Scenario:
    result = Scenario(name, feature)
    for step in steps:
        text, argument = step["text"], step.get("argument") or {}
        document = argument.get("docString", {}).get("content", "")
        table = [tuple(cell["value"] for cell in row["cells"]) for row in argument.get("dataTable", {}).get("rows", [])]
        match text.split():
            case ["an", "empty", "graph"] | ["any", "graph"] | ["no", "side", "effects"]:
                pass
            case ["the", graph, "graph"]:
                result.graph = graph
            case ["having", "executed:"]:
                result.setup.append(document)
            case ["parameters", "are:"]:
                result.parameters = {row[0]: row[1] for row in table}
            case ["there", "exists", "a", "procedure", *_]:
                result.procedures = True
            case ["executing", "query:"]:
                result.query = document
            case ["the", "side", "effects", "should", "be:"] | ["executing", "control", "query:"]:
                result.writes = True
            case ["the", "result", "should", "be", "empty"]:
                result.expected = Expected()
            case ["the", "result", "should", "be", *_] | ["the", "result", "should", "be,", *_]:
                result.expected = expected(text, table)
            case ["a" | "an", kind, "should", "be", "raised", "at", *phase, detail]:
                result.error = (kind, " ".join(phase).rstrip(":"), detail)
            case _:
                raise AssertionError(f"{feature}: {name}: unknown step {text!r}")
    return result


def expected(text: str, table: list[tuple[str, ...]]) -> Expected:
    return Expected(table[0], tuple(table[1:]), ordered="in order" in text, lists_as_bags="ignoring element order" in text)
