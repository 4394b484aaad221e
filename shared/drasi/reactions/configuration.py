"""Per-query configuration: text (YAML or JSON) in ``queries.{id}``, or the routes and templates of Drasi Server.

``queries.{id}`` wins, then ``routes`` (the whole id, then its last dotted part), then ``defaultTemplate``; the latter two stand in
the properties, also under ``outputTemplates`` (connectors.md section 6).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from drasi.errors import DrasiError
from drasi.reactions.port import Finding, ReactionKind
from drasi.reactions.rows import ENTRY
from drasi.templates import Place, Template, TemplateError, parse

SERVER_PROPERTIES: Mapping[str, Any] = {
    "routes": {"type": "object", "description": "Drasi Server: templates per query"},
    "defaultTemplate": {"type": "object", "description": "Drasi Server: templates of queries without a route"},
    "outputTemplates": {"type": "object", "description": "Drasi Server: routes and defaultTemplate"},
}
"""Schemas of the properties that kinds with templates share."""


class ConfigurationError(DrasiError):
    """A configuration text that cannot be read.

    Attributes:
        line, column: Place in the text, from 1; 0: none.
        excerpt: That line with a caret below the place; may be empty.
    """

    code: ClassVar[str] = "InvalidQueryConfig"

    def __init__(self, message: str, text: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        lines = text.splitlines()
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        self.excerpt = f"{line:>5} | {shown}\n{'':>5} | {' ' * (column - 1)}^" if shown else ""


def read(raw: Any) -> Any:
    """The configuration of one query: None for nothing, else what the text says.

    Raises:
        ConfigurationError: Neither YAML nor JSON.
    """
    if not isinstance(raw, str):
        return raw or None
    if not raw.strip():
        return None
    if raw.lstrip()[:1] in "{[":
        try:
            return json.loads(raw) or None
        except ValueError:
            pass  # YAML's flow style begins in the same way
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(raw) or None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        raise ConfigurationError(f"cannot be read: {error.problem or error.context}", raw, line, column) from None
    except (YAMLError, ValueError) as error:
        raise ConfigurationError(f"cannot be read: {error}", raw) from None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The configuration that holds for a query. ``server``: it came from ``routes`` or ``defaultTemplate``."""

    value: Any = None
    server: bool = False


def choose(query_id: str, queries: Mapping[str, Any], properties: Mapping[str, Any]) -> Chosen:
    """Finds the configuration of a query; ``queries`` holds parsed values."""
    own = queries.get(query_id)
    if own is not None:
        return Chosen(own)
    routes, default = _server(properties)
    for name in (query_id, query_id.rpartition(".")[2]):
        if routes.get(name):
            return Chosen(routes[name], server=True)
    return Chosen(default, server=True) if default else Chosen()


