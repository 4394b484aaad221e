"""Aggregation: where a call folds rows, what may stand beside it, and how to say it otherwise."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeGuard

from drasi.language import functions, tree
from drasi.language.tokens import matching_brackets, tokenize
from drasi.language.tree import Expression, Tree
from drasi.language.walk import children, descendants


def is_aggregate_call(node: Tree) -> TypeGuard[tree.FunctionCall]:
    return isinstance(node, tree.FunctionCall) and functions.is_aggregate(node.name)


def aggregates(expression: Tree) -> Iterator[tree.FunctionCall]:
    """The outermost aggregate calls of an expression; those of its subqueries are their own."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        if is_aggregate_call(node):
            yield node
        elif not isinstance(node, tree.Subquery):
            waiting.extend(reversed(tuple(children(node))))


def aggregates_rows(expression: Tree) -> bool:
    """Whether an expression holds an aggregate of its own."""
    return next(aggregates(expression), None) is not None


def conjuncts(expression: Expression) -> list[Expression]:
    """The operands of the outermost ANDs, in order."""
    found: list[Expression] = []
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tree.Binary) and node.operator == "AND":
            waiting += (node.right, node.left)
        else:
            found.append(node)
    return found


def conjunction(operands: list[Expression]) -> Expression | None:
    """The operands joined by AND, as flat as can be; None for none."""
    if not operands:
        return None
    if len(operands) == 1:
        return operands[0]
    half = len(operands) // 2
    left, right = conjunction(operands[:half]), conjunction(operands[half:])
    assert left is not None
    assert right is not None
    return tree.Binary("AND", left, right, pos=operands[0].pos)


def is_simple(expression: Expression) -> bool:
    """Whether a grouping key can be named again beside an aggregate: a variable, a property of one."""
    while isinstance(expression, tree.Property):
        expression = expression.subject
    return isinstance(expression, tree.Variable)


def beside_aggregates(expression: Expression, keys: Collection[Expression], scope: Collection[str]) -> list[Expression]:
    """The outermost variables and properties outside the aggregates of an expression that are no grouping keys.

    Args:
        expression: An expression that aggregates.
        keys: The grouping keys that may be named again.
        scope: The variables of the rows; others belong to loops inside the expression.
    """
    found: list[Expression] = []
    _beside(expression, keys, scope, frozenset(), found)
    return found


def _beside(
    node: Tree, keys: Collection[Expression], scope: Collection[str], local: frozenset[str], found: list[Expression]
) -> None:
    if is_aggregate_call(node) or node in keys:
        return
    if isinstance(node, tree.Variable):
        if node.name in scope and node.name not in local:
            found.append(node)
        return
    if isinstance(node, tree.Property) and is_simple(node):
        variable = _base(node)
        if variable.name in scope and variable.name not in local and not _below_key(node, keys):
            found.append(node)
        return
    if isinstance(node, tree.NodePattern | tree.RelationPattern) and node.variable in scope and node.variable not in local:
        variable = tree.Variable(node.variable or "", pos=node.pos)
        if variable not in keys:
            found.append(variable)
    for child in children(node):
        _beside(child, keys, scope, local | _own(node), found)


def _below_key(node: Expression, keys: Collection[Expression]) -> bool:
    while isinstance(node, tree.Property):
        if node in keys:
            return True
        node = node.subject
    return node in keys


def _base(node: Expression) -> tree.Variable:
    while isinstance(node, tree.Property):
        node = node.subject
    assert isinstance(node, tree.Variable)
    return node


def _own(node: Tree) -> frozenset[str]:
    match node:
        case tree.ListComprehension(variable=variable) | tree.Quantifier(variable=variable):
            return frozenset({variable})
        case tree.Reduce(accumulator=accumulator, variable=variable):
            return frozenset({accumulator, variable})
        case _:
            return frozenset()


def rewriting(text: str, item: Expression, item_text: str, offending: list[Expression]) -> str:
    """How to write an item with variables beside its aggregates: keys and aggregates first, combined afterwards."""
    tokens = tokenize(text)
    brackets = matching_brackets(tokens)
    index_at = {token.pos: index for index, token in enumerate(tokens)}
    pieces: dict[int, tuple[int, str]] = {}
    names: dict[str, str] = {}
    parts: list[tuple[int, Expression]] = [(node.pos, node) for node in (*offending, *aggregates(item))]
    for pos, node in sorted(parts, key=lambda part: part[0]):
        index = index_at.get(pos)
        if index is None:
            return ""
        end = _end(node, index, brackets)
        if end is None or end >= len(tokens):
            return ""
        written = text[pos : tokens[end].end]
        if written not in names:
            wanted = node.key if isinstance(node, tree.Property) else _call_name(node)
            names[written] = _fresh(wanted, names.values())
        pieces[pos] = (tokens[end].end, names[written])
    start = item.pos if text.startswith(item_text, item.pos) else text.find(item_text)
    if start < 0:
        return ""
    combined, at = "", start
    for pos, (stop, name) in sorted(pieces.items()):
        combined += text[at:pos] + name
        at = stop
    combined += text[at : start + len(item_text)]
    columns = ", ".join(written if written == name else f"{written} AS {name}" for written, name in names.items())
    return f"group first, combine afterwards: WITH {columns} RETURN {combined}"


def _end(node: Expression, index: int, brackets: dict[int, int]) -> int | None:
    """The index of the last token of a variable, a property of one, or a call."""
    depth = 0
    while isinstance(node, tree.Property):
        node, depth = node.subject, depth + 1
    if isinstance(node, tree.Variable):
        return index + 2 * depth
    while index not in brackets:
        index += 1
    return brackets[index]


def _call_name(node: Expression) -> str:
    if isinstance(node, tree.FunctionCall):
        return node.written.rsplit(".", 1)[-1] or node.name
    return node.name if isinstance(node, tree.Variable) else "value"


def _fresh(name: str, taken: Collection[str]) -> str:
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}{number}", number + 1
    return candidate


def variables(node: Tree) -> set[str]:
    """The names of all variables that an expression reads, its own loops' included."""
    return {part.name for part in descendants(node) if isinstance(part, tree.Variable)}
