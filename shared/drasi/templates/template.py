"""Handlebars for what reactions send (connectors.md section 6.1): parsed when a reaction is applied, rendered per row.

A value is written for its place, so no value can break out of where the author put it: percent-encoded in a URL, escaped inside a
JSON string, plain elsewhere. Templates only read: no code, no attribute access, no partials; nesting, work and output are bounded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from drasi.templates.functions import HELPERS, RenderError, as_text, is_true
from drasi.templates.parser import TemplateError, parse_nodes
from drasi.templates.tree import Call, Each, Expression, If, Literal_, Node, Output, Path, Text, With

__all__ = ["Bind", "Place", "RenderError", "Template", "TemplateError", "parse"]

Place = Literal["url", "text", "body"]
"""Where the rendered text goes. ``body`` is JSON if the template is written as JSON, else plain text."""

Bind = Callable[[Any], str]
"""Takes a value for ``{{param x}}`` and answers the placeholder to write for it."""

MAX_OUTPUT = 8 * 1024 * 1024
MAX_STEPS = 1_000_000


class Template:
    """A parsed template; ``parse`` makes it. Rendering the same context twice gives the same text."""

    __slots__ = ("_nodes", "json", "place", "text")

    def __init__(self, text: str, place: Place, nodes: tuple[Node, ...], json_text: bool) -> None:
        self.text = text
        self.place = place
        self.json = json_text
        self._nodes = nodes

    def render(self, context: Mapping[str, Any], *, bind: Bind | None = None) -> str:
        """Renders over ``context`` (wire.md section 8).

        Raises:
            RenderError: A helper was given what it cannot take, or the template does too much.
        """
        rendering = _Rendering(self, context, bind)
        rendering.write(self._nodes, _Scope(context, None, {}))
        return "".join(rendering.out)

    def value(self, context: Mapping[str, Any]) -> Any:
        """The value itself, with its type, when the template is one ``{{path}}`` and nothing else; else the rendered text.

        Raises:
            RenderError: As ``render``.
        """
        match self._nodes:
            case (Output(expression=Path() as path),):
                return _Rendering(self, context, None).look_up(path, _Scope(context, None, {}))
        return self.render(context)


def parse(text: str, place: Place = "text", *, parameters: bool = False) -> Template:
    """Parses a template.

    Args:
        text: The template.
        place: What it renders.
        parameters: Whether ``{{param x}}`` is allowed.

    Raises:
        TemplateError: With line and column.
    """
    nodes, json_text = parse_nodes(text, parameters=parameters)
    return Template(text, place, nodes, json_text and place == "body")


class _Scope:
    __slots__ = ("data", "parent", "value")

    def __init__(self, value: Any, parent: _Scope | None, data: Mapping[str, Any]) -> None:
        self.value = value
        self.parent = parent
        self.data = data


class _Rendering:
    __slots__ = ("bind", "context", "in_string", "out", "size", "steps", "template")

    def __init__(self, template: Template, context: Mapping[str, Any], bind: Bind | None) -> None:
        self.template = template
        self.context = context
        self.bind = bind
        self.out: list[str] = []
        self.size = 0
        self.steps = 0
        self.in_string = False

    def write(self, nodes: Sequence[Node], scope: _Scope) -> None:
        for node in nodes:
            self.step()
            match node:
                case Text():
                    self.put(node.text)
                    self.in_string = node.ends_inside if self.in_string else node.ends_outside
                case Output():
                    self.put(self.placed(self.value(node.expression, scope), node))
                case If():
                    met = is_true(self.value(node.condition, scope)) is not node.negated
                    self.write(node.then if met else node.otherwise, scope)
                case Each():
                    self.each(node, scope)
                case With():
                    value = self.value(node.subject, scope)
                    if is_true(value):
                        self.write(node.body, _Scope(value, scope, scope.data))
                    else:
                        self.write(node.otherwise, scope)

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise RenderError(f"the template takes more than {MAX_STEPS} steps")

    def each(self, node: Each, scope: _Scope) -> None:
        value = self.value(node.subject, scope)
        items: list[tuple[Any, Any]] = []
        if isinstance(value, Mapping):
            items = list(value.items())
        elif isinstance(value, list):
            items = list(enumerate(value))
        if not items:
            self.write(node.otherwise, scope)
            return
        last = len(items) - 1
        for index, (key, item) in enumerate(items):
            self.step()
            data = {"index": index, "key": key, "first": index == 0, "last": index == last, "..": scope.data}
            self.write(node.body, _Scope(item, scope, data))

    def put(self, text: str) -> None:
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise RenderError(f"the template renders more than {MAX_OUTPUT} characters")
        self.out.append(text)

    def placed(self, value: Any, node: Output) -> str:
        if node.raw or node.bound:
            return as_text(value)
        if self.template.place == "url":
            return quote(as_text(value), safe="/")
        if not self.template.json:
            return as_text(value)
        if self.in_string:
            return json.dumps(as_text(value), ensure_ascii=False)[1:-1]
        return "null" if value is None else as_text(value)

    def value(self, expression: Expression, scope: _Scope) -> Any:
        match expression:
            case Literal_():
                return expression.value
            case Path():
                return self.look_up(expression, scope)
            case Call():
                return self.call(expression, scope)

    def call(self, call: Call, scope: _Scope) -> Any:
        self.step()
        arguments = [self.value(argument, scope) for argument in call.arguments]
        if call.name == "param":
            if self.bind is None:
                raise RenderError("param has no place here")
            return self.bind(arguments[0])
        result = HELPERS[call.name].call(arguments, self.context)
        if isinstance(result, str) and len(result) > MAX_OUTPUT:
            raise RenderError(f"{call.name} gives more than {MAX_OUTPUT} characters")
        return result

    def look_up(self, path: Path, scope: _Scope) -> Any:
        value: Any
        if path.root == "@":
            if path.parts[:1] == ("root",):
                return _descend(self.context, path.parts[1:])
            data: Any = scope.data
            for _ in range(path.up):
                data = data.get("..", {})
            return _descend(data, path.parts)
        here: _Scope | None = scope
        for _ in range(path.up):
            here = here.parent if here is not None else None
        value = here.value if here is not None else None
        return _descend(value, path.parts)


def _descend(value: Any, parts: Sequence[str | int]) -> Any:
    for part in parts:
        if isinstance(value, Mapping):
            value = value.get(str(part))
        elif isinstance(value, list):
            try:
                index = int(part)
            except ValueError:
                return None
            value = value[index] if 0 <= index < len(value) else None
        else:
            return None
    return value


def parse_each(value: Any, wrong: Callable[[str, TemplateError], Exception], path: str = "") -> Any:
    """A value of a manifest with the texts in it, at any depth, as templates; what is no text stays.

    Args:
        wrong: Makes the error to raise of the path within the value and what is wrong there.
    """
    if isinstance(value, str) and value:
        try:
            return parse(value)
        except TemplateError as error:
            raise wrong(path, error) from None
    if isinstance(value, Mapping):
        return {str(name): parse_each(item, wrong, f"{path}.{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [parse_each(item, wrong, f"{path}[{index}]") for index, item in enumerate(value)]
    return value


def fill_each(value: Any, context: Mapping[str, Any]) -> Any:
    """What ``parse_each`` made, with the value of each template.

    Raises:
        RenderError: As ``Template.render``.
    """
    if isinstance(value, Template):
        return value.value(context)
    if isinstance(value, dict):
        return {name: fill_each(item, context) for name, item in value.items()}
    if isinstance(value, list):
        return [fill_each(item, context) for item in value]
    return value
