"""What a plan asks of expressions: the names they read, their conjuncts, parts replaced by names."""

from __future__ import annotations

from collections.abc import Callable

from drasi.language import tree
from drasi.language.walk import children, map_children


def free_variables(expression: tree.Tree) -> frozenset[str]:
    """Names that ``expression`` reads from outside itself (loop variables of comprehensions are its own)."""
    found: set[str] = set()
    # A stack instead of recursion: long chains of operators are deep trees.
    stack: list[tuple[tree.Tree, frozenset[str]]] = [(expression, frozenset())]
    while stack:
        node, bound = stack.pop()
        if isinstance(node, tree.Variable):
            if node.name not in bound:
                found.add(node.name)
        elif isinstance(node, tree.ListComprehension | tree.Quantifier | tree.Reduce):
            stack.append((node.items, bound))
            inner = bound | {node.variable}
            if isinstance(node, tree.Reduce):
                stack.append((node.initial, bound))
                inner |= {node.accumulator}
            stack.extend((part, inner) for part in (node.where, getattr(node, "projection", None)) if part is not None)
        else:
            stack.extend((child, bound) for child in children(node))
    return frozenset(found)


def replace_topmost(node: tree.Tree, change: Callable[[tree.Tree], tree.Tree | None]) -> tree.Tree:
    """``node`` with every topmost tree replaced for which ``change`` gives another one."""
    new = change(node)
    return new if new is not None else map_children(node, lambda child: replace_topmost(child, change))


def conjuncts(expression: tree.Expression | None) -> list[tree.Expression]:
    """The operands of the top-level ANDs, left to right."""
    result: list[tree.Expression] = []
    stack = [expression] if expression is not None else []
    while stack:
        node = stack.pop()
        if isinstance(node, tree.Binary) and node.operator == "AND":
            stack += [node.right, node.left]
        else:
            result.append(node)
    return result
