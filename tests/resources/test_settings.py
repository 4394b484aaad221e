from __future__ import annotations

from typing import Any

import pytest

from drasi.resources.known import Known
from drasi.resources.resource import REACTION, SOURCE, Resource
from drasi.resources.settings import NotStartable, settings_of

pytestmark = pytest.mark.usefixtures("_own_kinds")


class Secrets:
    def get(self, name: str, key: str) -> str | None:
        return {"db/port": "5433", "db/bad": "many"}.get(f"{name}/{key}")


def settings(**spec: Any) -> Any:
    kind = REACTION if "queries" in spec else SOURCE
    return settings_of(Resource(kind=kind, name="a", spec=spec), Known.of([]), Secrets())


def test_secrets_conversions_and_defaults() -> None:
    found = settings(
        kind="harbour ",
        properties={
            "host": "db",
            "tables": "Ship,Berth",
            "port": {"kind": "Secret", "name": "db", "key": "port"},
            "autoStart": True,
        },
        services={"reactivator": {"properties": {"mode": "safe"}}},
        schedule="1m30s",
    )
    assert found.kind == "Harbour"
    assert found.properties == {"host": "db", "tables": ["Ship", "Berth"], "port": 5433, "mode": "safe", "ssl": False}
    assert (found.schedule_s, found.schedule) == (90.0, None)


def test_a_cron_text_stays_a_text() -> None:
    found = settings(kind="Harbour", properties={"host": "db", "tables": []}, schedule="*/5 * * * *")
    assert (found.schedule_s, found.schedule) == (None, "*/5 * * * *")


def test_a_reaction_has_its_queries_as_written() -> None:
    assert settings(kind="Horn", queries={"ships": "added: {}", "berths": None}).queries == {"ships": "added: {}", "berths": None}


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        ({"kind": "PostgreSQL"}, "NoImplementation", "nothing here implements the kind 'PostgreSQL'"),
        (
            {"kind": "Harbour", "properties": {"host": {"kind": "Secret", "name": "db", "key": "host"}, "tables": []}},
            "MissingSecret",
            "missing: secret 'db', key 'host'",
        ),
        (
            {"kind": "Harbour", "properties": {"host": "h", "tables": [], "port": {"kind": "Secret", "name": "db", "key": "bad"}}},
            "InvalidSpec",
            "spec.properties.port does not fit its schema",
        ),
        ({"kind": "Harbour", "properties": {"host": "h"}}, "InvalidSpec", "spec.properties.tables is required"),
    ],
)
def test_what_cannot_start(spec: dict[str, Any], reason: str, message: str) -> None:
    with pytest.raises(NotStartable) as caught:
        settings(**spec)
    assert (caught.value.reason, caught.value.message) == (reason, message)


def test_a_secret_is_never_part_of_a_message() -> None:
    with pytest.raises(NotStartable) as caught:
        settings(kind="Harbour", properties={"host": "h", "tables": [], "mode": {"kind": "Secret", "name": "db", "key": "bad"}})
    assert "many" not in caught.value.message
