"""Plans as text, for people."""

from __future__ import annotations

from drasi.plan.algebra import Aggregate, Match, Plan, Segment
from drasi.plan.text import expression_text


def explain(plan: Plan) -> str:
    """One operator a line, in the order of the data's way, each with what it keeps."""
    lines = _match(plan.match)
    for segment in plan.segments:
        lines += _segment(segment)
    lines.append(f"result {', '.join(plan.columns)}")
    return "\n".join(lines) + "\n"


def _match(match: Match) -> list[str]:
    lines = ["match  (keeps: nothing; rows are found in the graph, identity = the elements bound)"]
    for index, place in enumerate(match.places):
        if place.kind == "node":
            labels = "any node" if place.labels is None else f":{expression_text(place.labels)}"
            lines.append(f"  {index} node     {_name(place.name, place.written)} {labels}")
        else:
            types = "any relation" if not place.types else ":" + "|".join(place.types)
            edges = [edge for edge in match.edges if edge.relation == index]
            ends = ", ".join(f"{edge.left} {_ARROWS[edge.direction]} {edge.right}" for edge in edges)
            lines.append(f"  {index} relation {_name(place.name, place.written)} {types}  {ends}")
    lines += [f"  where {expression_text(condition.expression)}" for condition in match.conditions]
    lines += [f"  {a} and {b} are different relations" for a, b in match.distinct]
    return lines


def _segment(segment: Segment) -> list[str]:
    lines = []
    for select in segment.selects:
        if select.columns is not None:
            lines.append("select " + ", ".join(f"{expression_text(c.expression)} AS {c.name}" for c in select.columns))
        lines += [f"  where {expression_text(condition)}" for condition in select.conditions]
    if segment.aggregate is not None:
        lines += _aggregate(segment.aggregate)
    return lines


def _aggregate(aggregate: Aggregate) -> list[str]:
    keys = ", ".join(f"{expression_text(key.expression)} AS {key.name}" for key in aggregate.keys) or "nothing (one group)"
    lines = [f"group by {keys}  (keeps: per group its members' number and an accumulator per aggregate)"]
    for accumulator in aggregate.accumulators:
        argument = "*" if accumulator.argument is None else expression_text(accumulator.argument)
        distinct = "DISTINCT " if accumulator.distinct else ""
        lines.append(f"  {accumulator.function}({distinct}{argument}) AS {accumulator.name.strip()}")
    return lines


def _name(name: str, written: bool) -> str:
    return name if written else "_"


_ARROWS = {"out": "-->", "in": "<--", "both": "---"}
