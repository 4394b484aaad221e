"""Looking through expressions: sub-expressions, the names they read, rewriting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from drasi.language import tree


def children(node: tree.Tree) -> Iterator[tree.Tree]:
    """The trees directly below ``node``, in the order of the text."""
    for field in fields(node):
        yield from _trees(getattr(node, field.name))


def _trees(value: object) -> Iterator[tree.Tree]:
    if isinstance(value, tree.Tree):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _trees(item)


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


def contains(expression: tree.Tree, test: Callable[[tree.Tree], bool]) -> bool:
    stack: list[tree.Tree] = [expression]
    while stack:
        node = stack.pop()
        if test(node):
            return True
        stack.extend(children(node))
    return False


def rewrite(node: Any, change: Callable[[tree.Tree], tree.Tree | None]) -> Any:
    """A copy of ``node`` in which ``change`` has replaced every topmost tree for which it returns one."""
    if isinstance(node, tree.Tree):
        new = change(node)
        if new is not None:
            return new
        updates = {}
        for field in fields(node):
            old = getattr(node, field.name)
            fresh = rewrite(old, change)
            if fresh is not old:
                updates[field.name] = fresh
        return replace(node, **updates) if updates and is_dataclass(node) else node
    if isinstance(node, tuple):
        items = tuple(rewrite(item, change) for item in node)
        return items if any(a is not b for a, b in zip(items, node, strict=True)) else node
    return node


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
