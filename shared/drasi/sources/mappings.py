"""Foreign payloads become changes by mappings that the user writes (connectors.md section 5.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import re2

from drasi.errors import DrasiError
from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.instants import FORMATS, to_ns
from drasi.sources.properties import in_range
from drasi.templates import RenderError, Template, TemplateError, fill_each, parse, parse_each
from drasi.templates.functions import as_text

OPERATIONS: Final[Mapping[str, Literal["i", "u", "d"]]] = {"insert": "i", "update": "u", "delete": "d"}

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "array",
    "items": {"type": "object"},
    "description": "Templates that make elements from what comes in",
}

_MEMBERS = frozenset({"when", "operation", "operationFrom", "operationMap", "elementType", "effectiveFrom", "template"})
_TEMPLATE_MEMBERS = frozenset({"id", "labels", "properties", "from", "to"})
_TESTS = ("equals", "contains", "regex")


class InvalidMapping(DrasiError):
    """A mapping that cannot be worked with; the message says where."""

    code: ClassVar[str] = "InvalidValue"


class MappingError(DrasiError):
    """A payload that a mapping makes no element of. Nothing of the payload's values is in the message."""

    code: ClassVar[str] = "MappingError"


class Mappings:
    """The mappings of one source or route.

    Args:
        value: The list as the manifest has it; snake_case spellings of members are accepted.
        path: Where it stands, for messages.

    Raises:
        InvalidMapping
    """

    def __init__(self, value: Any, path: str = "properties.mappings") -> None:
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise InvalidMapping(f"{path} must be a list of at least one mapping")
        self._mappings = [_read(item, f"{path}[{index}]") for index, item in enumerate(value)]
        self.unmatched = 0
        """Payloads that no mapping was for."""

    def changes(self, source_id: str, context: Mapping[str, Any], arrival_ns: int) -> list[SourceChange]:
        """The changes that a payload means, without positions: one of each mapping that matches.

        Args:
            context: What templates see: ``payload``, ``headers`` (names in lower case), and what the kind of source adds.

        Raises:
            MappingError: Nothing of this payload is to be published.
        """
        matching = [mapping for mapping in self._mappings if mapping.matches(context)]
        if not matching:
            self.unmatched += 1
        return [mapping.change(source_id, context, arrival_ns) for mapping in matching]


@dataclass(frozen=True, slots=True)
class _When:
    """Whether a mapping is for a payload."""

    header: str | None
    field: str | None
    test: str | None
    expected: Any
    pattern: Any

    def holds(self, context: Mapping[str, Any]) -> bool:
        value = context.get("headers", {}).get(self.header) if self.header is not None else _at(context, self.field or "")
        if self.test is None:
            return value is not None
        if value is None:
            return False
        if self.test == "equals":
            return bool(as_text(value) == as_text(self.expected))
        if self.test == "contains":
            if isinstance(value, list):
                return any(as_text(item) == as_text(self.expected) for item in value)
            return as_text(self.expected) in as_text(value)
        return self.pattern.search(as_text(value)) is not None


@dataclass(frozen=True, slots=True)
class _Mapping:
    path: str
    when: _When | None
    operation: str | None
    operation_from: str | None
    operation_map: Mapping[str, str] | None
    relation: bool
    effective_from: Template | None
    effective_format: str | None
    id: Template
    labels: Sequence[Template]
    properties: Any
    start: Template | None
    end: Template | None

    def matches(self, context: Mapping[str, Any]) -> bool:
        return self.when is None or self.when.holds(context)

    def change(self, source_id: str, context: Mapping[str, Any], arrival_ns: int) -> SourceChange:
        try:
            return self._change(source_id, context, arrival_ns)
        except RenderError as error:
            raise MappingError(f"{self.path}: {error.message}") from None

    def _change(self, source_id: str, context: Mapping[str, Any], arrival_ns: int) -> SourceChange:
        op = self._operation(context)
        labels = [as_text(label.value(context)) for label in self.labels]
        if "" in labels:
            raise MappingError(f"{self.path}.template.labels: a label is empty")
        element = Element(self._text(self.id, "id", context), labels)
        origin = Origin(source_id, "rel" if self.relation else "node", self._instant(context, arrival_ns))
        if op == "d":
            return SourceChange(op, Payload(origin, before=element))
        if self.relation and self.start is not None and self.end is not None:
            element.startId = self._text(self.start, "from", context)
            element.endId = self._text(self.end, "to", context)
        properties = fill_each(self.properties, context)
        if not isinstance(properties, dict):
            raise MappingError(f"{self.path}.template.properties: the template gives no object")
        element.properties = in_range(properties)
        return SourceChange(op, Payload(origin, after=element))

    def _operation(self, context: Mapping[str, Any]) -> Literal["i", "u", "d"]:
        word = self.operation
        if self.operation_from is not None:
            value = _at(context, self.operation_from)
            if value is None:
                raise MappingError(f"{self.path}.operationFrom: nothing is at {self.operation_from}")
            word = as_text(value)
            if self.operation_map is not None:
                word = self.operation_map.get(word)
        if word is None or word not in OPERATIONS:
            raise MappingError(f"{self.path}: what is at {self.operation_from} names no operation")
        return OPERATIONS[word]

    def _text(self, template: Template, name: str, context: Mapping[str, Any]) -> str:
        text = as_text(template.value(context))
        if not text:
            raise MappingError(f"{self.path}.template.{name} is empty")
        return text

    def _instant(self, context: Mapping[str, Any], arrival_ns: int) -> int:
        if self.effective_from is None:
            return arrival_ns
        value = self.effective_from.value(context)
        if value is None or value == "":
            return arrival_ns
        try:
            return to_ns(value, self.effective_format)
        except ValueError:
            raise MappingError(f"{self.path}.effectiveFrom gives no instant") from None


