"""A sum that can be taken back exactly, whatever the order of additions and removals.

Invariant: the state is a function of the bag of numbers at hand alone, so removing what was added restores it bit for
bit, and the value is the true sum rounded once. A running float sum is wrong in its last digits after a thousand changes.
"""

from __future__ import annotations

from math import inf, nan

# A float of magnitude 2**-12 or more is a multiple of 2**-64; every finite float is a multiple of 2**-1074.
_SCALE_F = 2.0**64
_FINE = 2**1074
_FINE_OVER_SCALE = 2 ** (1074 - 64)
_LEAST = 2.0**-12
_BOUND = 2.0**900


class ExactSum:
    """The sum of a bag of integers and floats.

    Integers are kept apart from floats, for the type of the result and because they may be any number of digits on the
    way. Floats are integers at the scale 2**64 while that holds them exactly, else at the scale 2**1074.
    """

    __slots__ = ("coarse", "extremes", "fine", "floats", "infinite", "integers", "nans", "negative_infinite")

    def __init__(self) -> None:
        self.integers = 0
        self.coarse = 0
        self.fine = 0
        self.floats = 0
        # How many of the floats are not in ``coarse``.
        self.extremes = 0
        self.nans = 0
        self.infinite = 0
        self.negative_infinite = 0

    def add(self, x: int | float) -> None:
        """Puts a number in."""
        if type(x) is int:
            self.integers += x
        elif _LEAST <= x < _BOUND or -_BOUND < x <= -_LEAST or x == 0.0:
            self.floats += 1
            self.coarse += int(x * _SCALE_F)
        else:
            self._extreme(x, 1)

    def remove(self, x: int | float) -> None:
        """Takes out a number that was put in."""
        if type(x) is int:
            self.integers -= x
        elif _LEAST <= x < _BOUND or -_BOUND < x <= -_LEAST or x == 0.0:
            self.floats -= 1
            self.coarse -= int(x * _SCALE_F)
        else:
            self._extreme(x, -1)

    def replace(self, old: int | float, new: int | float) -> None:
        """Takes one out and puts another in."""
        if type(old) is float and type(new) is float and _LEAST <= old < _BOUND and _LEAST <= new < _BOUND:
            self.coarse += int(new * _SCALE_F) - int(old * _SCALE_F)
        else:
            self.remove(old)
            self.add(new)

    def value(self) -> int | float:
        """The sum: an int (of any size) if only integers are there, else a float rounded once."""
        return self.mean(1) if self.floats else self.integers

    def mean(self, count: int) -> float:
        """The sum divided by ``count``, rounded once."""
        if self.extremes:
            return self._extreme_mean(count)
        numerator = self.coarse + (self.integers << 64) if self.integers else self.coarse
        # CPython rounds the quotient of two ints correctly, once.
        try:
            return numerator / (count << 64)
        except OverflowError:
            return inf if numerator > 0 else -inf

    def _extreme(self, x: float, sign: int) -> None:
        self.floats += sign
        self.extremes += sign
        if x != x:
            self.nans += sign
        elif x == inf:
            self.infinite += sign
        elif x == -inf:
            self.negative_infinite += sign
        else:
            numerator, denominator = x.as_integer_ratio()
            self.fine += sign * numerator * (_FINE // denominator)

    def _extreme_mean(self, count: int) -> float:
        if self.nans or (self.infinite and self.negative_infinite):
            return nan
        if self.infinite:
            return inf
        if self.negative_infinite:
            return -inf
        numerator = ((self.integers << 64) + self.coarse) * _FINE_OVER_SCALE + self.fine
        try:
            return numerator / (_FINE * count)
        except OverflowError:
            return inf if numerator > 0 else -inf
