"""The tree of a template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal_:  # noqa: N801 -- typing has the name
    value: Any


@dataclass(frozen=True, slots=True)
class Path:
    """``../after.a[0]``: ``up`` scopes outwards, then the parts. ``root`` is ``@`` for ``@index`` and its like, else empty."""

    root: str
    up: int
    parts: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text. If it is part of JSON: whether a string is open behind it, by whether one was open before it."""

    text: str
    ends_outside: bool = False
    ends_inside: bool = True


@dataclass(frozen=True, slots=True)
class Output:
    expression: Expression
    raw: bool = False
    bound: bool = False


@dataclass(frozen=True, slots=True)
class If:
    condition: Expression
    negated: bool
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Each:
    subject: Expression
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class With:
    subject: Expression
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Expression = Literal_ | Path | Call
Node = Text | Output | If | Each | With
