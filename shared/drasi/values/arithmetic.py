"""``+ - * / % ^`` and the signs (language.md section 7.2).

null makes the result null. Integers are 64 bits wide: a result outside is the row's error, never a float in disguise.
Floats follow IEEE 754: division by zero gives an infinity or NaN.
"""

from __future__ import annotations

from math import copysign, fmod, inf, isinf, nan
from typing import Any

from drasi.values.errors import EvaluationError, describe, integer_overflow
from drasi.values.text import number_text

_MIN = -(2**63)
_MAX = 2**63 - 1


def add(a: Any, b: Any) -> Any:
    """``a + b``: numbers; strings; a string and a number, as text; lists; a list and an item."""
    if a is None or b is None:
        return None
    kind = type(a)
    other = type(b)
    if kind is int and other is int:
        total = a + b
        if _MIN <= total <= _MAX:
            return total
        raise integer_overflow(f"{a} + {b}")
    if (kind is int or kind is float) and (other is int or other is float):
        return a + b
    if kind is list:
        return a + b if other is list else [*a, b]
    if other is list:
        return [a, *b]
    if kind is str:
        if other is str:
            return a + b
        if other is int or other is float:
            return a + number_text(b)
    elif other is str and (kind is int or kind is float):
        return number_text(a) + b
    raise _unfit("+", a, b)


def subtract(a: Any, b: Any) -> Any:
    """``a - b``."""
    if a is None or b is None:
        return None
    if type(a) is int and type(b) is int:
        difference = a - b
        if _MIN <= difference <= _MAX:
            return difference
        raise integer_overflow(f"{a} - {b}")
    _check_numbers("-", a, b)
    return a - b


def multiply(a: Any, b: Any) -> Any:
    """``a * b``."""
    if a is None or b is None:
        return None
    if type(a) is int and type(b) is int:
        product = a * b
        if _MIN <= product <= _MAX:
            return product
        raise integer_overflow(f"{a} * {b}")
    _check_numbers("*", a, b)
    return a * b


def divide(a: Any, b: Any) -> Any:
    """``a / b``: of two integers truncated towards zero."""
    if a is None or b is None:
        return None
    if type(a) is int and type(b) is int:
        if b == 0:
            raise _by_zero(a, "/")
        quotient = abs(a) // abs(b)
        if (a < 0) is not (b < 0):
            quotient = -quotient
        if quotient > _MAX:
            raise integer_overflow(f"{a} / {b}")
        return quotient
    _check_numbers("/", a, b)
    if b == 0:
        if a == 0 or a != a:
            return nan
        return copysign(inf, a) * copysign(1.0, b)
    return float(a) / float(b)


def modulo(a: Any, b: Any) -> Any:
    """``a % b``: the remainder of the truncated division, with the sign of ``a``."""
    if a is None or b is None:
        return None
    if type(a) is int and type(b) is int:
        if b == 0:
            raise _by_zero(a, "%")
        remainder = abs(a) % abs(b)
        return -remainder if a < 0 else remainder
    _check_numbers("%", a, b)
    if b == 0 or isinf(a):
        return nan
    return fmod(a, b)


def power(a: Any, b: Any) -> Any:
    """``a ^ b``: a float; NaN where no real number is the answer."""
    if a is None or b is None:
        return None
    _check_numbers("^", a, b)
    x, y = float(a), float(b)
    try:
        result = x**y
    except OverflowError:
        return -inf if x < 0 and y % 2 == 1 else inf
    except ZeroDivisionError:
        # 0 to a negative power; minus zero keeps its sign under odd ones.
        return -inf if copysign(1.0, x) < 0 and y % 2 == 1 else inf
    return nan if isinstance(result, complex) else result


def negate(a: Any) -> Any:
    """``-a``."""
    if a is None:
        return None
    if type(a) is int:
        if a == _MIN:
            raise integer_overflow(f"-({a})")
        return -a
    if type(a) is float:
        return -a
    raise _unfit_sign("-", a)


def positive(a: Any) -> Any:
    """``+a``."""
    if a is None or type(a) is int or type(a) is float:
        return a
    raise _unfit_sign("+", a)


def _check_numbers(operator: str, a: Any, b: Any) -> None:
    kind = type(a)
    other = type(b)
    if not ((kind is int or kind is float) and (other is int or other is float)):
        raise _unfit(operator, a, b)


def _unfit(operator: str, a: Any, b: Any) -> EvaluationError:
    return EvaluationError("TypeError", "InvalidArgumentValue", f"{operator} does not take {describe(a)} and {describe(b)}")


def _unfit_sign(operator: str, a: Any) -> EvaluationError:
    return EvaluationError("TypeError", "InvalidArgumentValue", f"the sign {operator} takes a number, not {describe(a)}")


def _by_zero(a: int, operator: str) -> EvaluationError:
    return EvaluationError(
        "ArithmeticError",
        "DivisionByZero",
        f"{a} {operator} 0 has no integer result",
        hint="guard it: CASE WHEN b <> 0 THEN a / b END",
    )
