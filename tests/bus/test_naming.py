"""Ids and filters of Pub/Sub."""

from __future__ import annotations

import pytest

from drasi.bus.naming import LARGEST_FILTER, generation_id, generation_of, label_filter, valid_id


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("harbour-db-change", "harbour-db-change"),
        ("4-east-change", "drasi-4-east-change"),
        ("google-change", "drasi-google-change"),
        ("goods-change", "goods-change"),
        ("ab", "drasi-ab"),
        ("-x-change", "drasi--x-change"),
    ],
)
def test_a_name_that_breaks_the_rules_gets_a_prefix(name: str, identity: str) -> None:
    assert valid_id(name) == identity


@pytest.mark.parametrize("name", ["a/b/c", "x" * 256, "späti"])
def test_some_names_no_prefix_makes_an_id(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        valid_id(name)


def test_generations_of_a_subscription() -> None:
    assert generation_id("default-db", 1) == "default-db"
    assert generation_id("default-db", 2) == "default-db~2"
    assert generation_of("default-db", "default-db") == 1
    assert generation_of("default-db", "default-db~12") == 12
    assert generation_of("default-db", "default-db2") is None
    assert generation_of("default-db", "default-db~") is None
    assert generation_of("4-east", generation_id("4-east", 3)) == 3


def test_a_filter_names_the_labels_in_order_and_what_has_none() -> None:
    assert label_filter(["Ship", "Berth", "Ship"]) == 'attributes:"label.Berth" OR attributes:"label.Ship" OR attributes:"label.*"'
    assert label_filter([]) == 'attributes:"label.*"'
    assert label_filter(['a"b\\c']) == r'attributes:"label.a\"b\\c" OR attributes:"label.*"'


def test_a_filter_has_256_bytes_or_is_none() -> None:
    base = len(label_filter(["x"]).encode()) - 1
    fits, too_long = "é" * ((LARGEST_FILTER - base) // 2), "é" * ((LARGEST_FILTER - base) // 2 + 1)
    assert LARGEST_FILTER - 1 <= len(label_filter([fits]).encode()) <= LARGEST_FILTER
    assert label_filter([too_long]) == ""
