"""Which command holds for which query and operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drasi.reactions.configuration import choose, ignored
from drasi.reactions.port import Finding
from drasi.reactions.rows import ENTRY
from drasi.reactions.storedproc.command import Command, CommandError, read_call, read_template

PROPERTIES = {f"{operation}ResultCommand": operation for operation in ENTRY.values()}
"""Property, or member of a query's configuration → operation."""


def of_query(query_id: str, queries: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Command]:
    """Operation (``added``, ``updated``, ``deleted``) → command: the query's own, else the reaction's."""
    chosen = choose(query_id, queries, properties)
    own, _ = read(chosen.value)
    general, _ = read({name: properties[name] for name in PROPERTIES if properties.get(name)})
    return {**general, **own}


def read(value: Any) -> tuple[dict[str, Command], list[Finding]]:
    """The commands of a parsed configuration, and what is wrong with it."""
    found: list[Finding] = []
    commands: dict[str, Command] = {}
    if value is None:
        return commands, found
    if not isinstance(value, Mapping):
        return commands, [Finding("InvalidQueryConfig", "", f"must be a mapping of {', '.join(PROPERTIES)}")]
    for name, item in value.items():
        if item is None:
            continue
        if name in PROPERTIES:
            _read(commands, PROPERTIES[name], str(name), item, read_call, found)
        elif name in ENTRY.values():
            text = item
            path = str(name)
            if isinstance(item, Mapping):
                found.extend(ignored(f"{name}.{member}", (f"{name}.template",)) for member in item if member != "template")
                text, path = item.get("template"), f"{name}.template"
            if text is not None:
                _read(commands, str(name), path, text, read_template, found)
        else:
            found.append(ignored(str(name), (*PROPERTIES, *ENTRY.values())))
    return commands, found


def check(value: Any) -> list[Finding]:
    """Checks one query's configuration."""
    return read(value)[1]


def _read(
    commands: dict[str, Command], operation: str, path: str, text: Any, reader: Callable[[str], Command], found: list[Finding]
) -> None:
    if not isinstance(text, str):
        found.append(Finding("InvalidQueryConfig", path, f"{path} must be text"))
        return
    try:
        commands[operation] = reader(text)
    except CommandError as error:
        found.append(Finding("InvalidTemplate", path, error.message, error.line, error.column, error.excerpt, error.hint))
