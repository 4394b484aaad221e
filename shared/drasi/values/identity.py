"""Whether two values are one and the same as content of a column (language.md section 5).

Stricter than Cypher's ``=`` and than Python's ``==``: 1 and 1.0, true and 1, 0.0 and -0.0 differ, NaN is NaN, and so on
within lists and maps. A difference is reported exactly when this says no.
"""

from __future__ import annotations

from math import copysign
from typing import Any


def same(a: Any, b: Any) -> bool:
    """Whether ``a`` and ``b`` have the same type and the same value, elements by full content.

    Laws: an equivalence relation; the same values have equal group keys and equal order keys.
    """
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is float:
        if a == b:
            return a != 0.0 or copysign(1.0, a) == copysign(1.0, b)
        return bool(a != a and b != b)
    if kind is list:
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if kind is dict:
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    return bool(a == b)
