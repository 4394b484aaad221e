from __future__ import annotations

import pytest

from tests.resources.kinds import registry


@pytest.fixture
def _own_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drasi.resources.connectors._registry", registry)
