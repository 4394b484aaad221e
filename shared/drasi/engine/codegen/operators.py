"""Arithmetic and comparison with the common types inlined.

``type(x) is int`` and not ``isinstance``: a bool is no number. Integers are checked against 64 bits by asking the operator's full
form, which raises.
"""

from __future__ import annotations

from drasi.engine.codegen.types import BOOL, FLOAT, INT, LIST, LOGICAL, NULL, NUMBER, STRING, Atom, Types
from drasi.engine.codegen.writer import Writer

ORDINARY = 2**31
"""Integers below need no check for overflow until several have been multiplied."""

_INT64 = 2**63
_FULL = {"+": "add", "-": "subtract", "*": "multiply"}
_COMPARE = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "=": "equals", "<>": "not_equals"}
_PYTHON = {"=": "==", "<>": "!="}
_RANGE = "-9223372036854775808 <= {0} <= 9223372036854775807"


def arithmetic(write: Writer, operator: str, a: Atom, b: Atom) -> Atom:
    """``a + b``, ``a - b``, ``a * b``."""
    result = write.fresh()
    fast = f"{result} = {a.code} {operator} {b.code}"
    full = f"{result} = {_FULL[operator]}({a.code}, {b.code})"
    types = _numeric_result(a.types, b.types)
    if operator == "+":
        types |= (a.types | b.types) & (STRING | LIST)
    if a.types <= NUMBER and b.types <= NUMBER:
        if a.types == FLOAT or b.types == FLOAT:
            write.line(fast)
            return Atom(result, FLOAT)
        bound = _bound(operator, a, b)
        if bound is not None:
            write.line(fast)
            return Atom(result, types, bound)
    write.raises = True
    tests = []
    if "float" in a.types | b.types:
        tests.append(_float_test(a, b))
    if "int" in a.types and "int" in b.types:
        with write.block(f"if {_both(a, b, 'int')}:"):
            write.line(fast)
            write.line(f"if not {_RANGE.format(result)}: {full}")
        word = "elif"
    else:
        word = "if"
    for test in tests:
        with write.block(f"{word} {test}:"):
            write.line(fast)
        word = "elif"
    with write.block("else:") if word == "elif" else write.block("if True:"):
        write.line(full)
    return Atom(result, types)


def divide(write: Writer, a: Atom, b: Atom) -> Atom:
    """``a / b``: integers truncate towards zero."""
    result = write.fresh()
    full = f"{result} = divide({a.code}, {b.code})"
    types = _numeric_result(a.types, b.types)
    write.raises = True
    positive = b.code.isdigit() and b.code != "0"
    if positive and a.types <= NUMBER and a.bound is not None:
        x = a.code
        write.line(f"{result} = {x} / {b.code} if {x}.__class__ is float else {x} // {b.code} if {x} >= 0 else -(-{x} // {b.code})")
        return Atom(result, types, a.bound)
    word = "if"
    if positive and "int" in a.types:
        with write.block(f"if type({a.code}) is int:"):
            write.line(f"{result} = {a.code} // {b.code} if {a.code} >= 0 else -(-{a.code} // {b.code})")
        word = "elif"
    if "float" in a.types | b.types:
        test = f"type({a.code}) is float" if positive else f"type({a.code}) is float and type({b.code}) is float and {b.code}"
        with write.block(f"{word} {test}:"):
            write.line(f"{result} = {a.code} / {b.code}")
        word = "elif"
    with write.block("else:") if word == "elif" else write.block("if True:"):
        write.line(full)
    return Atom(result, types)


def compare(write: Writer, operator: str, a: Atom, b: Atom) -> Atom:
    """``=``, ``<>``, ``<`` …: never raises."""
    result = write.fresh()
    python = f"{a.code} {_PYTHON.get(operator, operator)} {b.code}"
    full = f"{_COMPARE[operator]}({a.code}, {b.code})"
    simple = _simple_test(operator, a, b)
    if simple is None:
        write.line(f"{result} = {full}")
    elif simple == "":
        write.line(f"{result} = {python}")
        return Atom(result, BOOL)
    else:
        write.line(f"{result} = {python} if {simple} else {full}")
    return Atom(result, LOGICAL)


def either(result: str, a: Atom, b: Atom) -> Atom:
    """A local that is one or the other."""
    bound = None if _limit(a) is None or _limit(b) is None else max(_limit(a) or 0, _limit(b) or 0)
    return Atom(result, a.types | b.types, bound)


def _bound(operator: str, a: Atom, b: Atom) -> int | None:
    """The bound of a result, if it is sure to fit into 64 bits."""
    x, y = _limit(a), _limit(b)
    if x is None or y is None:
        return None
    bound = x * y if operator == "*" else x + y
    return bound if bound < _INT64 else None


def _limit(atom: Atom) -> int | None:
    if "int" not in atom.types:
        return 0
    if atom.code.strip("()-").isdigit():
        return abs(int(atom.code.strip("()")))
    return atom.bound


def _simple_test(operator: str, a: Atom, b: Atom) -> str | None:
    """When Python's operator is Cypher's: ``""`` always, None never (as far as one can tell)."""
    for x, y in ((a, b), (b, a)):
        if y.types <= NUMBER:
            if x.types <= NUMBER:
                return ""
            if not x.types & NUMBER:
                return None
            return f"type({x.code}) is int or type({x.code}) is float"
        if y.types == STRING:
            if x.types == STRING:
                return ""
            return f"type({x.code}) is str" if "str" in x.types else None
    if operator in ("=", "<>"):
        # Of one type and str or int: equal as Python has it.
        kinds = ("str", "int", "float")
        return f"type({a.code}) is type({b.code}) and ({' or '.join(f'type({a.code}) is {kind}' for kind in kinds)})"
    return f"type({a.code}) is type({b.code}) and (type({a.code}) is float or type({a.code}) is int)"


def _both(a: Atom, b: Atom, kind: str) -> str:
    tests = [f"type({x.code}) is {kind}" for x in (a, b) if x.types != frozenset({kind})]
    return " and ".join(tests) or "True"


def _float_test(a: Atom, b: Atom) -> str:
    for x, y in ((a, b), (b, a)):
        if y.types == FLOAT:
            return f"type({x.code}) is float or type({x.code}) is int"
        if y.types == INT:
            return f"type({x.code}) is float"
    left, right = f"type({a.code})", f"type({b.code})"
    return f"{left} is float and ({right} is float or {right} is int) or {right} is float and {left} is int"


def _numeric_result(a: Types, b: Types) -> Types:
    result: Types = (a | b) & NULL
    if "int" in a and "int" in b:
        result |= INT
    if "float" in a | b:
        result |= FLOAT
    return result or NULL
