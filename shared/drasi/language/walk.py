"""Walking and rewriting trees, whatever their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from drasi.language.tree import Tree, parts

T = TypeVar("T", bound=Tree)


def children(node: Tree) -> Iterator[Tree]:
    """The trees directly below ``node``, in the order of the text."""
    for part in parts(type(node)):
        value = getattr(node, part)
        if isinstance(value, Tree):
            yield value
        elif isinstance(value, tuple):
            yield from _within(value)


def _within(values: tuple[object, ...]) -> Iterator[Tree]:
    for value in values:
        if isinstance(value, Tree):
            yield value
        elif isinstance(value, tuple):
            yield from _within(value)


def descendants(node: Tree) -> Iterator[Tree]:
    """``node`` and every tree below it, each before its children."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(tuple(children(current))))


def deeper_than(node: Tree, levels: int) -> Tree | None:
    """A tree that lies more than ``levels`` below ``node``, or None. Does not recurse."""
    waiting = [(node, 0)]
    while waiting:
        current, level = waiting.pop()
        if level > levels:
            return current
        waiting.extend((child, level + 1) for child in children(current))
    return None


def map_children(node: T, change: Callable[[Tree], Tree]) -> T:
    """The same tree with ``change`` applied to each of its children; itself when none of them changes."""
    new: dict[str, Any] = {}
    for part in parts(type(node)):
        value = getattr(node, part)
        changed = _mapped(value, change)
        if changed is not value:
            new[part] = changed
    return replace(node, **new) if new else node


def _mapped(value: object, change: Callable[[Tree], Tree]) -> object:
    if isinstance(value, Tree):
        return change(value)
    if isinstance(value, tuple):
        changed = tuple(_mapped(item, change) for item in value)
        return changed if any(a is not b for a, b in zip(changed, value, strict=True)) else value
    return value


def rewrite(node: T, change: Callable[[Tree], Tree]) -> T:
    """The same tree with ``change`` applied to every part, children first; unchanged parts are shared."""
    # A change keeps expressions expressions and clauses clauses.
    return cast("T", change(map_children(node, lambda child: rewrite(child, change))))
