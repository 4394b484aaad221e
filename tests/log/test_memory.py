from __future__ import annotations

from collections.abc import Callable

import pytest

from drasi.log.memory import MemoryLog, MemoryStore
from tests.log.contract import LogContract


class _Store:
    def __init__(self) -> None:
        self.inner = MemoryStore()

    def open(self, *, entry_limit: int = 3_500_000) -> MemoryLog:
        return MemoryLog(self.inner, entry_limit=entry_limit)


class TestMemoryLog(LogContract):
    @pytest.fixture
    def make_store(self) -> Callable[[], _Store]:
        return _Store

    @pytest.fixture
    def store(self, make_store: Callable[[], _Store]) -> _Store:
        return make_store()


def test_a_memory_log_is_not_durable() -> None:
    assert not MemoryLog().durable
