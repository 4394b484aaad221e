"""What every resource store must do."""

from __future__ import annotations

import asyncio

import pytest

from drasi.resources.resource import REACTION, SOURCE, Resource
from drasi.resources.store import KEPT_VERSIONS, Conflict, ResourceStore


def source(name: str = "a", **spec: object) -> Resource:
    return Resource(kind=SOURCE, name=name, spec=dict(spec))


class StoreContract:
    """Subclasses have a fixture ``store``."""

    async def test_what_is_stored_is_read_under_its_kind_and_name(self, store: ResourceStore) -> None:
        stored = await store.put(source("b", host="x"))
        await store.put(source("a"))
        assert stored.version == 1
        assert await store.get(SOURCE, "b") == stored
        assert await store.get(REACTION, "b") is None
        assert [resource.name for resource in await store.of_kind(SOURCE)] == ["a", "b"]
        assert await store.of_kind(REACTION) == []

    async def test_versions_rise_also_over_a_delete(self, store: ResourceStore) -> None:
        await store.put(source(n=1))
        await store.put(source(n=2))
        deleted = await store.delete(SOURCE, "a")
        assert deleted is not None
        assert deleted.version == 2
        assert await store.get(SOURCE, "a") is None
        assert await store.delete(SOURCE, "a") is None
        assert (await store.put(source(n=3))).version == 3

    async def test_a_writer_that_read_an_older_version_is_refused(self, store: ResourceStore) -> None:
        await store.put(source(n=1), expected=0)
        with pytest.raises(Conflict):
            await store.put(source(n=2), expected=0)
        await store.put(source(n=2), expected=1)
        with pytest.raises(Conflict):
            await store.put(source(n=3), expected=1)
        with pytest.raises(Conflict):
            await store.delete(SOURCE, "a", expected=1)
        found = await store.get(SOURCE, "a")
        assert found is not None
        assert (found.version, found.spec) == (2, {"n": 2})
        await store.delete(SOURCE, "a", expected=2)
        with pytest.raises(Conflict):
            await store.delete(SOURCE, "a", expected=2)

    async def test_of_two_writers_at_once_one_wins(self, store: ResourceStore) -> None:
        results = await asyncio.gather(*(store.put(source(n=n), expected=0) for n in range(8)), return_exceptions=True)
        assert sum(isinstance(result, Resource) for result in results) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 7

    async def test_the_last_versions_are_kept_newest_first(self, store: ResourceStore) -> None:
        for n in range(KEPT_VERSIONS + 3):
            await store.put(source(n=n))
        kept = await store.versions(SOURCE, "a")
        assert [resource.version for resource in kept] == list(range(KEPT_VERSIONS + 3, 3, -1))
        assert kept[0].spec == {"n": KEPT_VERSIONS + 2}
        await store.delete(SOURCE, "a")
        assert len(await store.versions(SOURCE, "a")) == KEPT_VERSIONS

    async def test_a_revision_is_no_version(self, store: ResourceStore) -> None:
        stored = await store.put(source(n=1))
        stored.stopped = True
        await store.revise(stored)
        found = await store.get(SOURCE, "a")
        assert found is not None
        assert (found.version, found.stopped) == (1, True)
        await store.put(source(n=2))
        await store.revise(stored)
        found = await store.get(SOURCE, "a")
        assert found is not None
        assert (found.version, found.stopped) == (2, False), "a revision of an older version changes nothing"

    async def test_what_is_handed_out_is_a_copy(self, store: ResourceStore) -> None:
        stored = await store.put(source(n=1))
        stored.spec["n"] = 2
        found = await store.get(SOURCE, "a")
        assert found is not None
        assert found.spec == {"n": 1}

    async def test_notes(self, store: ResourceStore) -> None:
        assert await store.note("sequence/q") is None
        await store.set_note("sequence/q", "419")
        await store.set_note("sequence/q", "420")
        assert await store.note("sequence/q") == "420"
        await store.set_note("sequence/q", None)
        assert await store.note("sequence/q") is None
