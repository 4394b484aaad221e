"""The log in Firestore, on the emulator."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from drasi.firestore.client import FirestoreClient
from drasi.log.firestore import FirestoreLog
from tests.emulator import emulators
from tests.log.contract import LogContract

_paths = itertools.count()


def path() -> str:
    """Of a log that nobody has used."""
    return f"test-log-{next(_paths)}/durable"


@pytest.fixture
async def client() -> AsyncIterator[FirestoreClient]:
    client = FirestoreClient("drasi-test", emulator=emulators.firestore())
    yield client
    await client.close()


class _Store:
    def __init__(self, client: FirestoreClient) -> None:
        self.client = client
        self.path = path()

    def open(self, *, entry_limit: int = 3_500_000) -> FirestoreLog:
        return FirestoreLog(self.client, self.path, entry_limit=entry_limit, poll_s=0.02)


class TestFirestoreLog(LogContract):
    @pytest.fixture
    def make_store(self, client: FirestoreClient) -> Callable[[], _Store]:
        return lambda: _Store(client)

    @pytest.fixture
    def store(self, make_store: Callable[[], _Store]) -> _Store:
        return make_store()
