from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from drasi.private_file import write_private


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "token"
    write_private(file, b"first")
    with pytest.raises(TypeError):
        write_private(file, "text")  # type: ignore[arg-type]
    assert file.read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_only_its_owner_reads_it_whatever_it_was_before(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("readable")
    file.chmod(0o666)
    before = os.umask(0)
    try:
        write_private(file, b"private")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