def _server(properties: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    under = properties.get("outputTemplates")
    under = under if isinstance(under, Mapping) else {}
    routes = properties.get("routes") or under.get("routes") or {}
    default = properties.get("defaultTemplate") or under.get("defaultTemplate")
    return (routes if isinstance(routes, Mapping) else {}), default


def check_reaction(kind: ReactionKind, properties: Mapping[str, Any], queries: Mapping[str, Any]) -> list[Finding]:
    """Checks the configurations of a whole spec; paths begin with ``queries`` or ``properties``."""
    found: list[Finding] = []
    for query_id, raw in queries.items():
        try:
            value = read(raw)
        except ConfigurationError as error:
            place = (error.line, error.column, error.excerpt)
            found.append(Finding(error.code, f"queries.{query_id}", error.message, *place))
            continue
        if kind.check is not None:
            found.extend(_below(f"queries.{query_id}", kind.check(value)))
    if kind.check is None:
        return found
    for name in ("", "outputTemplates"):
        group = properties.get(name) if name else properties
        if not isinstance(group, Mapping):
            continue
        path = "properties." + (f"{name}." if name else "")
        routes = group.get("routes")
        if isinstance(routes, Mapping):
            for query_id, value in routes.items():
                found.extend(_below(f"{path}routes.{query_id}", kind.check(value)))
        if group.get("defaultTemplate") is not None:
            found.extend(_below(f"{path}defaultTemplate", kind.check(group["defaultTemplate"])))
    return found


def _below(path: str, findings: Iterable[Finding]) -> list[Finding]:
    return [
        Finding(
            finding.code,
            f"{path}.{finding.path}" if finding.path else path,
            finding.message,
            finding.line,
            finding.column,
            finding.excerpt,
            finding.hint,
        )
        for finding in findings
    ]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is configured for one operation: templates by member, and templates by member and key (headers)."""

    templates: Mapping[str, Template] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Template]] = field(default_factory=dict)
    plain: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntryForm:
    """The members that an entry (``added``, ``updated``, ``deleted``) may have.

    Attributes:
        templates: Member → the place its text is for.
        groups: Members that are mappings of templates.
        plain: Members that are plain text.
        short: The member meant when an entry is text instead of a mapping.
    """

    templates: Mapping[str, Place]
    groups: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    short: str = "template"

    def read(self, value: Any) -> tuple[dict[str, Entry], list[Finding]]:
        """The entries of a parsed configuration, and what is wrong with it."""
        found: list[Finding] = []
        entries: dict[str, Entry] = {}
        if value is None:
            return entries, found
        if not isinstance(value, Mapping):
            return entries, [Finding("InvalidQueryConfig", "", f"must be a mapping of {', '.join(ENTRY.values())}")]
        for name, item in value.items():
            if name not in ENTRY.values():
                found.append(ignored(str(name), ENTRY.values()))
            elif isinstance(item, str):
                entries[name] = self._entry(name, {self.short: item}, found)
            elif isinstance(item, Mapping):
                entries[name] = self._entry(name, item, found)
            elif item is not None:
                found.append(Finding("InvalidQueryConfig", name, f"{name} must be a mapping"))
        return entries, found

    def check(self, value: Any) -> list[Finding]:
        return self.read(value)[1]

    def _entry(self, name: str, members: Mapping[Any, Any], found: list[Finding]) -> Entry:
        templates: dict[str, Template] = {}
        groups: dict[str, dict[str, Template]] = {}
        plain: dict[str, str] = {}
        for member, item in members.items():
            path = f"{name}.{member}"
            if item is None:
                continue
            if member in self.templates:
                template = _template(path, item, self.templates[member], found)
                if template is not None:
                    templates[member] = template
            elif member in self.groups:
                if not isinstance(item, Mapping):
                    found.append(Finding("InvalidQueryConfig", path, f"{path} must be a mapping"))
                    continue
                parsed = {str(key): _template(f"{path}.{key}", text, "text", found) for key, text in item.items()}
                groups[member] = {key: template for key, template in parsed.items() if template is not None}
            elif member in self.plain:
                plain[member] = str(item)
            else:
                found.append(ignored(path, (f"{name}.{known}" for known in (*self.templates, *self.groups, *self.plain))))
        return Entry(templates, groups, plain)


def _template(path: str, text: Any, place: Place, found: list[Finding]) -> Template | None:
    if isinstance(text, bool):
        text = str(text).lower()
    elif isinstance(text, int | float):
        text = str(text)
    if not isinstance(text, str):
        found.append(
            Finding("InvalidQueryConfig", path, f"{path} must be text", hint="write the template as a text in quotes or with |")
        )
        return None
    try:
        return parse(text, place)
    except TemplateError as error:
        found.append(Finding(error.code, path, error.message, error.line, error.column, error.excerpt, error.hint))
        return None


def ignored(path: str, known: Iterable[str]) -> Finding:
    """The warning for a member that nobody reads."""
    close = difflib.get_close_matches(path, list(known), 1)
    hint = f"did you mean '{close[0].rpartition('.')[2]}'?" if close else ""
    return Finding("IgnoredField", path, f"{path} is not known here and is ignored", hint=hint)


def nothing_configured(value: Any) -> list[Finding]:
    """The checker of kinds without per-query configuration."""
    if isinstance(value, Mapping):
        return [ignored(str(name), ()) for name in value]
    return [] if value is None else [Finding("IgnoredField", "", "this kind has no configuration per query; it is ignored")]
