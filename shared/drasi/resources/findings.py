"""What the checks of one document find, with its places looked up."""

from __future__ import annotations

import re

from drasi.resources.load import Document
from drasi.resources.problems import Path, Problem, caret, dotted


class Findings:
    """Errors and warnings of one document, in the order in which they are found."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, path: Path, code: str, message: str, *, hint: str | None = None, key: bool = False) -> None:
        """``key``: the place is that of the member's name, not of its value."""
        self.errors.append(self._problem(path, code, message, hint, key))

    def warn(self, path: Path, code: str, message: str, *, hint: str | None = None, key: bool = False) -> None:
        self.warnings.append(self._problem(path, code, message, hint, key))

    def missing(self, path: Path) -> None:
        self.error(path, "MissingField", f"{dotted(path)} is required")

    def wrong_type(self, path: Path, expected: str, value: object) -> None:
        self.error(path, "InvalidType", f"{dotted(path)} must be {expected}, not {type_name(value)}")

    def error_inside(
        self, path: Path, code: str, message: str, text: str, line: int, column: int, *, hint: str | None = None
    ) -> None:
        """An error in a text that stands in the manifest: line and column are those inside ``text``."""
        self.errors.append(_inside(path, code, message, text, line, column, hint))

    def warn_inside(
        self, path: Path, code: str, message: str, text: str, line: int, column: int, *, hint: str | None = None
    ) -> None:
        self.warnings.append(_inside(path, code, message, text, line, column, hint))

    def _problem(self, path: Path, code: str, message: str, hint: str | None, key: bool) -> Problem:
        problem = Problem(path=dotted(path), code=code, message=message, hint=hint)
        place = self.document.place(path, key=key)
        if place is not None:
            problem.line, problem.column = place
        return problem


def _inside(path: Path, code: str, message: str, text: str, line: int, column: int, hint: str | None) -> Problem:
    problem = Problem(path=dotted(path), code=code, message=message, hint=hint or None)
    if line:
        problem.line, problem.column = line, column
        problem.excerpt = caret(text, line, column, _width(text, line, column)) or None
    return problem


def _width(text: str, line: int, column: int) -> int:
    """How many carets the word at a place is wide."""
    lines = text.splitlines()
    word = re.match(r"\w+", lines[line - 1][column - 1 :]) if line <= len(lines) else None
    return len(word[0]) if word is not None else 1


def type_name(value: object) -> str:
    """What a person calls the type of a manifest's value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list):
        return "a list"
    return "an object"
