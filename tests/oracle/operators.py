"""The operators of language.md section 7.2 on values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from tests.oracle.graph import Element
from tests.oracle.values import HIGHEST, LOWEST, Bag, Raised, Value, compare, equals, is_integer, is_number, text, type_error


def truth(value: Value) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise type_error("not a boolean")


def negation(value: Value) -> bool | None:
    operand = truth(value)
    return None if operand is None else not operand


def exclusive_or(left: Value, right: Value) -> bool | None:
    a, b = truth(left), truth(right)
    return None if a is None or b is None else a is not b


def comparison(operator: str, left: Value, right: Value) -> bool | None:
    if operator in ("=", "<>"):
        result = equals(left, right)
        return result if result is None or operator == "=" else not result
    placed = compare(left, right)
    if placed is None:
        return None
    if isinstance(placed, str):
        return False
    return {"<": placed < 0, "<=": placed <= 0, ">": placed > 0, ">=": placed >= 0}[operator]


def integer(value: int) -> int:
    if LOWEST <= value <= HIGHEST:
        return value
    raise Raised("ArithmeticError", "IntegerOverflow", str(value))


def divided(left: Value, right: Value) -> Value:
    if is_integer(left) and is_integer(right):
        if right == 0:
            raise Raised("ArithmeticError", "DivisionByZero")
        quotient = abs(left) // abs(right)
        return integer(quotient if (left < 0) == (right < 0) else -quotient)
    a, b = float(left), float(right)
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def remainder(left: Value, right: Value) -> Value:
    if is_integer(left) and is_integer(right):
        if right == 0:
            raise Raised("ArithmeticError", "DivisionByZero")
        rest = abs(left) % abs(right)
        return rest if left >= 0 else -rest
    a, b = float(left), float(right)
    if b == 0 or math.isinf(a):
        return math.nan
    return math.fmod(a, b)


def power(left: Value, right: Value) -> float:
    a, b = float(left), float(right)
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        if a == 0:
            return -math.inf if math.copysign(1.0, a) < 0 and b % 2 == 1 else math.inf
        return math.nan


def plus(left: Value, right: Value) -> Value:
    if left is None or right is None:
        return None
    if isinstance(left, list) or isinstance(right, list):
        a = left if isinstance(left, list) else [left]
        b = right if isinstance(right, list) else [right]
        return Bag(a + b) if isinstance(a, Bag) or isinstance(b, Bag) else a + b
    if isinstance(left, str) and (isinstance(right, str) or is_number(right)):
        return left + text(right)
    if isinstance(right, str) and is_number(left):
        return text(left) + right
    return arithmetic(lambda a, b: a + b)(left, right)


def arithmetic(operation: Callable[[Any, Any], Value]) -> Callable[[Value, Value], Value]:
    """The operation on two numbers; null of null; anything else is a type error."""

    def operate(left: Value, right: Value) -> Value:
        if left is None or right is None:
            return None
        if not is_number(left) or not is_number(right):
            raise type_error("not a number")
        if is_integer(left) and is_integer(right):
            result = operation(left, right)
            return integer(result) if isinstance(result, int) else result
        return operation(float(left), float(right))

    return operate


def signed(operator: str, value: Value) -> Value:
    if value is None:
        return None
    if not is_number(value):
        raise type_error("not a number")
    return (integer(-value) if is_integer(value) else -value) if operator == "-" else value


def contained(item: Value, items: Value) -> bool | None:
    if items is None:
        return None
    if not isinstance(items, list):
        raise type_error("IN wants a list")
    results = [equals(item, other) for other in items]
    return True if True in results else None if None in results else False


def on_strings(test: Callable[[str, str], bool]) -> Callable[[Value, Value], bool | None]:
    def operate(left: Value, right: Value) -> bool | None:
        return test(left, right) if isinstance(left, str) and isinstance(right, str) else None

    return operate


def matches(value: Value, pattern: Value) -> bool | None:
    if not isinstance(value, str) or not isinstance(pattern, str):
        return None
    return re.fullmatch(pattern, value) is not None


BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "XOR": exclusive_or,
    "+": plus,
    "-": arithmetic(lambda a, b: a - b),
    "*": arithmetic(lambda a, b: a * b),
    "/": arithmetic(divided),
    "%": arithmetic(remainder),
    "^": arithmetic(power),
    "IN": contained,
    "STARTS WITH": on_strings(str.startswith),
    "ENDS WITH": on_strings(str.endswith),
    "CONTAINS": on_strings(str.__contains__),
    "=~": matches,
}


def property_of(subject: Value, key: str) -> Value:
    if subject is None:
        return None
    if isinstance(subject, dict):
        return subject.get(key)
    if isinstance(subject, Element):
        return subject.properties.get(key)
    raise Raised("TypeError", "InvalidArgumentType", f"no property {key} of a {type(subject).__name__}")


def item_of(subject: Value, index: Value) -> Value:
    if subject is None or index is None:
        return None
    if isinstance(subject, dict | Element):
        if not isinstance(index, str):
            raise Raised("TypeError", "MapElementAccessByNonString")
        return property_of(subject, index)
    if not isinstance(subject, list):
        raise Raised("TypeError", "InvalidArgumentType", "not a list or map")
    if not is_integer(index):
        raise Raised("TypeError", "InvalidArgumentType", "index is no integer")
    return subject[index] if -len(subject) <= index < len(subject) else None


NO_BOUND = object()


def slice_of(subject: Value, start: Value, stop: Value) -> Value:
    """``subject[start..stop]``; NO_BOUND for one not written."""
    if subject is None or start is None or stop is None:
        return None
    if not isinstance(subject, list):
        raise type_error("not a list")
    bounds = [None if bound is NO_BOUND else bound for bound in (start, stop)]
    if not all(bound is None or is_integer(bound) for bound in bounds):
        raise type_error("bound is no integer")
    return subject[bounds[0] : bounds[1]]
