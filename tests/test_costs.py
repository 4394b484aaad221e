"""What the benchmark makes of its counts."""

from __future__ import annotations

import pytest
from benchmarks.emulated.prices import Used


def test_a_million_changes_one_a_batch() -> None:
    alone = Used(reads=0.5, writes=3, entries=1, messages=2, pushes=3, billed_bytes=5_000)
    million = alone.times(1_000_000)
    # 500,000 reads, 3,000,000 writes, and 1,000,000 entries that are deleted.
    assert million.firestore == pytest.approx(0.15 + 2.70 + 0.10)
    assert million.pubsub == pytest.approx(5e9 / 2**40 * 40)
    assert million.requests == pytest.approx(1.20)
