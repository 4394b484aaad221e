"""The kind as the registry knows it. The client of the database is imported when a reaction is made, not before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from drasi.errors import DrasiError
from drasi.reactions.configuration import SERVER_PROPERTIES
from drasi.reactions.port import Reaction, ReactionContext, ReactionKind
from drasi.reactions.storedproc.commands import PROPERTIES, check


class NotInstalled(DrasiError):
    """A package that is optional, and needed here."""

    code = "NotInstalled"


class InvalidTarget(DrasiError):
    """Properties that no database can be reached with."""

    code = "InvalidValue"


def _make(given: ReactionContext) -> Reaction:
    client = str(given.properties.get("databaseClient") or "pg")
    if client != "pg":
        raise InvalidTarget(f"properties.databaseClient: {client} is not built yet", hint="there is pg")
    if find_spec("psycopg") is None:
        raise NotInstalled("reactions of kind StoredProc need psycopg", hint="run: pip install 'drasi[postgres]'")
    from drasi.reactions.storedproc.delivery import StoredProcReaction

    return StoredProcReaction(given, _target(given.properties))


def _target(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Where the database is, as its client is told; Drasi Server's names stand beside those of Drasi for Kubernetes."""
    names = {
        "host": ("databaseHostname", "hostname"),
        "port": ("databasePort", "port"),
        "user": ("databaseUser", "user"),
        "password": ("databasePassword", "password"),
        "dbname": ("databaseDbname", "database"),
    }
    found: dict[str, Any] = {"host": "localhost", "port": 5432}
    for name, (first, second) in names.items():
        value = properties.get(first) or properties.get(second)
        if value:
            found[name] = value
    if "dbname" not in found:
        raise InvalidTarget("properties.databaseDbname is required", hint="name the database")
    found["sslmode"] = "require" if properties.get("databaseSsl") or properties.get("ssl") else "prefer"
    return found


_TEXT = {"type": "string"}
_COMMAND = {"type": "string", "description": "CALL proc(@column, @before.column, @after.column)"}

KIND = ReactionKind(
    "StoredProc",
    ("storedproc-postgres",),
    schema={
        "type": "object",
        "properties": {
            "databaseHostname": _TEXT,
            "databasePort": {"type": "integer", "minimum": 1, "maximum": 65535},
            "databaseUser": _TEXT,
            "databasePassword": _TEXT,
            "databaseDbname": _TEXT,
            "databaseClient": {"type": "string", "enum": ["pg", "mysql", "mssql"]},
            "databaseSsl": {"type": "boolean", "default": False},
            **dict.fromkeys(PROPERTIES, _COMMAND),
            "hostname": _TEXT,
            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
            "user": _TEXT,
            "password": _TEXT,
            "database": _TEXT,
            "ssl": {"type": "boolean", "default": False},
            "commandTimeoutMs": {"type": "integer", "minimum": 1, "default": 30000},
            "retryAttempts": {"type": "integer", "minimum": 0, "description": "Of Drasi Server; spec.onFailure says it here"},
            **SERVER_PROPERTIES,
        },
    },
    check=check,
    make=_make,
)
