"""What is right as a text but not built yet: named with its place, never silently ignored.

Widening the engine shrinks this module and flips ``supported`` in ``functions``.
"""

from __future__ import annotations

from collections.abc import Iterator

from drasi.language import functions, tree
from drasi.language.checked import NotYet
from drasi.language.place import excerpt, locate
from drasi.language.walk import descendants


def not_yet(query: tree.Query, text: str) -> tuple[NotYet, ...]:
    """The constructs of a checked query that the engine does not build, in the order of the text."""
    found = {(pos, construct) for construct, pos in _constructs(query, text)}
    return tuple(NotYet(construct, *locate(text, pos), excerpt(text, pos)) for pos, construct in sorted(found))


def _constructs(query: tree.Query, text: str) -> Iterator[tuple[str, int]]:
    for node in descendants(query):
        match node:
            case tree.Query(parts=parts) if len(parts) > 1:
                yield ("UNION ALL" if node.all else "UNION"), parts[1].pos
            case tree.SingleQuery(clauses=clauses):
                yield from _clauses(clauses)
            case tree.Projection():
                yield from _projection(node)
            case tree.PathPattern():
                yield from _path(node)
            case tree.PatternPredicate():
                yield "pattern predicate", node.pos
            case tree.PatternComprehension():
                yield "pattern comprehension", node.pos
            case tree.Subquery():
                yield f"{node.kind.upper()} {{ … }}", node.pos
            case tree.FunctionCall(name=name):
                if not functions.FUNCTIONS[name].supported:
                    yield f"{name}()", node.pos
            case _:
                pass


def _clauses(clauses: tuple[tree.Clause, ...]) -> Iterator[tuple[str, int]]:
    projected = False
    for clause in clauses:
        match clause:
            case tree.Match(optional=True):
                yield "OPTIONAL MATCH", clause.pos
            case tree.Match() if projected:
                yield "MATCH after WITH", clause.pos
            case tree.Unwind():
                yield "UNWIND", clause.pos
            case tree.CallSubquery():
                yield "CALL { … }", clause.pos
            case tree.CallProcedure():
                yield "CALL", clause.pos
            case tree.Projection():
                projected = True
            case _:
                pass


def _projection(clause: tree.Projection) -> Iterator[tuple[str, int]]:
    if clause.order_by:
        yield "ORDER BY", clause.order_by[0].pos
    if clause.skip is not None:
        yield "SKIP", clause.skip.pos
    if clause.limit is not None:
        yield "LIMIT", clause.limit.pos
    if clause.group_by is not None:
        yield "GROUP BY a key that is not returned", clause.group_by[0].pos if clause.group_by else clause.pos


def _path(path: tree.PathPattern) -> Iterator[tuple[str, int]]:
    if path.shortest is not None:
        yield ("shortestPath" if path.shortest == "one" else "allShortestPaths"), path.pos
    if path.variable is not None:
        yield "named path", path.pos
    for relation in path.relations:
        if relation.length is not None:
            yield "variable-length relation", relation.length.pos
