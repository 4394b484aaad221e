from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from drasi.auth.key_file import KeyFile
from drasi.auth.keys import KeyRing, KeyStore, KeysUnreadable, MemoryKeyStore


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    return MemoryKeyStore() if request.param == "memory" else KeyFile(tmp_path / "keys.json")


def test_a_store_keeps_a_ring(store: KeyStore) -> None:
    assert store.load() is None
    made = store.change(lambda found: found or KeyRing.generate(100, "drasi-a"))
    again = store.load()
    assert again is not None
    assert (again.installation, again.current.kid, again.current.created) == ("drasi-a", made.current.kid, 100)
    assert again.current.public.public_numbers() == made.current.public.public_numbers()
    rotated = store.change(lambda found: found.rotated(200, 50) if found else KeyRing.generate(0))
    kept = store.load()
    assert kept is not None
    assert [key.retires for key in kept.keys] == [250, None]
    assert kept.current.kid == rotated.current.kid


def test_rotation_overlaps() -> None:
    first = KeyRing.generate(0)
    second = first.rotated(100, overlap_s=50)
    assert second.find(first.current.kid, 149.9) is not None
    assert second.find(first.current.kid, 150) is None
    assert second.current.kid != first.current.kid
    assert [key["kid"] for key in second.jwks(120)["keys"]] == [first.current.kid, second.current.kid]
    assert [key["kid"] for key in second.jwks(150)["keys"]] == [second.current.kid]
    third = second.rotated(120, overlap_s=1000)
    assert [key.retires for key in third.keys] == [150, 1120, None], "an end once said is not put off"
    assert [key.kid for key in third.rotated(200, overlap_s=0).keys[:-1]] == [], "with no overlap nothing stays"


def test_the_public_part_is_public_only() -> None:
    jwk = KeyRing.generate(0).current.public_jwk()
    assert sorted(jwk) == ["alg", "crv", "kid", "kty", "use", "x", "y"]


def test_installations_differ() -> None:
    assert KeyRing.generate(0).installation != KeyRing.generate(0).installation


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        KeyFile(tmp_path / "deep" / "keys.json").change(lambda found: KeyRing.generate(0))
    finally:
        os.umask(before)
    for name in ("keys.json", "keys.json.lock"):
        assert stat.S_IMODE((tmp_path / "deep" / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["keys.json", "keys.json.lock"]


def test_another_process_sees_a_rotation(tmp_path: Path) -> None:
    ours, theirs = KeyFile(tmp_path / "keys.json"), KeyFile(tmp_path / "keys.json")
    ours.change(lambda found: KeyRing.generate(0))
    assert theirs.load() is not None
    rotated = ours.change(lambda found: found.rotated(10) if found else KeyRing.generate(0))
    seen = theirs.load()
    assert seen is not None
    assert seen.current.kid == rotated.current.kid


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"installation": "a", "keys": []}', b'{"installation": "a", "keys": [{}]}']
)
def test_a_broken_file_is_said_without_its_content(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(content)
    with pytest.raises(KeysUnreadable) as caught:
        KeyFile(tmp_path / "keys.json").load()
    assert "cannot be read" in caught.value.message or "no signing key" in caught.value.message


def test_a_cut_key_is_not_shown(tmp_path: Path) -> None:
    content = json.loads(KeyRing.generate(0).encode())
    content["keys"][0]["pem"] = content["keys"][0]["pem"][:120]
    (tmp_path / "keys.json").write_text(json.dumps(content))
    with pytest.raises(KeysUnreadable) as caught:
        KeyFile(tmp_path / "keys.json").load()
    assert content["keys"][0]["pem"][30:60] not in f"{caught.value}{caught.value.__context__}"


def test_a_place_where_no_file_can_be_is_said_as_unreadable_keys(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "keys.json", tmp_path):
        with pytest.raises(KeysUnreadable):
            KeyFile(path).load()
