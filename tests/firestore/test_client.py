"""What the stores lean on."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drasi.firestore import blobs
from drasi.firestore.cells import Cells, Changed
from drasi.firestore.client import FirestoreClient, FirestoreUnavailable, Refused, document_id, name_of
from tests.emulator import emulators
from tests.emulator.place import firestore

_NAMES = st.text(alphabet=st.sampled_from("a/%._~2FüЖ€ 5E") | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(_NAMES, _NAMES)
def test_an_id_is_valid_reversible_and_keeps_prefixes(name: str, more: str) -> None:
    identifier = document_id(name)
    assert name_of(identifier) == name
    assert "/" not in identifier
    assert identifier not in (".", "..")
    assert not identifier.startswith("__")
    assert document_id(name + more).startswith(identifier)


async def test_a_cell_is_replaced_only_by_who_has_read_it_and_its_parts_go_with_it() -> None:
    async with firestore() as place:
        cells = Cells(place.client)
        path = f"{place.root}/cells/a"
        first = await cells.put(path, bytes(3_000_000), over=None)
        with pytest.raises(Changed):
            await cells.put(path, b"x", over=None)
        read = await cells.get(path)
        assert read is not None
        assert read.data == bytes(3_000_000)
        second = await cells.put(path, b"small", over=read)
        with pytest.raises(Changed):
            await cells.put(path, b"x", over=first)
        assert await place.client.ids(f"{place.root}/cells-parts") == []
        with pytest.raises(Changed):
            await cells.delete(first)
        await cells.delete(second)
        await cells.delete(second)
        assert await cells.get(path) is None


class _Once(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """The first commit succeeds, and its answer is lost."""

    def __init__(self) -> None:
        self.commits = 0

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        self.commits += 1
        call = await continuation(details, request)
        if self.commits == 1:
            await call
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "lost")
        return call


async def test_a_conditional_write_whose_answer_was_lost_is_recognised() -> None:
    lossy = _Once()
    client = FirestoreClient("drasi-test", emulator=emulators.firestore(), interceptors=[lossy])
    async with firestore() as place:
        path = f"{place.root}/cells/a"
        cell = await Cells(client).put(path, b"mine", over=None)
        assert lossy.commits == 2
        # And its version is the right one to go on from.
        await Cells(client).put(path, b"next", over=cell)
        assert (await Cells(place.client).get(path)) is not None
    await client.close()


async def test_a_commit_is_whole_or_not_at_all_and_what_is_tried_once_is_tried_once() -> None:
    async with firestore() as place:
        client = place.client
        await client.commit([client.create(f"{place.root}/c/a", {"n": 1})])
        place.meter.reset()
        with pytest.raises(Refused):
            await client.commit(
                [client.set(f"{place.root}/c/b", {"n": 1}), client.create(f"{place.root}/c/a", {"n": 2})], once=True
            )
        assert await client.ids(f"{place.root}/c") == ["a"]
        assert await client.count(f"{place.root}/c") == 1
        with pytest.raises(FirestoreUnavailable):
            await client.commit([client.set(f"{place.root}/c/b", {"n": 1})], once=True, deadline_s=-1.0)
        assert place.meter.calls["Commit"] == 2


async def test_a_closed_client_says_so() -> None:
    client = FirestoreClient("drasi-test", emulator="127.0.0.1:9")
    await client.close()
    with pytest.raises(FirestoreUnavailable, match="closed"):
        await client.ids("c")


def test_parts_are_as_few_as_possible() -> None:
    assert [len(part) for part in blobs.parts_of(bytes(2_000_001))] == [1_000_000, 1_000_000, 1]
    assert blobs.head_fields(bytes(2_000_001), b"n") == {"parts": 3, "size": 2_000_001, "nonce": b"n"}


def test_the_embedded_profile_imports_no_client() -> None:
    code = "import sys, drasi.environment, drasi.embedded.system, drasi.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.startswith(("google.cloud.", "google.api_core", "grpc", "drasi.firestore."))]