def _read(value: Any, path: str) -> _Mapping:
    members = _named(value, _MEMBERS, path)
    template = _named(members.get("template"), _TEMPLATE_MEMBERS, f"{path}.template")
    element_type = members.get("elementType")
    if element_type not in ("node", "relation"):
        raise InvalidMapping(f"{path}.elementType must be node or relation")
    relation = element_type == "relation"
    operation, operation_from = members.get("operation"), members.get("operationFrom")
    if (operation is None) == (operation_from is None):
        raise InvalidMapping(f"{path} needs operation or operationFrom, and not both")
    if operation is not None and operation not in OPERATIONS:
        raise InvalidMapping(f"{path}.operation must be insert, update or delete")
    effective, written = _effective(members.get("effectiveFrom"), f"{path}.effectiveFrom")
    labels = template.get("labels")
    if not isinstance(labels, list) or (relation and not labels):
        raise InvalidMapping(f"{path}.template.labels must be a list{' of at least one: the type' if relation else ''}")
    if operation != "delete" and relation and not (template.get("from") and template.get("to")):
        raise InvalidMapping(f"{path}.template needs from and to: it makes a relation")
    return _Mapping(
        path=path,
        when=_when(members.get("when"), f"{path}.when"),
        operation=operation,
        operation_from=None if operation_from is None else str(operation_from),
        operation_map=_operation_map(members.get("operationMap"), f"{path}.operationMap"),
        relation=relation,
        effective_from=effective,
        effective_format=written,
        id=_template(template.get("id"), f"{path}.template.id"),
        labels=[_template(label, f"{path}.template.labels[{index}]") for index, label in enumerate(labels)],
        properties=_parsed(template.get("properties") or {}, f"{path}.template.properties"),
        start=_template(template["from"], f"{path}.template.from") if template.get("from") and relation else None,
        end=_template(template["to"], f"{path}.template.to") if template.get("to") and relation else None,
    )


def _named(value: Any, known: frozenset[str], path: str) -> dict[str, Any]:
    """The members under their names in camelCase."""
    if not isinstance(value, Mapping):
        raise InvalidMapping(f"{path} must be an object")
    members = {re.sub(r"_([a-z])", lambda found: found[1].upper(), str(name)): item for name, item in value.items()}
    for name in members:
        if name not in known:
            raise InvalidMapping(f"{path}.{name} is not known", hint=f"known are {', '.join(sorted(known))}")
    return members


def _when(value: Any, path: str) -> _When | None:
    if value is None:
        return None
    members = _named(value, frozenset({"header", "field", *_TESTS}), path)
    header, field = members.get("header"), members.get("field")
    if (header is None) == (field is None):
        raise InvalidMapping(f"{path} needs header or field, and not both")
    tests = [name for name in _TESTS if members.get(name) is not None]
    if len(tests) > 1:
        raise InvalidMapping(f"{path} can have one of {', '.join(_TESTS)}")
    test = tests[0] if tests else None
    pattern = None
    if test == "regex":
        try:
            pattern = re2.compile(str(members["regex"]))
        except re2.error as error:
            raise InvalidMapping(f"{path}.regex: {error}") from None
    return _When(
        header=None if header is None else str(header).lower(),
        field=None if field is None else str(field),
        test=test,
        expected=members.get(test) if test else None,
        pattern=pattern,
    )


def _operation_map(value: Any, path: str) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(word in OPERATIONS for word in value.values()):
        raise InvalidMapping(f"{path} must map values to insert, update or delete")
    return {as_text(name): word for name, word in value.items()}


def _effective(value: Any, path: str) -> tuple[Template | None, str | None]:
    if value is None:
        return None, None
    if isinstance(value, Mapping):
        members = _named(value, frozenset({"value", "format"}), path)
        written = members.get("format")
        if written is not None and written not in FORMATS:
            raise InvalidMapping(f"{path}.format must be one of {', '.join(FORMATS)}")
        return _template(members.get("value"), f"{path}.value"), written
    return _template(value, path), None


def _template(value: Any, path: str) -> Template:
    if value is None or value == "" or isinstance(value, dict | list):
        raise InvalidMapping(f"{path} is required: a text")
    try:
        return parse(as_text(value))
    except TemplateError as error:
        raise InvalidMapping(f"{path}: {error.message}", hint=error.hint) from None


def _parsed(value: Any, path: str) -> Any:
    return parse_each(value, lambda at, error: InvalidMapping(f"{path}{at}: {error.message}", hint=error.hint))


def _at(context: Mapping[str, Any], path: str) -> Any:
    """What is at a dotted path: in the payload, or, where that has nothing, in what templates see."""
    parts = path.split(".")
    found = _descend(context.get("payload"), parts)
    return found if found is not None else _descend(context, parts)


def _descend(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
