"""Random change streams over few ids, labels and near-equal values, and their way to the library and the oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import drasi
from tests.oracle.graph import Element, Graph, Key

POOL: tuple[Any, ...] = (
    None, 1, 1.0, 1, 1.0, True, "1", 0, 0.0, -0.0, math.nan, False, 2**53, 2**53 + 1, float(2**53), [1], [1.0], [True], [None],
    {"a": 1}, {"a": 1.0}, "x", 2,
)  # fmt: skip
FAMILIES: tuple[tuple[Any, ...], ...] = (
    POOL,
    (1, 1.0, True, "1"),
    (0, 0.0, -0.0, False, None),
    (2**53, 2**53 + 1, float(2**53), math.nan),
    ([1], [1.0], [True], {"a": 1}, {"a": 1.0}),
)
"""A stream keeps to one of them per property, so that one value gives way to its near-equal."""

NUMBERS: tuple[Any, ...] = (0, 1, 1, 2, 3, 1.0, 1.0, 2.0, 0.1, 0.2, 2.5, -1, None, 2**53, 2**62)
STRINGS: tuple[Any, ...] = ("x", "xy", "Y", "", " x", None)
SOURCES = ("s", "t")
NODE_IDS = ("n1", "n2", "n3", "both")
RELATION_IDS = ("r1", "r2", "r3", "r4", "r5", "both")
ENDS: tuple[Key, ...] = (
    *(("s", name) for name in ("n1", "n1", "n1", "n1", "n1", "n2", "n2", "n2", "n3", "n3", "both", "nowhere")),
    *(("t", name) for name in ("n1", "n2")),
)


@dataclass(frozen=True)
class Change:
    """One source change, as plain data."""

    do: Literal["insert", "update", "delete"]
    source: str
    id: str
    relation: bool = False
    labels: tuple[str, ...] = ()
    properties: dict[str, Any] = field(default_factory=dict)
    start: Key | None = None
    end: Key | None = None

    def __repr__(self) -> str:
        ends = f" from {self.start} to {self.end}" if self.relation else ""
        return f"<{self.do} {self.source}/{self.id} {':'.join(self.labels)} {self.properties}{ends}>"

    def for_library(self, time: int) -> drasi.Insert | drasi.Update | drasi.Delete:
        if self.do == "delete":
            return drasi.Delete(source=self.source, id=self.id, labels=self.labels, effective_from=time)
        element: drasi.Node | drasi.Relation
        if self.relation:
            element = drasi.Relation(
                source=self.source,
                id=self.id,
                labels=self.labels,
                properties=self.properties,
                effective_from=time,
                start=self.start,
                end=self.end,
            )
        else:
            element = drasi.Node(
                source=self.source, id=self.id, labels=self.labels, properties=self.properties, effective_from=time
            )
        return drasi.Insert(element) if self.do == "insert" else drasi.Update(element)

    def malformed(self, graph: Graph) -> bool:
        """A relation without ends that nothing known can give it."""
        known = graph.elements.get((self.source, self.id))
        without = self.relation and self.do != "delete" and (self.start is None or self.end is None)
        return without and (self.do == "insert" or known is None or not known.is_relation)

    def apply(self, graph: Graph) -> None:
        if self.do == "delete":
            graph.delete(self.source, self.id)
            return
        start, end = self.start, self.end
        known = graph.elements.get((self.source, self.id))
        if self.relation and known is not None:
            start, end = start or known.start, end or known.end
        element = Element(self.source, self.id, self.labels, self.properties, start, end)
        (graph.insert if self.do == "insert" else graph.update)(element)


def of_element(element: Element, do: Literal["insert", "update", "delete"] = "insert") -> Change:
    return Change(
        do,
        element.source,
        element.id,
        element.is_relation,
        element.labels,
        {} if do == "delete" else dict(element.properties),
        element.start,
        element.end,
    )


class Streamer:
    """Draws the changes of one stream."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.pools = {"k": NUMBERS, "p": random.choice(FAMILIES), "q": random.choice(FAMILIES), "s": STRINGS}

    def properties(self, often: float) -> dict[str, Any]:
        return {name: self.random.choice(pool) for name, pool in self.pools.items() if self.random.random() < often}

    def node(self, do: Literal["insert", "update"], name: str, often: float = 0.5) -> Change:
        labels = self.random.choice((("A",), ("A",), ("B",), ("A", "B"), ("C",), ("A", "C"), ()))
        return Change(do, self.random.choice("ssst"), name, False, labels, self.properties(often))

    def relation(self, do: Literal["insert", "update"], name: str, often: float = 0.5) -> Change:
        labels = self.random.choice((("R",), ("R",), ("S",), ("R", "S")))
        kept = do == "update" and self.random.random() < 0.25
        start, end = (None, None) if kept else (self.random.choice(ENDS), self.random.choice(ENDS))
        return Change(do, self.random.choice("ssst"), name, True, labels, self.properties(often), start, end)

    def change(self) -> Change:
        of_relation = self.random.random() < 0.5
        name = self.random.choice(RELATION_IDS if of_relation else NODE_IDS)
        do: Literal["insert", "update", "delete"] = self.random.choice(("insert", "update", "update", "update", "delete"))
        if do == "delete":
            return Change("delete", self.random.choice("ssst"), name, of_relation)
        return self.relation(do, name) if of_relation else self.node(do, name)

    def graph(self) -> list[Change]:
        """Enough that there is something to match, relations before their nodes or after."""
        graph = [self.node("insert", name, 0.8) for name in (*NODE_IDS[:3] * 2, "n1")]
        graph += [self.relation("insert", name, 0.8) for name in RELATION_IDS[:5] * 2]
        self.random.shuffle(graph)
        return graph


def stream(random: Random, length: int = 16) -> list[list[Change]]:
    """Events, most of one change, some a transaction of several. First a graph, one by one or all at once."""
    streamer = Streamer(random)
    graph = streamer.graph()
    events = [graph] if random.random() < 0.3 else [[one] for one in graph]
    return events + [[streamer.change() for _ in range(random.choice((1, 1, 1, 1, 2, 3)))] for _ in range(length)]
