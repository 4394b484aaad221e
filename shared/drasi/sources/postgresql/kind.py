"""The kind as the registry knows it. The client of PostgreSQL is imported when a source is made, not before."""

from __future__ import annotations

from importlib.util import find_spec

from drasi.errors import DrasiError
from drasi.sources.port import Source, SourceContext, SourceKind
from drasi.sources.relational import RELATIONAL


class NotInstalled(DrasiError):
    """A package that is optional, and needed here."""

    code = "NotInstalled"


def _make(context: SourceContext) -> Source:
    if find_spec("psycopg") is None:
        raise NotInstalled("sources of kind PostgreSQL need psycopg", hint="run: pip install 'drasi[postgres]'")
    from drasi.sources.postgresql.source import PostgreSQLSource

    return PostgreSQLSource(context)


KIND = SourceKind(
    name="PostgreSQL",
    aliases=("postgres",),
    schema={
        "type": "object",
        "required": ["database"],
        "properties": {
            "host": {"type": "string", "minLength": 1, "default": "localhost"},
            "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 5432},
            "database": {"type": "string", "minLength": 1},
            "user": {"type": "string"},
            "password": {"type": "string"},
            "ssl": {"type": "boolean", "description": "true: sslMode require; false: disable"},
            "sslMode": {"type": "string", "enum": ["disable", "prefer", "require"], "description": "prefer, unless ssl is given"},
            "slotName": {"type": "string", "minLength": 1, "maxLength": 63, "description": "rg_{source}"},
            "publicationName": {"type": "string", "minLength": 1, "maxLength": 63, "description": "rg_{source}"},
            **RELATIONAL,
        },
    },
    make=_make,
    defaults={
        "host": "localhost",
        "port": 5432,
        "foreignKeys": "none",
        "decimals": "float",
        "pageSize": 1000,
        "onPositionLost": "rebootstrap",
    },
)
