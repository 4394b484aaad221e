"""What the rows of a group amount to (language.md section 8.6): exact, from all values at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from tests.oracle.operators import integer
from tests.oracle.strict import strict
from tests.oracle.values import Bag, Raised, Value, equivalence, is_number, order, order_key, type_error

Choose = Callable[[list[Value]], Value]
"""Picks one of several values that the language holds for the same."""

NAMES = frozenset({"count", "sum", "avg", "min", "max", "collect", "stdev", "stdevp", "percentilecont", "percentiledisc"})


def aggregate(name: str, values: list[Value], choose: Choose, argument: Value = None) -> Value:
    """The aggregate ``name`` over values without nulls (``count(*)``: one per row). ``argument`` is a percentile's."""
    match name.lower():
        case "count":
            return len(values)
        case "collect":
            return Bag(values)
        case "min":
            return extreme(min, values, choose)
        case "max":
            return extreme(max, values, choose)
        case "percentiledisc" | "percentilecont":
            return percentile(name.lower(), numbers(values), argument)
    numbers(values)
    match name.lower():
        case "sum":
            total = exact_sum(values)
            return integer(total) if isinstance(total, int) else total
        case "avg":
            return mean(values)
        case "stdev" | "stdevp":
            return deviation(values, 1 if name.lower() == "stdev" else 0)
    raise NotImplementedError(name)


def numbers(values: list[Value]) -> list[Value]:
    for value in values:
        if not is_number(value):
            raise type_error(f"not a number: {value!r}")
    return values


def distinct(values: list[Value], choose: Choose) -> list[Value]:
    """One of each class of equivalent values."""
    classes: dict[Any, list[Value]] = {}
    for value in values:
        classes.setdefault(equivalence(value), []).append(value)
    return [choose(representations(members)) for members in classes.values()]


def representations(values: list[Value]) -> list[Value]:
    return list({strict(value, identity=True): value for value in reversed(values)}.values())[::-1]


def extreme(best: Any, values: list[Value], choose: Choose) -> Value:
    if not values:
        return None
    found = best(values, key=order_key)
    return choose(representations([value for value in values if order(value, found) == 0]))


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def exact_sum(values: list[Value]) -> int | float:
    if not any(isinstance(value, float) for value in values):
        return sum(values)
    if not all(math.isfinite(value) for value in values):
        return not_finite(values)
    return rounded(sum((Fraction(value) for value in values), Fraction()))


def not_finite(values: list[Value]) -> float:
    infinities = {value for value in values if isinstance(value, float) and math.isinf(value)}
    return infinities.pop() if len(infinities) == 1 and not any(math.isnan(value) for value in values) else math.nan


def mean(values: list[Value]) -> float | None:
    if not values:
        return None
    if not all(math.isfinite(value) for value in values):
        return not_finite(values)
    return rounded(sum((Fraction(value) for value in values), Fraction()) / len(values))


def deviation(values: list[Value], freedom: int) -> float:
    if len(values) < 2:
        return 0.0
    if not all(math.isfinite(value) for value in values):
        return math.nan
    fractions = [Fraction(value) for value in values]
    middle = sum(fractions, Fraction()) / len(fractions)
    return math.sqrt(sum((x - middle) ** 2 for x in fractions) / (len(fractions) - freedom))


def percentile(name: str, values: list[Value], p: Value) -> Value:
    if not is_number(p) or not 0 <= p <= 1:
        raise Raised("ArgumentError", "NumberOutOfRange")
    ranked = sorted(values, key=order_key)
    if not ranked:
        return None
    if name == "percentiledisc":
        return ranked[max(0, math.ceil(p * len(ranked)) - 1)]
    place = p * (len(ranked) - 1)
    low, high = ranked[math.floor(place)], ranked[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place)) + 0.0
