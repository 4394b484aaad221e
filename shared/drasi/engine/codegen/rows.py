"""A segment's selects and its end: the row that one input row becomes.

Conjuncts are tested in an order of ours: a row is dropped if one is false or null; it is in error only if one raises and none of
the others drops it (language.md section 5). So what raises is remembered in a flag until the others have spoken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drasi.engine.codegen.expressions import Expressions
from drasi.engine.codegen.operators import ORDINARY
from drasi.engine.codegen.scope import Scope
from drasi.engine.codegen.types import NULL, NUMBER, Atom, Types
from drasi.engine.codegen.writer import Writer
from drasi.language import tree
from drasi.plan.algebra import Segment

MakeExpressions = Callable[[Writer], Expressions]


def write_condition(write: Writer, make: MakeExpressions, condition: tree.Expression, leave: str, flags: list[str]) -> None:
    """Leaves by ``leave`` unless the condition is true; notes an error in a new flag."""
    draft = write.draft()
    test = make(draft).condition(condition)
    if not draft.raises:
        write.put(draft)
        write.line(f"if {test.code} is not True: {leave}")
        return
    flag = write.fresh("e")
    flags.append(flag)
    write.line(f"{flag} = None")
    with write.block("try:"):
        write.put(draft)
    write.line(f"except EvaluationError as error: {flag} = error")
    with write.block("else:"):
        write.line(f"if {test.code} is not True: {leave}")


def write_row(
    write: Writer,
    make: MakeExpressions,
    conditions: Sequence[tree.Expression],
    segment: Segment,
    result: str,
    flags: Sequence[str] = (),
    numbers: Sequence[tuple[int, str]] = (),
) -> list[Types]:
    """Sets ``result`` to the row's tuple, to a Failure, or to None when the row is dropped.

    Args:
        write: Where to.
        make: Expressions over the input row.
        conditions: Conjuncts of the match not tested yet.
        segment: What comes after them.
        result: Name of the local to set.
        flags: Flags of conditions tested before, further out.
        numbers: Properties that arithmetic is done with: while they are ordinary numbers, shorter code serves.

    Returns:
        Which types the keys of the segment's aggregate can have.
    """
    if not numbers:
        return _write_variant(write, make, conditions, segment, result, flags)
    elements = make(write).elements
    names = [elements.property(index, key) for index, key in numbers]
    tests = [f"({x}.__class__ is float or {x}.__class__ is int and -{ORDINARY} < {x} < {ORDINARY})" for x in names]
    known = frozenset(numbers)
    with write.block(f"if {' and '.join(tests)}:"):
        _write_variant(write, lambda draft: make(draft).assuming(known), conditions, segment, result, flags)
    with write.block("else:"):
        return _write_variant(write, make, conditions, segment, result, flags)


def _write_variant(
    write: Writer,
    make: MakeExpressions,
    conditions: Sequence[tree.Expression],
    segment: Segment,
    result: str,
    flags: Sequence[str],
) -> list[Types]:
    body = write.draft()
    all_flags = list(flags)
    leaves, keys = _write_body(body, make, conditions, segment, result, all_flags)
    if leaves or all_flags:
        write.line(f"{result} = None")
    with write.block("try:" if body.raises or all_flags else None), write.block("while True:" if leaves or all_flags else None):
        write.put(body)
        if leaves or all_flags:
            write.line("break")
    if body.raises or all_flags:
        write.line(f"except EvaluationError as error: {result} = Failure(error)")
    # Failures are values from here on.
    write.raises = False
    return keys


def _write_body(
    body: Writer,
    make: MakeExpressions,
    conditions: Sequence[tree.Expression],
    segment: Segment,
    result: str,
    flags: list[str],
) -> tuple[bool, list[Types]]:
    scope: Scope | None = None

    def expressions(draft: Writer) -> Expressions:
        return make(draft) if scope is None else make(draft).instead(scope)

    leaves = False
    for condition in conditions:
        write_condition(body, expressions, condition, "break", flags)
        leaves = True
    _write_flags(body, flags, result)
    for select in segment.selects:
        if select.columns is not None:
            scope = {column.name: expressions(body).bind(column.expression) for column in select.columns}
        own: list[str] = []
        for condition in select.conditions:
            write_condition(body, expressions, condition, "break", own)
            leaves = True
        _write_flags(body, own, result)
        flags += own
    return leaves, _write_end(body, expressions(body), segment, result)


def _write_flags(body: Writer, flags: Sequence[str], result: str) -> None:
    for flag in flags:
        with body.block(f"if {flag} is not None:"):
            body.line(f"{result} = Failure({flag})")
            body.line("break")


def _write_end(body: Writer, expressions: Expressions, segment: Segment, result: str) -> list[Types]:
    aggregate = segment.aggregate
    if aggregate is None:
        last = next(select.columns for select in reversed(segment.selects) if select.columns is not None)
        values = [expressions.compile(tree.Variable(column.name)) for column in last]
        body.line(f"{result} = {_tuple(values)}")
        return []
    values = [expressions.compile(key.expression) for key in aggregate.keys]
    keys = [value.types for value in values]
    for accumulator in aggregate.accumulators:
        if accumulator.argument is None:
            continue
        draft = body.draft()
        value = expressions.to(draft).compile(accumulator.argument)
        if draft.raises:
            # An error in an argument is the group's, not the row's.
            name = body.fresh("a")
            with body.block("try:"):
                body.put(draft)
                body.line(f"{name} = {value.code}")
            body.line(f"except EvaluationError as error: {name} = Failure(error)")
            value = Atom(name)
        else:
            body.put(draft)
        if accumulator.function in ("sum", "avg") and not value.types <= NUMBER | NULL:
            x, name = value.code, body.fresh("a")
            tests = f"{x}.__class__ is int or {x}.__class__ is float or {x} is None or {x}.__class__ is Failure"
            body.line(f"{name} = {x} if {tests} else not_a_number({x}, {accumulator.function!r})")
            value = Atom(name)
        values.append(value)
    body.line(f"{result} = {_tuple(values)}")
    return keys


def _tuple(values: Sequence[Atom]) -> str:
    return f"({', '.join(value.code for value in values)}{',' if len(values) == 1 else ''})"
