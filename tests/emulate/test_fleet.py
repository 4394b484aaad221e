"""Which processes are started again when what they stand on changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from drasi.emulate import fleet as module
from drasi.emulate.fleet import Fleet
from drasi.resources.resource import QUERY_CONTAINER, REACTION, SOURCE, Resource
from drasi.resources.secrets import LocalSecrets, variable_name


class Recorded:
    """A process that is none."""

    started: list[str]
    stopped: list[str]

    def __init__(self, name: str, *_: object, **__: object) -> None:
        self.name = name

    async def start(self) -> None:
        Recorded.started.append(self.name)

    async def stop(self) -> None:
        Recorded.stopped.append(self.name)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    Recorded.started, Recorded.stopped = [], []
    monkeypatch.setattr(module, "Child", Recorded)
    return []


def of(name: str) -> dict[str, str]:
    return {"kind": "Secret", "name": name, "key": "password"}


RESOURCES = [
    Resource(kind=SOURCE, name="harbour", spec={"kind": "PostgreSQL", "properties": {"password": of("db"), "tables": ["Ship"]}}),
    Resource(kind=QUERY_CONTAINER, name="main", spec={"storage": {}}),
    Resource(kind=REACTION, name="alerts", spec={"kind": "Http", "properties": {"token": [of("target")]}, "queries": {}}),
]


async def test_a_secret_that_comes_changes_or_goes_restarts_who_refers_to_it(tmp_path: Path, said: list[str]) -> None:
    secrets = LocalSecrets(tmp_path)
    fleet = Fleet(tmp_path, tmp_path, {}, lambda name, text: said.append(f"{name}: {text}"), secrets)
    await fleet.arrange(RESOURCES)
    assert sorted(Recorded.started) == ["alerts", "harbour", "query main"]
    Recorded.started.clear()
    for change in (
        lambda: secrets.set("db", "password", "planted-1"),
        lambda: secrets.set("db", "password", "planted-2"),
        lambda: secrets.delete("db", "password"),
    ):
        change()
        await fleet.arrange(RESOURCES)
        await fleet.arrange(RESOURCES)
        assert (Recorded.stopped, Recorded.started) == (["harbour"], ["harbour"])
        Recorded.started.clear()
        Recorded.stopped.clear()
    secrets.set("target", "password", "planted-3")
    secrets.set("nobody's", "password", "planted-4")
    await fleet.arrange(RESOURCES)
    assert Recorded.started == ["alerts"]
    assert said == ["harbour: a secret of it has changed: it is started again"] * 3 + [
        "alerts: a secret of it has changed: it is started again"
    ]
    assert "planted" not in repr(fleet._members)
    await fleet.stop()


async def test_secrets_of_the_environment_count_as_well(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(tmp_path, tmp_path, {}, lambda name, text: said.append(text), LocalSecrets(tmp_path))
    await fleet.arrange(RESOURCES)
    Recorded.started.clear()
    monkeypatch.setenv(variable_name("db", "password"), "planted")
    await fleet.arrange(RESOURCES)
    assert Recorded.started == ["harbour"]
    await fleet.stop()
