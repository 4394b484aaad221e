"""The tables of resources.md as data, and the check of a value against them.

A shape says what a value may be. ``check`` reports everything that is wrong at once (unknown members with the nearest name,
missing ones, types, choices, ranges), and ``fill`` gives the value with its defaults, so that two manifests can be compared by
what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from drasi.resources.findings import Findings
from drasi.resources.problems import Path, did_you_mean, dotted, listed, nearest


class Shape(Protocol):
    def check(self, value: Any, path: Path, findings: Findings) -> None: ...

    def fill(self, value: Any) -> Any: ...


@dataclass(frozen=True)
class Anything:
    def check(self, value: Any, path: Path, findings: Findings) -> None:
        pass

    def fill(self, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class Text(Anything):
    """A string; ``folded``: its choices are compared without case."""

    choices: tuple[str, ...] = ()
    pattern: str = ""
    filled: bool = False
    folded: bool = False

    def check(self, value: Any, path: Path, findings: Findings) -> None:
        if not isinstance(value, str):
            findings.wrong_type(path, "a string", value)
        elif self.choices and not self._chosen(value):
            findings.error(
                path,
                "InvalidValue",
                f"{dotted(path)} must be one of {listed(self.choices)}",
                hint=did_you_mean(value, self.choices),
            )
        elif self.pattern and not re.fullmatch(self.pattern, value):
            findings.error(path, "InvalidValue", f"{dotted(path)} must match {self.pattern}")
        elif self.filled and not value.strip():
            findings.error(path, "InvalidValue", f"{dotted(path)} must not be empty")

    def _chosen(self, value: str) -> bool:
        return value in self.choices or (self.folded and value.casefold() in {choice.casefold() for choice in self.choices})

    def fill(self, value: Any) -> Any:
        if self.folded and isinstance(value, str):
            return next((choice for choice in self.choices if choice.casefold() == value.casefold()), value)
        return value


@dataclass(frozen=True)
class Whole(Anything):
    """An integer within bounds."""

    least: int | None = None
    most: int | None = None

    def check(self, value: Any, path: Path, findings: Findings) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            findings.wrong_type(path, "an integer", value)
        elif (self.least is not None and value < self.least) or (self.most is not None and value > self.most):
            if self.most is None:
                findings.error(path, "InvalidValue", f"{dotted(path)} must be at least {self.least}")
            else:
                findings.error(path, "InvalidValue", f"{dotted(path)} must be between {self.least} and {self.most}")


@dataclass(frozen=True)
class Boolean(Anything):
    def check(self, value: Any, path: Path, findings: Findings) -> None:
        if not isinstance(value, bool):
            findings.wrong_type(path, "a boolean", value)


@dataclass(frozen=True)
class Sequence:
    item: Shape
    least: int = 0

    def check(self, value: Any, path: Path, findings: Findings) -> None:
        if not isinstance(value, list):
            findings.wrong_type(path, "a list", value)
            return
        if len(value) < self.least:
            findings.error(
                path, "InvalidValue", f"{dotted(path)} must have at least {self.least} item{'s' if self.least > 1 else ''}"
            )
        for index, item in enumerate(value):
            self.item.check(item, (*path, index), findings)

    def fill(self, value: Any) -> Any:
        return [self.item.fill(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Named:
    """An object whose members' names are the user's."""

    item: Shape
    nullable: bool = False
    least: int = 0

    def check(self, value: Any, path: Path, findings: Findings) -> None:
        if not isinstance(value, dict):
            findings.wrong_type(path, "an object", value)
            return
        if len(value) < self.least:
            findings.error(
                path, "InvalidValue", f"{dotted(path)} must have at least {self.least} member{'s' if self.least > 1 else ''}"
            )
        for name, item in value.items():
            if item is not None or not self.nullable:
                self.item.check(item, (*path, name), findings)

    def fill(self, value: Any) -> Any:
        return {name: self.item.fill(item) for name, item in value.items()} if isinstance(value, dict) else value


@dataclass(frozen=True)
class Field:
    """A member of an object. ``ignored``: accepted, and why it has no effect (warning IgnoredField)."""

    shape: Shape
    required: bool = False
    default: Any = None
    ignored: str = ""


@dataclass(frozen=True)
class Members:
    """An object with the members of a table. ``others``: how members that are not in it are reported; None: as unknown fields."""

    fields: Mapping[str, Field]
    others: Callable[[Path, Any, Findings], None] | None = None
    rules: tuple[Callable[[Mapping[str, Any], Path, Findings], None], ...] = field(default=())

    def check(self, value: Any, path: Path, findings: Findings) -> None:
        if not isinstance(value, dict):
            findings.wrong_type(path, "an object", value)
            return
        meant: set[str | None] = set()
        for name, item in value.items():
            here = (*path, name)
            known = self.fields.get(name)
            if known is None:
                if self.others is not None:
                    self.others(here, item, findings)
                else:
                    meant.add(unknown_field(here, self.fields, findings))
            elif known.ignored:
                ignored_field(here, known.ignored, findings)
            elif item is not None:
                known.shape.check(item, here, findings)
        for name, known in self.fields.items():
            # A misspelt member is one mistake, not two.
            if known.required and value.get(name) is None and name not in meant:
                findings.missing((*path, name))
        for rule in self.rules:
            rule(value, path, findings)

    def fill(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        filled: dict[str, Any] = {}
        for name, known in self.fields.items():
            item = value.get(name)
            if known.ignored:
                continue
            if item is None:
                item = known.default
            if item is not None:
                filled[name] = known.shape.fill(item)
        filled.update({name: item for name, item in value.items() if name not in self.fields})
        return filled


def unknown_field(path: Path, known: Mapping[str, object], findings: Findings) -> str | None:
    """Reports a member that no table has; returns the one that was probably meant."""
    names = [name for name, item in known.items() if not (isinstance(item, Field) and item.ignored)]
    meant = nearest(str(path[-1]), names)
    hint = f"did you mean '{meant}'?" if meant is not None else None
    findings.error(path, "UnknownField", f"{dotted(path)}: unknown field", hint=hint, key=True)
    return meant


def ignored_field(path: Path, why: str, findings: Findings) -> None:
    """Warns of a member that is accepted and has no effect."""
    findings.warn(path, "IgnoredField", f"{dotted(path)} is ignored: {why}", key=True)


@dataclass(frozen=True)
class Checked:
    """A shape whose check is a function, for what no table can say."""

    by: Callable[[Any, Path, Findings], None]
    filled: Callable[[Any], Any] | None = None

    def check(self, value: Any, path: Path, findings: Findings) -> None:
        self.by(value, path, findings)

    def fill(self, value: Any) -> Any:
        return self.filled(value) if self.filled is not None else value
