"""What a checked query wants of the graph: for subscriptions and routing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from drasi.language import tree
from drasi.language.aggregation import conjuncts
from drasi.language.checked import Checked, QueryWarning
from drasi.language.place import locate
from drasi.language.tree import Tree
from drasi.language.walk import children


class Facts(msgspec.Struct, frozen=True):
    """What a query reads.

    Attributes:
        node_labels: A node without any of these can never take part; None: any node can.
        relation_types: Likewise for relations.
        warnings: The query's warnings.
    """

    node_labels: frozenset[str] | None
    relation_types: frozenset[str] | None
    warnings: tuple[QueryWarning, ...]


def facts(checked: Checked) -> Facts:
    """The labels and types that a query names, as far as they bound what it reads."""
    labels: set[str] | None = set()
    types: set[str] | None = set()
    for place in _places(checked.query, frozenset()):
        if place.is_node:
            labels = None if labels is None or place.names is None else labels | place.names
        else:
            types = None if types is None or place.names is None else types | place.names
    return Facts(None if labels is None else frozenset(labels), None if types is None else frozenset(types), checked.warnings)


def unlabelled(query: tree.Query, text: str) -> Iterator[QueryWarning]:
    """A warning for every place of a pattern that any element can take."""
    for place in _places(query, frozenset()):
        if place.names is None:
            line, column = locate(text, place.pos)
            what = "nodes: it has no label" if place.is_node else "relations: it has no type"
            yield QueryWarning("Unlabelled", f"this part of the pattern keeps all {what}", line, column)


class _Place(msgspec.Struct):
    """A place of a pattern that binds a new element; ``names`` None: nothing is asked of it."""

    is_node: bool
    names: frozenset[str] | None
    pos: int


def _places(tree_: Tree, bound: frozenset[str]) -> Iterator[_Place]:
    """The places of all patterns below a tree, with what each must carry."""
    match tree_:
        case tree.SingleQuery():
            # The surroundings of EXISTS, COUNT and COLLECT stay visible whatever a WITH inside them keeps.
            yield from _single(tree_, bound, bound)
        case tree.Match(patterns=patterns, where=where):
            yield from _pattern_places(patterns, where, bound)
            inner = bound | _variables(patterns)
            for part in (*patterns, where):
                if part is not None:
                    yield from _inside(part, inner)
        case tree.PatternComprehension(pattern=pattern, where=where, projection=projection):
            yield from _pattern_places((pattern,), where, bound)
            inner = bound | _variables((pattern,))
            for part in (pattern, where, projection):
                if part is not None:
                    yield from _inside(part, inner)
        case tree.PatternPredicate(pattern=pattern):
            yield from _pattern_places((pattern,), None, bound)
            yield from _inside(pattern, bound)
        case tree.CallSubquery(query=query, imports=imports):
            for single in query.parts:
                yield from _single(single, _imported(single, imports, bound), frozenset())
        case _:
            for child in children(tree_):
                yield from _places(child, bound)


def _single(single: tree.SingleQuery, bound: frozenset[str], outer: frozenset[str]) -> Iterator[_Place]:
    for clause in single.clauses:
        yield from _places(clause, bound)
        bound = _after(clause, bound, outer)


def _imported(single: tree.SingleQuery, imports: tuple[str, ...] | None, bound: frozenset[str]) -> frozenset[str]:
    if imports is None:
        return bound if isinstance(single.clauses[0], tree.Projection) else frozenset()
    return bound if imports == ("*",) else frozenset(imports)


def _inside(part: Tree, bound: frozenset[str]) -> Iterator[_Place]:
    """The patterns in the conditions of a pattern, or in an expression."""
    if not isinstance(part, tree.PathPattern):
        yield from _places(part, bound)
        return
    for element in part.elements:
        for condition in (element.properties, element.where):
            if condition is not None:
                yield from _places(condition, bound)


def _after(clause: tree.Clause, bound: frozenset[str], outer: frozenset[str]) -> frozenset[str]:
    match clause:
        case tree.Match(patterns=patterns):
            return bound | _variables(patterns)
        case tree.Projection(items=items):
            return outer | {item.name for item in items}
        case tree.Unwind(variable=variable):
            return bound | {variable}
        case tree.CallProcedure(yields=yields):
            return bound | {alias for _, alias in yields or ()}
        case tree.CallSubquery(query=query):
            last = query.parts[0].clauses[-1]
            return bound | {item.name for item in last.items} if isinstance(last, tree.Projection) else bound
        case _:
            return bound


def _variables(patterns: Iterable[tree.PathPattern]) -> frozenset[str]:
    elements = (element for pattern in patterns for element in pattern.elements)
    return frozenset(element.variable for element in elements if element.variable is not None)


def _pattern_places(patterns: Sequence[tree.PathPattern], where: tree.Expression | None, bound: frozenset[str]) -> Iterator[_Place]:
    found: dict[str, _Place] = {}
    tested = dict(_label_tests(where))
    for pattern in patterns:
        for node in pattern.nodes:
            if node.variable in bound:
                continue
            names = _both(_names(node.labels), dict(_label_tests(node.where)).get(node.variable or ""))
            if node.variable is None:
                yield _Place(True, names, node.pos)
                continue
            names = _both(names, tested.get(node.variable))
            known = found.setdefault(node.variable, _Place(True, None, node.pos))
            known.names = _both(known.names, names)
        for relation in pattern.relations:
            if relation.variable not in bound:
                yield _Place(False, frozenset(relation.types) or None, relation.pos)
    yield from found.values()


def _both(first: frozenset[str] | None, second: frozenset[str] | None) -> frozenset[str] | None:
    """What two demands on one element name together."""
    if first is None or second is None:
        return second if first is None else first
    return first | second


def _label_tests(where: tree.Expression | None) -> Iterator[tuple[str, frozenset[str]]]:
    """``n:Label`` among the conditions that must all hold."""
    for condition in conjuncts(where) if where is not None else ():
        if isinstance(condition, tree.HasLabels) and isinstance(condition.subject, tree.Variable):
            names = _names(condition.labels)
            if names is not None:
                yield condition.subject.name, names


def _names(labels: tree.LabelExpression | None) -> frozenset[str] | None:
    """Labels of which an element that fits has at least one; None when it need have none of a known set."""
    match labels:
        case tree.Label(name=name):
            return frozenset({name})
        case tree.LabelAnd(operands=operands):
            known = [names for names in map(_names, operands) if names is not None]
            return frozenset().union(*known) if known else None
        case tree.LabelOr(operands=operands):
            all_ = [_names(operand) for operand in operands]
            return None if None in all_ else frozenset().union(*(names for names in all_ if names is not None))
        case _:
            return None
