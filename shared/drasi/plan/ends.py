"""``startNode`` and ``endNode``: where the nodes that they give are at hand.

The ends of a relation of the pattern are places of the match, so a change of either is seen. Of any other relation (one that was
a key of an aggregate, one out of a list) they would have to be joined to the row: not built yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from drasi.language import tree
from drasi.language.walk import children
from drasi.plan.algebra import Plan


def asks_for_an_end(node: tree.Tree) -> bool:
    return isinstance(node, tree.FunctionCall) and node.name in ("startNode", "endNode")


def ends_out_of_reach(plan: Plan) -> Iterator[tree.FunctionCall]:
    """The calls whose relation is none of the pattern's."""
    relations = {place.name for place in plan.match.places if place.kind == "relation"}
    for condition in plan.match.conditions:
        yield from _beyond(condition.expression, relations)
    for segment in plan.segments:
        for select in segment.selects:
            for column in select.columns or ():
                yield from _beyond(column.expression, relations)
            if select.columns is not None:
                renamed = [(c.name, c.expression) for c in select.columns if isinstance(c.expression, tree.Variable)]
                relations = {name for name, variable in renamed if variable.name in relations}
            for filtered in select.conditions:
                yield from _beyond(filtered, relations)
        if segment.aggregate is not None:
            for key in segment.aggregate.keys:
                yield from _beyond(key.expression, relations)
            for accumulator in segment.aggregate.accumulators:
                if accumulator.argument is not None:
                    yield from _beyond(accumulator.argument, relations)
            relations = set()


def _beyond(expression: tree.Tree, relations: set[str]) -> Iterator[tree.FunctionCall]:
    waiting = [(expression, relations)]
    while waiting:
        node, known = waiting.pop()
        if isinstance(node, tree.FunctionCall) and asks_for_an_end(node):
            (relation,) = node.arguments
            if not (isinstance(relation, tree.Variable) and relation.name in known):
                yield node
        if isinstance(node, tree.ListComprehension | tree.Quantifier | tree.Reduce):
            known = known - {node.variable}
        waiting += [(child, known) for child in children(node)]
