"""The collector rests while a function restores."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from drasi.functions.collection import resting_collector


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_nothing_is_collected_meanwhile_and_what_is_there_is_not_looked_at_again() -> None:
    frozen = gc.get_freeze_count()
    with resting_collector():
        assert not gc.isenabled()
        made = [[] for _ in range(1_000)]  # type: ignore[var-annotated]
    assert gc.isenabled()
    assert gc.get_freeze_count() - frozen > len(made)


def test_a_restoring_that_fails_leaves_the_collector_as_it_was() -> None:
    frozen = gc.get_freeze_count()
    with pytest.raises(LookupError), resting_collector():
        raise LookupError
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
