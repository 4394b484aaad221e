"""Exact sums against fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drasi.values.exact import ExactSum
from drasi.values.identity import same

numbers = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.1, -0.1, 1e16, -1e16, 1.0, 5e-324, 2.0**-12, 2.0**-13, 2.0**900, 1.7e308, -1.7e308, 0.0, -0.0, 1, 0])
)
anything = numbers | st.sampled_from([math.nan, math.inf, -math.inf])


def state(total: ExactSum) -> list[int]:
    return [getattr(total, name) for name in ExactSum.__slots__]


def sum_of(items: list[int | float]) -> ExactSum:
    total = ExactSum()
    for item in items:
        total.add(item)
    return total


def rounded(exact: Fraction) -> float:
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


@given(st.lists(numbers, min_size=1))
def test_sum_and_mean_are_rounded_once(items: list[int | float]) -> None:
    exact = sum((Fraction(item) for item in items), Fraction(0))
    total = sum_of(items)
    if all(type(item) is int for item in items):
        assert same(total.value(), int(exact))
    else:
        assert same(total.value(), rounded(exact))
    assert same(total.mean(len(items)), rounded(exact / len(items)))


@given(st.lists(anything), st.randoms(use_true_random=False))
def test_order_does_not_matter(items: list[int | float], random: object) -> None:
    shuffled = items.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert state(sum_of(items)) == state(sum_of(shuffled))
    assert same(sum_of(items).value(), sum_of(shuffled).value())


@given(st.lists(anything), st.lists(anything))
def test_what_is_taken_out_leaves_nothing_behind(kept: list[int | float], gone: list[int | float]) -> None:
    total = sum_of(kept + gone)
    for item in reversed(gone):
        total.remove(item)
    assert state(total) == state(sum_of(kept))


@pytest.mark.parametrize(
    ("items", "value"),
    [
        ([], 0),
        ([1, 2], 3),
        ([2**63 - 1, 1], 2**63),
        ([1, 2.0], 3.0),
        ([0.1] * 10, 1.0),
        ([1e16, 1.0, -1e16], 1.0),
        ([2**53, 1.0, 1], float(2**53 + 2)),
        ([1e308, 1e308], math.inf),
        ([-1e308, -1e308], -math.inf),
        ([1e308, 1e308, -1e308], 1e308),
        ([-0.0], 0.0),
        ([math.inf, 1], math.inf),
        ([-math.inf, 1.0], -math.inf),
        ([math.inf, -math.inf], math.nan),
        ([math.nan, 1], math.nan),
    ],
)
def test_values(items: list[int | float], value: int | float) -> None:
    assert same(sum_of(items).value(), value)
