"""The notation of the TCK's tables, and the text by which a cell and a value of ours are compared.

Elements have no ids there, so they go by labels, type and properties; 1 and 1.0 are different cells; 0.0 and -0.0 are not.
"""

from __future__ import annotations

import re
from typing import Any

TOKEN = re.compile(
    r"\s*(<-\[|\]->|-\[|\]-|'(?:[^'\\]|\\.)*'|-?\d+\.\d+(?:[eE][+-]?\d+)?|-?\d+(?:[eE][+-]?\d+)?|-?Inf\w*|\w+|`[^`]*`|.)", re.DOTALL
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class Cell:
    """Reads one cell."""

    def __init__(self, text: str, bags: bool = False) -> None:
        self.tokens = TOKEN.findall(text.strip())
        self.bags = bags
        self.place = 0

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.place + ahead] if self.place + ahead < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        assert wanted is None or token == wanted, f"{token!r} instead of {wanted!r} in {self.tokens}"
        self.place += 1
        return token

    def text(self) -> str:
        result = self.value()
        assert self.place == len(self.tokens), self.tokens
        return result

    def python(self) -> Any:
        """The value as Python's, for parameters: null, booleans, numbers, strings, lists, maps."""
        token = self.take()
        if token == "[":
            items = []
            while self.peek() != "]":
                items.append(self.python())
                if self.peek() == ",":
                    self.take()
            self.take("]")
            return items
        if token == "{":
            entries = {}
            while self.peek() != "}":
                name = self.take()
                self.take(":")
                entries[name] = self.python()
                if self.peek() == ",":
                    self.take()
            self.take("}")
            return entries
        return atom(token)

    def value(self) -> str:
        match self.peek():
            case "(":
                return self.node()
            case "<":
                return self.path()
            case "[":
                return self.relation() if self.peek(1) == ":" else self.list_()
            case "{":
                return self.map_()
        return written(atom(self.take()))

    def list_(self) -> str:
        self.take("[")
        items = []
        while self.peek() != "]":
            items.append(self.value())
            if self.peek() == ",":
                self.take()
        self.take("]")
        return of_list(items, self.bags)

    def map_(self) -> str:
        self.take("{")
        entries = {}
        while self.peek() != "}":
            name = self.take().strip("`")
            self.take(":")
            entries[name] = self.value()
            if self.peek() == ",":
                self.take()
        self.take("}")
        return of_map(entries)

    def labels(self) -> list[str]:
        found = []
        while self.peek() == ":":
            self.take()
            found.append(self.take().strip("`"))
        return found

    def content(self) -> tuple[list[str], str]:
        labels = self.labels()
        return labels, self.map_() if self.peek() == "{" else "{}"

    def node(self) -> str:
        self.take("(")
        labels, properties = self.content()
        self.take(")")
        return f"({sorted(labels)} {properties})"

    def relation(self) -> str:
        self.take("[")
        labels, properties = self.content()
        self.take("]")
        return f"[{labels[0]} {properties}]"

    def path(self) -> str:
        self.take("<")
        parts = [self.node()]
        while self.peek() != ">":
            opening = self.take()
            labels, properties = self.content()
            closing = self.take()
            parts += [f"{opening}{labels[0]} {properties}{closing}", self.node()]
        self.take(">")
        return "".join(parts)


def atom(token: str) -> Any:
    if token.startswith("'"):
        return re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), token[1:-1], flags=re.DOTALL)
    constants = {"null": None, "true": True, "false": False, "NaN": float("nan"), "Inf": float("inf"), "-Inf": float("-inf")}
    if token in constants:
        return constants[token]
    return int(token) if re.fullmatch(r"-?\d+", token) else float(token)


def of_list(items: list[str], bags: bool) -> str:
    return f"[{', '.join(sorted(items) if bags else items)}]"


def of_map(entries: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in sorted(entries.items())) + "}"


def written(value: Any, bags: bool = False) -> str:
    """The text of a value of ours, equal to ``Cell(…).text()`` of the cell that describes it."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int():
            return str(value)
        case float():
            return f"float {value + 0.0!r}"
        case str():
            return repr(value)
        case list() | tuple():
            return of_list([written(item, bags) for item in value], bags)
        case dict():
            return of_map({name: written(item, bags) for name, item in value.items()})
    properties = written({k: v for k, v in value.properties.items() if v is not None}, bags)
    if getattr(value, "start", None) is not None:
        return f"[{next(iter(value.labels))} {properties}]"
    return f"({sorted(value.labels)} {properties})"
