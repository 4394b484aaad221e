"""One query's module: the generated functions, and how they are brought to life over a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any

from drasi.engine import accumulators, failure, match
from drasi.engine.codegen.aggregating import AggregateCode
from drasi.engine.codegen.expressions import namespace as functions
from drasi.engine.codegen.matching import MatchCode
from drasi.engine.codegen.scope import Reads
from drasi.engine.codegen.writer import Names
from drasi.engine.graph import Graph, value_of, with_properties
from drasi.engine.groups import fail, group_class, order_by
from drasi.engine.identity import group_text, match_text
from drasi.plan.algebra import Plan
from drasi.values import Node, operators
from drasi.values.equivalence import group_key
from drasi.values.errors import EvaluationError
from drasi.values.identity import same


@dataclass(frozen=True)
class Module:
    """Generated code and what it needs: made once per plan, instantiated per graph.

    Attributes:
        plan: What it was made from.
        source: The Python text.
        constants: Values that the text names.
        reads: What the query reads of each place.
    """

    plan: Plan
    source: str
    constants: Mapping[str, Any]
    reads: Reads
    slots: tuple[tuple[str, ...], ...]
    ordered: tuple[bool, ...]

    @cached_property
    def _code(self) -> CodeType:
        return compile(self.source, "<query>", "exec")

    def instantiate(self, graph: Graph) -> dict[str, Any]:
        """The module's namespace over ``graph``: functions ``scan``, ``walk_i``, ``change_i``, ``stage_n``, ``row_n``, and the
        state ``groups_n``, ``errors_n``."""
        space: dict[str, Any] = {
            **_LIBRARY,
            **self.constants,
            "labelled": graph.labelled,
            "typed": graph.typed,
            "all_nodes": graph.all_nodes,
            "tracking": False,
        }
        for n, aggregate in enumerate(self.aggregates):
            space[f"Group_{n}"] = group_class(self.slots[n])
            space[f"groups_{n}"] = {}
            space[f"errors_{n}"] = {}
            space[f"order_{n}"] = order_by(self.identity_text(n), len(aggregate.keys), self.ordered[n])
        exec(self._code, space)  # noqa: S102 -- our own text
        return space

    @cached_property
    def aggregates(self) -> list[Any]:
        return [segment.aggregate for segment in self.plan.segments if segment.aggregate is not None]

    def identity_text(self, stage: int) -> Any:
        """The function identity → text for the rows that enter ``stage`` (for the result: the number of stages)."""
        return match_text if stage == 0 else group_text(len(self.aggregates[stage - 1].keys))


def generate(plan: Plan, parameters: Mapping[str, Any]) -> Module:
    names = Names()
    matching = MatchCode(names, plan.match, plan.segments[0], parameters)
    matching.write()
    texts = list(matching.functions)
    slots, ordered = [], []
    keys = matching.key_types
    for n, segment in enumerate(plan.segments[:-1]):
        assert segment.aggregate is not None
        stage = AggregateCode(names, n, segment.aggregate, plan.segments[n + 1], parameters, keys)
        texts += stage.write()
        keys = list(stage.next_keys)
        slots.append(stage.slots)
        ordered.append(stage.ordered)
    return Module(plan, "\n".join(texts), names.constants, matching.reads, tuple(slots), tuple(ordered))


_LIBRARY: dict[str, Any] = {
    **{name: getattr(operators, name) for name in operators.__all__},
    **functions(),
    **{name: getattr(match, name) for name in ("leaving", "entering", "touching", "both_ways")},
    "Distinct": accumulators.Distinct,
    "Extremes": accumulators.Extremes,
    "Sum": accumulators.Sum,
    "EvaluationError": EvaluationError,
    "Node": Node,
    "Failure": failure.Failure,
    "fail": fail,
    "group_key": group_key,
    "not_a_list": failure.not_a_list,
    "not_a_number": failure.not_a_number,
    "same": same,
    "value_of": value_of,
    "with_properties": with_properties,
}
