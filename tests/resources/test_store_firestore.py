from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from drasi.firestore.cells import ValueTooLarge
from drasi.resources.resource import SOURCE
from drasi.resources.store import KEPT_VERSIONS, StoreUnavailable
from drasi.resources.store_firestore import FirestoreResourceStore
from tests.emulator.place import firestore
from tests.resources.store_contract import StoreContract, source


class TestFirestore(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[FirestoreResourceStore]:
        async with firestore() as place:
            yield FirestoreResourceStore(place.client, place.root)


async def test_it_is_there_for_another_process_and_others_are_apart() -> None:
    async with firestore() as place:
        stored = await FirestoreResourceStore(place.client, place.root).put(source(host="x"))
        async with firestore() as other:
            assert await FirestoreResourceStore(other.client, place.root).get(SOURCE, "a") == stored
            assert await FirestoreResourceStore(other.client, other.root).get(SOURCE, "a") is None


async def test_versions_that_are_not_kept_are_deleted_and_a_put_is_one_commit() -> None:
    async with firestore() as place:
        store = FirestoreResourceStore(place.client, place.root)
        for n in range(KEPT_VERSIONS):
            await store.put(source(n=n))
        place.meter.reset()
        await store.put(source(n=KEPT_VERSIONS))
        assert (place.meter.calls["Commit"], place.meter.writes, place.meter.deletes) == (1, 2, 1)
        assert len(await place.client.ids(f"{place.root}/drasi-resource-versions")) == KEPT_VERSIONS


async def test_a_resource_beyond_one_document_is_refused_whole() -> None:
    async with firestore() as place:
        store = FirestoreResourceStore(place.client, place.root)
        stored = await store.put(source(text="x"))
        with pytest.raises(ValueTooLarge, match="Source/a has"):
            await store.put(source(text="x" * 1_000_001))
        assert await store.get(SOURCE, "a") == stored
        # What fits into a version's document, but not into one together with what the head says of it.
        near = await store.put(source(text="x" * 999_940))
        assert await store.get(SOURCE, "a") == near
        assert await store.of_kind(SOURCE) == [near]


async def test_it_says_when_it_cannot_be_used() -> None:
    async with firestore("127.0.0.1:9", patience_s=0.1) as place:
        store = FirestoreResourceStore(place.client, place.root)
        with pytest.raises(StoreUnavailable, match="cannot read"):
            await store.get(SOURCE, "a")
        with pytest.raises(StoreUnavailable, match="cannot"):
            await store.put(source())
        await store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.get(SOURCE, "a")
