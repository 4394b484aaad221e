"""Checked tree → plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drasi.language import tree
from drasi.language.walk import descendants
from drasi.plan.algebra import Accumulator, Aggregate, Column, Plan, Segment, Select
from drasi.plan.expressions import conjuncts, replace_topmost
from drasi.plan.pattern import MatchBuilder

AGGREGATES = frozenset({"count", "sum", "avg", "min", "max", "collect"})


def build(query: tree.Query, parameters: Mapping[str, Any]) -> Plan:
    """The plan of a checked query (one part: unions are refused before)."""
    (part,) = query.parts
    match = MatchBuilder(parameters)
    segments: list[Segment] = []
    selects: list[Select] = []
    grouping_keys: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()

    def aggregate(operator: Aggregate) -> None:
        segments.append(Segment(tuple(selects), operator))
        selects.clear()

    for clause in part.clauses:
        if isinstance(clause, tree.Match):
            match.add(clause)
        elif isinstance(clause, tree.Filter):
            if segments or selects:
                selects.append(Select(None, tuple(conjuncts(clause.where))))
            else:
                match.filter(clause.where)
        elif isinstance(clause, tree.Projection):
            columns = tuple(item.name for item in clause.items)
            grouping_keys = None
            if clause.having is not None or clause.group_by is not None or any(map(_aggregates, clause.items)):
                operator, items, having = _grouped(clause)
                grouping_keys = tuple(key.name for key in operator.keys)
                aggregate(operator)
                if having:
                    selects.append(Select(None, tuple(having)))
                selects.append(Select(items))
            else:
                selects.append(Select(tuple(Column(item.name, item.expression) for item in clause.items)))
            if clause.distinct:
                same = tuple(Column(name, tree.Variable(name)) for name in columns)
                aggregate(Aggregate(same, ()))
                selects.append(Select(same))
            if clause.where is not None:
                selects.append(Select(None, tuple(conjuncts(clause.where))))
        else:
            raise AssertionError(f"{type(clause).__name__} has no place in the algebra yet")
    segments.append(Segment(tuple(selects), None))
    return Plan(match.build(), tuple(segments), columns, grouping_keys)


def is_aggregate(node: tree.Tree) -> bool:
    return isinstance(node, tree.FunctionCall) and node.name in AGGREGATES


def _aggregates(item: tree.Item) -> bool:
    return any(map(is_aggregate, descendants(item.expression)))


def _grouped(clause: tree.Projection) -> tuple[Aggregate, tuple[Column, ...], list[tree.Expression]]:
    """Splits a projection that aggregates into keys, accumulators, and the columns computed from both."""
    keys = [Column(item.name, item.expression) for item in clause.items if not _aggregates(item)]
    if clause.group_by is not None:
        # GQL names its keys; those that are columns already stand among the items.
        known = {key.expression for key in keys} | {tree.Variable(key.name) for key in keys}
        keys += [Column(f" k{i}", key) for i, key in enumerate(clause.group_by) if key not in known]
    accumulators: dict[tree.FunctionCall, Accumulator] = {}

    def replace(node: tree.Tree) -> tree.Tree | None:
        for key in keys:
            if node == key.expression:
                return tree.Variable(key.name, pos=node.pos)
        if is_aggregate(node):
            assert isinstance(node, tree.FunctionCall)
            if node not in accumulators:
                argument = None if node.star else node.arguments[0]
                accumulators[node] = Accumulator(f" a{len(accumulators)}", node.name, argument, node.distinct)
            return tree.Variable(accumulators[node].name, pos=node.pos)
        return None

    columns = tuple(Column(item.name, _replaced(item.expression, replace)) for item in clause.items)
    having = [_replaced(expression, replace) for expression in conjuncts(clause.having)]
    return Aggregate(tuple(keys), tuple(accumulators.values()), keyed=bool(keys)), columns, having


def _replaced(expression: tree.Expression, change: Callable[[tree.Tree], tree.Tree | None]) -> tree.Expression:
    result = replace_topmost(expression, change)
    assert isinstance(result, tree.Expression)
    return result
