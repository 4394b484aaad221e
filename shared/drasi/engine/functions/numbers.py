"""Functions of numbers (language.md section 8.4).

Floats in, floats out, as in IEEE 754: outside a function's domain the answer is NaN, beyond the range an infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
)
from math import inf, isfinite, nan
from typing import Any

from drasi.engine.functions.arguments import integer, number
from drasi.values.errors import integer_overflow, invalid_value

ROUNDING = {
    "UP": ROUND_UP,
    "DOWN": ROUND_DOWN,
    "CEILING": ROUND_CEILING,
    "FLOOR": ROUND_FLOOR,
    "HALF_UP": ROUND_HALF_UP,
    "HALF_DOWN": ROUND_HALF_DOWN,
    "HALF_EVEN": ROUND_HALF_EVEN,
}
"""The modes of ``round``."""

_CONTEXT = Context(prec=50)
# No double has more digits before or behind its point, so that more or fewer change nothing.
_LEAST_PRECISION = -400


def abs_(x: Any) -> int | float | None:
    """The magnitude, of the type of ``x``."""
    if x is None:
        return None
    magnitude = abs(number("abs", x))
    if magnitude == 2**63 and type(x) is int:
        raise integer_overflow(f"abs({x})")
    return magnitude


def sign(x: Any) -> int | None:
    """-1, 0 or 1; 0 for NaN."""
    return None if x is None else (number("sign", x) > 0) - (x < 0)


def ceil(x: Any) -> float | None:
    """The least whole number that is not below ``x``."""
    return None if x is None else _whole(math.ceil, number("ceil", x))


def floor(x: Any) -> float | None:
    """The greatest whole number that is not above ``x``."""
    return None if x is None else _whole(math.floor, number("floor", x))


def round_(x: Any, *options: Any) -> float | None:
    """The nearest number of ``precision`` digits behind the point.

    Of ``x`` alone ties go towards +∞; with a precision by the mode, and then the decimal digits of ``x`` as they are
    written count: ``round(1.005, 2)`` is 1.01.
    """
    if x is None or None in options:
        return None
    value = number("round", x)
    if not options:
        return _round_up(value)
    precision = integer("round", options[0])
    mode = options[1] if len(options) > 1 else "HALF_UP"
    rounding = ROUNDING.get(mode) if type(mode) is str else None
    if rounding is None:
        raise invalid_value("round()", "a mode out of " + ", ".join(ROUNDING), mode)
    if not isfinite(value):
        return value
    exact = Decimal(repr(value))
    if -int(exact.as_tuple().exponent) <= precision:
        return value + 0.0
    unit = Decimal((0, (1,), -max(precision, _LEAST_PRECISION)))
    # The sum takes the sign off a zero.
    return float(exact.quantize(unit, rounding, _CONTEXT)) + 0.0


def sqrt(x: Any) -> float | None:
    """The square root."""
    return None if x is None else _real(math.sqrt, number("sqrt", x))


def exp(x: Any) -> float | None:
    """e to the power of ``x``."""
    return None if x is None else _real(math.exp, number("exp", x))


def log(x: Any) -> float | None:
    """The natural logarithm."""
    return None if x is None else _real(math.log, number("log", x))


def log10(x: Any) -> float | None:
    """The logarithm to the base 10."""
    return None if x is None else _real(math.log10, number("log10", x))


def e() -> float:
    """Euler's number."""
    return math.e


def pi() -> float:
    """The circumference of a circle over its diameter."""
    return math.pi


def sin(x: Any) -> float | None:
    """The sine of an angle in radians."""
    return None if x is None else _real(math.sin, number("sin", x))


def cos(x: Any) -> float | None:
    """The cosine of an angle in radians."""
    return None if x is None else _real(math.cos, number("cos", x))


def tan(x: Any) -> float | None:
    """The tangent of an angle in radians."""
    return None if x is None else _real(math.tan, number("tan", x))


def cot(x: Any) -> float | None:
    """The cotangent of an angle in radians."""
    return None if x is None else _real(lambda angle: 1.0 / math.tan(angle), number("cot", x))


def asin(x: Any) -> float | None:
    """The angle of a sine."""
    return None if x is None else _real(math.asin, number("asin", x))


def acos(x: Any) -> float | None:
    """The angle of a cosine."""
    return None if x is None else _real(math.acos, number("acos", x))


def atan(x: Any) -> float | None:
    """The angle of a tangent."""
    return None if x is None else _real(math.atan, number("atan", x))


def atan2(y: Any, x: Any) -> float | None:
    """The angle of the point (x, y)."""
    return None if y is None or x is None else math.atan2(number("atan2", y), number("atan2", x))


def degrees(x: Any) -> float | None:
    """Radians in degrees."""
    return None if x is None else math.degrees(number("degrees", x))


def radians(x: Any) -> float | None:
    """Degrees in radians."""
    return None if x is None else math.radians(number("radians", x))


def haversin(x: Any) -> float | None:
    """Half of 1 - cos(x)."""
    return None if x is None else (1.0 - _real(math.cos, number("haversin", x))) / 2.0


def is_nan(x: Any) -> bool | None:
    """Whether ``x`` is NaN."""
    return None if x is None else number("isNaN", x) != x


def _real(function: Callable[[float], float], x: float) -> float:
    try:
        return function(x)
    except (ValueError, ZeroDivisionError):
        return nan
    except OverflowError:
        return inf


def _whole(function: Callable[[float], int], x: float) -> float:
    return float(function(x)) if isfinite(x) else x


def _round_up(x: float) -> float:
    if not isfinite(x):
        return x
    below = math.floor(x)
    # The difference is exact, where x + 0.5 would be rounded.
    return float(below + 1 if x - below >= 0.5 else below)
