"""Arithmetic, logic, access and text operators, case by case."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drasi.values import operators as op
from drasi.values.errors import EvaluationError
from drasi.values.identity import same
from tests.values.pool import NAN, POOL, A, R

LOWEST, HIGHEST = -(2**63), 2**63 - 1


@pytest.mark.parametrize(
    ("operator", "left", "right", "expected"),
    [
        (op.add, 1, 2, 3),
        (op.add, 1, 2.0, 3.0),
        (op.add, "a", "b", "ab"),
        (op.add, "a", 1, "a1"),
        (op.add, 1, "a", "1a"),
        (op.add, "a", 1.0, "a1.0"),
        (op.add, "a", NAN, "aNaN"),
        (op.add, -inf, "a", "-Infinitya"),
        (op.add, [1], [2], [1, 2]),
        (op.add, [1], 2, [1, 2]),
        (op.add, 1, [2], [1, 2]),
        (op.add, [1], "a", [1, "a"]),
        (op.add, "a", [1], ["a", 1]),
        (op.add, True, [1], [True, 1]),
        (op.add, [1], {}, [1, {}]),
        (op.add, [1], None, None),
        (op.subtract, 1, 2, -1),
        (op.subtract, 1.5, 2, -0.5),
        (op.multiply, 3, 4, 12),
        (op.multiply, 2, 0.5, 1.0),
        (op.divide, 7, 2, 3),
        (op.divide, -7, 2, -3),
        (op.divide, 7, -2, -3),
        (op.divide, -7, -2, 3),
        (op.divide, HIGHEST, 3, HIGHEST // 3),
        (op.divide, 7, 2.0, 3.5),
        (op.divide, 1, 0.0, inf),
        (op.divide, 1, -0.0, -inf),
        (op.divide, -1.0, 0, -inf),
        (op.divide, 0.0, 0, NAN),
        (op.divide, NAN, 0, NAN),
        (op.modulo, 7, 3, 1),
        (op.modulo, -7, 3, -1),
        (op.modulo, 7, -3, 1),
        (op.modulo, LOWEST, -1, 0),
        (op.modulo, -7.5, 2, -1.5),
        (op.modulo, 7.5, -2, 1.5),
        (op.modulo, 1.0, 0, NAN),
        (op.modulo, inf, 2, NAN),
        (op.modulo, 2, inf, 2.0),
        (op.power, 2, 3, 8.0),
        (op.power, 2, -1, 0.5),
        (op.power, -8, 1 / 3, NAN),
        (op.power, 0, -1, inf),
        (op.power, -0.0, -1, -inf),
        (op.power, 10, 400, inf),
        (op.power, -10, 401, -inf),
        (op.power, -10, 400, inf),
        (op.power, NAN, 0, 1.0),
    ],
)
def test_arithmetic(operator: Callable[[Any, Any], Any], left: Any, right: Any, expected: Any) -> None:
    assert same(operator(left, right), expected)


@pytest.mark.parametrize("operator", [op.add, op.subtract, op.multiply, op.divide, op.modulo, op.power])
def test_null_makes_null(operator: Callable[[Any, Any], Any]) -> None:
    for value in (None, 1, 1.0, "a", True):
        assert operator(None, value) is None
        assert operator(value, None) is None


@pytest.mark.parametrize(
    ("operator", "arguments", "detail"),
    [
        (op.add, (HIGHEST, 1), "IntegerOverflow"),
        (op.add, (LOWEST, -1), "IntegerOverflow"),
        (op.subtract, (LOWEST, 1), "IntegerOverflow"),
        (op.multiply, (2**32, 2**31), "IntegerOverflow"),
        (op.divide, (LOWEST, -1), "IntegerOverflow"),
        (op.negate, (LOWEST,), "IntegerOverflow"),
        (op.divide, (1, 0), "DivisionByZero"),
        (op.modulo, (1, 0), "DivisionByZero"),
    ],
)
def test_integers_that_have_no_result(operator: Callable[..., Any], arguments: tuple[int, ...], detail: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        operator(*arguments)
    assert (caught.value.type, caught.value.detail) == ("ArithmeticError", detail)


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (op.add, (1, True)),
        (op.add, (True, True)),
        (op.add, ("a", True)),
        (op.add, ({}, {})),
        (op.add, (A, "a")),
        (op.subtract, ("a", "b")),
        (op.subtract, (True, 1)),
        (op.multiply, ("a", 3)),
        (op.multiply, ([1], 3)),
        (op.divide, (False, 1)),
        (op.modulo, ("%d", 1)),
        (op.power, (2, True)),
        (op.negate, (True,)),
        (op.negate, ("1",)),
        (op.positive, (True,)),
        (op.and_, (True, 1)),
        (op.and_, (None, 0)),
        (op.and_, ("a", True)),
        (op.or_, (False, "a")),
        (op.or_, (None, 1)),
        (op.xor, (True, 1)),
        (op.xor, (None, 0)),
        (op.not_, (1,)),
        (op.not_, ("true",)),
        (op.boolean, (1,)),
        (op.in_list, (1, "1")),
        (op.in_list, (None, {})),
        (op.has_labels, (1, ["A"])),
        (op.slice_, ("abc", 0, 1)),
        (op.slice_, ([1], True, 1)),
        (op.slice_, ([1], 0, 1.0)),
    ],
)
def test_types_that_do_not_fit(operator: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with pytest.raises(EvaluationError) as caught:
        operator(*arguments)
    assert (caught.value.type, caught.value.detail) == ("TypeError", "InvalidArgumentValue")


@given(st.integers(LOWEST, HIGHEST), st.integers(LOWEST, HIGHEST).filter(bool))
def test_division_with_remainder(a: int, b: int) -> None:
    if (a, b) != (LOWEST, -1):
        quotient, remainder = op.divide(a, b), op.modulo(a, b)
        assert quotient * b + remainder == a
        assert abs(remainder) < abs(b)
        assert remainder == 0 or (remainder < 0) == (a < 0)


def test_signs() -> None:
    assert op.negate(None) is None
    assert op.negate(1) == -1
    assert same(op.negate(0.0), -0.0)
    assert [op.positive(value) for value in (None, 1, 1.5)] == [None, 1, 1.5]


def test_logic_is_that_of_kleene() -> None:
    # Unknown is a half: AND is the minimum, OR the maximum, NOT the complement.
    rank: dict[bool | None, float] = {False: 0.0, None: 0.5, True: 1.0}
    for a, b in product(rank, rank):
        assert rank[op.and_(a, b)] == min(rank[a], rank[b])
        assert rank[op.or_(a, b)] == max(rank[a], rank[b])
        assert rank[op.xor(a, b)] == (0.5 if a is None or b is None else float(a is not b))
    assert [op.not_(value) for value in rank] == [True, None, False]
    assert [op.boolean(value) for value in rank] == [False, None, True]


def test_logic_is_decided_from_the_left() -> None:
    assert op.and_(False, 1) is False
    assert op.or_(True, "a") is True


@pytest.mark.parametrize(
    ("item", "items", "expected"),
    [
        (1, [1, None], True),
        (1, [1.0], True),
        (1, [True], False),
        (1, [2, None], None),
        (1, [2], False),
        (None, [], False),
        (None, [1], None),
        (1, None, None),
        ([1], [[1.0]], True),
        ([None], [[1]], None),
        (NAN, [NAN], False),
        (A, [R, A], True),
    ],
)
def test_in(item: Any, items: Any, expected: bool | None) -> None:
    assert op.in_list(item, items) is expected


@pytest.mark.parametrize(
    ("value", "key", "expected"),
    [
        ([1, 2, 3], 0, 1),
        ([1, 2, 3], -1, 3),
        ([1, 2, 3], 3, None),
        ([1, 2, 3], -4, None),
        ([1, 2, 3], None, None),
        ({"a": 1}, "a", 1),
        ({"a": 1}, "A", None),
        ({"a": 1}, None, None),
        (A, "x", 1),
        (R, "x", None),
        (None, "x", None),
        (None, 0, None),
        (100, None, None),
    ],
)
def test_index(value: Any, key: Any, expected: Any) -> None:
    assert op.index(value, key) == expected


@pytest.mark.parametrize(
    ("value", "key", "detail"),
    [
        ([1], "0", "InvalidArgumentType"),
        ([1], 0.0, "InvalidArgumentType"),
        ([1], True, "InvalidArgumentType"),
        (100, 0, "InvalidArgumentType"),
        ("abc", 0, "InvalidArgumentType"),
        (True, "a", "InvalidArgumentType"),
        ({"a": 1}, 0, "MapElementAccessByNonString"),
        ({"a": 1}, 12.3, "MapElementAccessByNonString"),
        (A, 0, "MapElementAccessByNonString"),
    ],
)
def test_index_that_does_not_fit(value: Any, key: Any, detail: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        op.index(value, key)
    assert (caught.value.type, caught.value.detail) == ("TypeError", detail)


def test_properties() -> None:
    assert op.property_of(None, "x") is None
    assert op.property_of({"x": 1}, "x") == 1
    assert op.property_of({"x": 1}, "y") is None
    assert op.property_of(A, "x") == 1
    assert op.property_of(R, "x") is None
    for value in (1, "a", True, [A]):
        with pytest.raises(EvaluationError, match=r"\.x takes a node, a relation or a map") as caught:
            op.property_of(value, "x")
        assert caught.value.detail == "InvalidArgumentType"


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((1, 3), [2, 3]),
        ((0, 99), [1, 2, 3, 4]),
        ((-2,), [3, 4]),
        ((0, -1), [1, 2, 3]),
        ((-99, 2), [1, 2]),
        ((3, 1), []),
        ((5, 9), []),
        ((None, 1), None),
        ((1, None), None),
    ],
)
def test_slice(bounds: tuple[Any, ...], expected: Any) -> None:
    assert op.slice_([1, 2, 3, 4], *bounds) == expected
    assert op.slice_(None, *bounds) is None


def test_labels() -> None:
    assert op.has_labels(A, ["L"]) is True
    assert op.has_labels(A, ["L", "M"]) is False
    assert op.has_labels(R, ["T"]) is True
    assert op.has_labels(None, ["L"]) is None


def test_parts_of_strings() -> None:
    assert op.starts_with("abc", "ab") is True
    assert op.starts_with("abc", "bc") is False
    assert op.ends_with("abc", "bc") is True
    assert op.contains("abc", "") is True
    assert op.contains("a\nb", "\n") is True
    for test in (op.starts_with, op.ends_with, op.contains, op.matches):
        others: list[Any] = [None, 1, True, ["a"], {}]
        for other in others:
            assert test("a", other) is None
            assert test(other, "a") is None


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("abc", "a.c", True),
        ("abc", "b", False),
        ("xabc", "abc", False),
        ("ABC", "(?i)abc", True),
        ("a\nc", "a.c", False),
        ("a\nc", "(?s)a.c", True),
        ("abc", "a|abc", True),
        ("", "", True),
        ("größe", r"gr\p{L}+e", True),
        ("2026-03-01", r"\d{4}-\d\d-\d\d", True),
        ("a" * 5000, "(a*)*b", False),
    ],
)
def test_regular_expressions(text: str, pattern: str, expected: bool) -> None:
    assert op.matches(text, pattern) is expected


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "(?=a)", r"(a)\1", "[z-a]"])
def test_what_is_no_regular_expression(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EvaluationError, match="is no regular expression") as caught:
        op.matches("a", pattern)
    assert caught.value.detail == "InvalidArgumentValue"
    assert "RE2" in caught.value.hint
    assert capfd.readouterr().err == ""


def test_no_operator_fails_in_another_way() -> None:
    binary = [op.add, op.subtract, op.multiply, op.divide, op.modulo, op.power, op.and_, op.or_, op.xor, op.in_list, op.index]
    for operator, a, b in product(binary, POOL, POOL):
        try:
            result = operator(a, b)
        except EvaluationError:
            continue
        assert type(result) is not int or LOWEST <= result <= HIGHEST
