from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from drasi.cli.main import main
from drasi.cli.options import transport
from tests.web.managed import Managed


class _Input(io.StringIO):
    def __init__(self, text: str, on_terminal: bool) -> None:
        super().__init__(text)
        self._on_terminal = on_terminal

    def isatty(self) -> bool:
        return self._on_terminal


@dataclass
class Drasi:
    """The command line over an installation in this process."""

    managed: Managed
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    out: str = ""
    err: str = ""
    on_terminal: bool = False

    def __call__(self, *arguments: str, stdin: str = "") -> int:
        """Runs ``drasi …``; what it printed is in ``out`` and ``err``."""
        self.monkeypatch.setattr("sys.stdin", _Input(stdin, self.on_terminal))
        self.capture.readouterr()
        code = main(arguments)
        self.out, self.err = self.capture.readouterr()
        return code


@pytest.fixture
def drasi(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Drasi]:
    for variable in ("DRASI_URL", "DRASI_TOKEN", "DRASI_NAMESPACE", "DRASI_STATE", "DRASI_OIDC_ISSUER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DRASI_HOME", str(tmp_path / "home"))
    managed = Managed()
    asyncio.run(managed.installation.restore())
    token = transport.set(httpx.ASGITransport(managed.app, raise_app_exceptions=False))
    yield Drasi(managed, capsys, monkeypatch)
    transport.reset(token)
