"""Commands: ``CALL proc(@a, @before.x)`` and templates with ``{{param x}}``. Values only ever become bound parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from drasi.templates import Template, TemplateError, parse
from drasi.templates.functions import as_text
from drasi.templates.parser import parse_nodes
from drasi.templates.tree import Each, If, Node, Output, With

# What is not looked into for names: texts, quoted names, dollar quotes, comments.
_TOKEN = re.compile(
    r"(?P<opaque>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|--[^\n]*|/\*.*?\*/)"
    r"|@(?P<name>[^\W\d]\w*(?:\.\w+)*)|(?P<end>;)|(?P<quote>['\"])",
    re.DOTALL,
)
# The event is a transaction, and a command that ends it would take the rest out of it.
_TRANSACTION = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE\s+TRANSACTION)\b",
    re.DOTALL | re.IGNORECASE,
)
_MARK = re.compile("\x00(\\d+)\x00")


class CommandError(ValueError):
    """A command that cannot be run. ``line`` and ``column`` from 1; 0: no place."""

    def __init__(self, message: str, line: int = 0, column: int = 0, excerpt: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.excerpt = excerpt
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with ``%s`` for each parameter (and ``%%`` for a per cent sign), and the parameters: texts or null."""

    text: str
    parameters: Sequence[str | None]


class Command(Protocol):
    """What is run for a row."""

    def statement(self, seen: Mapping[str, Any]) -> Statement:
        """The statement for a row's context (wire.md section 8)."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A text with ``@name``: a column of the row as it is now (of a deleted row: as it was), ``@before.x``, ``@after.x``."""

    text: str
    names: tuple[tuple[str, ...], ...]

    def statement(self, seen: Mapping[str, Any]) -> Statement:
        return Statement(self.text, [bound(_look_up(seen, name)) for name in self.names])


@dataclass(frozen=True, slots=True)
class Templated:
    """A template: what it writes is the author's own text, except ``{{param x}}``."""

    template: Template

    def statement(self, seen: Mapping[str, Any]) -> Statement:
        values: list[Any] = []

        def bind(value: Any) -> str:
            values.append(value)
            return f"\x00{len(values) - 1}\x00"

        text = self.template.render(seen, bind=bind).replace("%", "%%")
        order = [int(number) for number in _MARK.findall(text)]
        return Statement(_MARK.sub("%s", text), [bound(values[number]) for number in order])


def read_call(text: str) -> Call:
    """Reads ``CALL proc(@a, …)``.

    Raises:
        CommandError: It is empty, more than one statement, or has a text without end.
    """
    parts: list[str] = []
    names: list[tuple[str, ...]] = []
    at = 0
    for found in _TOKEN.finditer(text):
        if found["quote"]:
            raise _wrong(text, found.start(), "this quote is not closed")
        if found["end"] and text[found.end() :].strip():
            raise _wrong(text, found.start(), "a command is one statement")
        parts.append(text[at : found.start()].replace("%", "%%"))
        at = found.end()
        if found["name"]:
            names.append(tuple(found["name"].split(".")))
            parts.append("%s")
        elif found["opaque"]:
            parts.append(found["opaque"].replace("%", "%%"))
    parts.append(text[at:].replace("%", "%%"))
    written = "".join(parts).strip()
    if not written:
        raise CommandError("the command is empty")
    _check_transaction(text)
    return Call(written, tuple(names))


def read_template(text: str) -> Templated:
    """Reads a template.

    Raises:
        CommandError: It is none, or writes values into the command.
    """
    try:
        nodes, _ = parse_nodes(text, parameters=True)
        template = parse(text, parameters=True)
    except TemplateError as error:
        raise CommandError(error.message, error.line, error.column, error.excerpt, error.hint) from None
    if not text.strip() or "\x00" in text:
        raise CommandError("the command is empty" if not text.strip() else "the command has a NUL character")
    _check_transaction(text)
    if _writes(nodes):
        raise CommandError(
            "values must be bound: a value written into the text could be read as SQL", hint="write {{param x}} instead of {{x}}"
        )
    return Templated(template)


def bound(value: Any) -> str | None:
    """A value as the database is given it: text, of a type that the database finds by where it stands."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return as_text(value)


def _check_transaction(text: str) -> None:
    if _TRANSACTION.match(text):
        raise CommandError(
            "a command cannot begin or end a transaction", hint="the commands of an event are one transaction already"
        )


def _writes(nodes: Sequence[Node]) -> bool:
    """Whether a value of the row reaches the text."""
    for node in nodes:
        if isinstance(node, Output) and not node.bound:
            return True
        if isinstance(node, If) and (_writes(node.then) or _writes(node.otherwise)):
            return True
        if isinstance(node, Each | With) and (_writes(node.body) or _writes(node.otherwise)):
            return True
    return False


def _look_up(seen: Mapping[str, Any], name: tuple[str, ...]) -> Any:
    value: Any = seen if name[0] in ("before", "after") else seen.get("data")
    for part in name:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _wrong(text: str, at: int, message: str) -> CommandError:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    shown = text.splitlines()[line - 1]
    return CommandError(message, line, column, f"{line:>5} | {shown}\n{'':>5} | {' ' * (column - 1)}^")
