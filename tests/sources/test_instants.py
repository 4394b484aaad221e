"""Instants in the forms that others write."""

from __future__ import annotations

from typing import Any

import pytest

from drasi.sources.instants import iso_to_ns, ns_to_iso, to_ns

NS = 1_772_352_930_123_456_789


@pytest.mark.parametrize(
    ("value", "written", "ns"),
    [
        ("2026-03-01T08:15:30.123456789Z", None, NS),
        ("2026-03-01T09:15:30.123456789+01:00", None, NS),
        ("2026-03-01 08:15:30", None, 1_772_352_930_000_000_000),
        ("2026-03-01", None, 1_772_323_200_000_000_000),
        ("2026-03-01T08:15:30.12-0000", "iso8601", 1_772_352_930_120_000_000),
        (1_772_352_930, None, 1_772_352_930_000_000_000),
        (1_772_352_930.5, None, 1_772_352_930_500_000_000),
        (1_772_352_930_123, None, 1_772_352_930_123_000_000),
        (NS, None, NS),
        ("1772352930", None, 1_772_352_930_000_000_000),
        (7, "unix_millis", 7_000_000),
        (7, "unix_nanos", 7),
        (10**11, "unix_seconds", None),
        (-1, "unix_seconds", -1_000_000_000),
        ("soon", None, None),
        ("soon", "unix_seconds", None),
        ("2026-13-01T00:00:00Z", None, None),
        (True, None, None),
        (None, None, None),
    ],
)
def test_to_nanoseconds(value: Any, written: str | None, ns: int | None) -> None:
    if ns is None:
        with pytest.raises(ValueError, match=r"instant|number|range|month"):
            to_ns(value, written)
    else:
        assert to_ns(value, written) == ns


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (NS, "2026-03-01T08:15:30.123456789Z"),
        (1_772_352_930_120_000_000, "2026-03-01T08:15:30.120Z"),
        (1_772_352_930_000_000_000, "2026-03-01T08:15:30Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (iso_to_ns("0001-01-01T00:00:00Z"), "0001-01-01T00:00:00Z"),
    ],
)
def test_to_text(ns: int, text: str) -> None:
    assert ns_to_iso(ns) == text
    assert iso_to_ns(text) == ns
