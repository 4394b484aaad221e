"""Verbs that read a query: rows, events."""

from __future__ import annotations

import csv
import io
import sys
from typing import Any

import msgspec

from drasi.cli.api import Api, Refused, path_of
from drasi.cli.options import OK, CommandFailed, Session
from drasi.cli.tables import cell, table
from drasi.resources.resource import CONTINUOUS_QUERY


async def rows(session: Session, query: str, form: str, at: str | None, sequence: int | None) -> int:
    """The result as a table, JSON or CSV."""
    params = {name: value for name, value in (("at", at), ("sequence", sequence)) if value is not None}
    async with Api(session) as api:
        _, found = await read_rows(api, query, **params)
    columns = list(dict.fromkeys(name for row in found for name in row))
    if session.output != "text" or form == "json":
        data = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
        if session.output == "yaml":
            session.show(found, "")
        else:
            print(data)
    elif form == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell(row.get(name)) for name in columns] for row in found)
        sys.stdout.write(buffer.getvalue())
    elif columns:
        print(table(columns, [[row.get(name) for name in columns] for row in found]))
    if form == "table" and session.output == "text":
        session.say(f"{len(found)} row{'' if len(found) == 1 else 's'}")
    return OK


async def read_rows(api: Api, query: str, **params: Any) -> tuple[int, list[dict[str, Any]]]:
    """The sequence of the view, and its rows."""
    try:
        items = await api.get(f"{path_of(CONTINUOUS_QUERY, query)}/rows", **params)
    except Refused as error:
        raise not_found(error, query) from error
    return items[0]["header"]["sequence"], [item["data"] for item in items[1:]]


async def events(session: Session, query: str, after: int | None, *, follow: bool) -> int:
    """Result events, one JSON object a line: those there are, or without end."""
    path = f"{path_of(CONTINUOUS_QUERY, query)}/events"
    async with Api(session) as api:
        latest, _ = await read_rows(api, query)
        start = after if after is not None else await _earliest(api, path)
        if not follow and start >= latest:
            return OK
        params = {"after": start} if follow else {"after": start, "limit": latest - start}
        try:
            async with api.stream(path, **params) as lines:
                async for line in lines:
                    if line.strip():
                        print(line, flush=True)
        except Refused as error:
            raise _gone(error) from error
    return OK


async def _earliest(api: Api, path: str) -> int:
    """The sequence before the first event that is still there."""
    try:
        async with api.stream(path, after=0, limit=0):
            return 0
    except Refused as error:
        if error.status == 410 and isinstance(error.body.get("earliest"), int):
            return int(error.body["earliest"]) - 1
        raise


def _gone(error: Refused) -> CommandFailed:
    earliest = error.body.get("earliest")
    if error.status == 410 and earliest is not None:
        requested, latest = error.body.get("requested"), error.body.get("latest")
        message = f"the events after {requested} are trimmed; those from {earliest} to {latest} are there"
        return CommandFailed(message, hint=f"use --after {int(earliest) - 1}")
    return error


def not_found(error: Refused, query: str) -> CommandFailed:
    """The error as it reads for a query that is not there."""
    if error.status == 404:
        return CommandFailed(f"there is no query '{query}'", hint="see 'drasi list query'")
    return error
