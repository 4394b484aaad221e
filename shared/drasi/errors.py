"""Errors are data: one base class, with a code, whether trying again can help, and what to do."""

from __future__ import annotations

from typing import ClassVar


class DrasiError(Exception):
    """The base of every error that this library raises on purpose.

    Attributes:
        code: A stable word for programs (``QueryError``, ``MissingField``, ``LogUnavailable`` …).
        retryable: Whether the same call can succeed later without anybody changing anything.
        hint: What to do about it, for a person; may be empty.
    """

    code: ClassVar[str] = "Error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class QueryError(DrasiError):
    """A query text that cannot run.

    Attributes:
        type: The TCK's word for the kind of error (``SyntaxError``, ``TypeError`` …), ``NotYet`` for what is not built yet.
        phase: ``compile time`` or ``runtime``.
        detail: The TCK's detail (``UndefinedVariable`` …).
        line, column: Place in the text, from 1; 0 when the error has none.
        excerpt: The line of the text with a caret below the place; may be empty.
    """

    code = "QueryError"

    def __init__(
        self,
        type: str,  # noqa: A002 -- the TCK's word
        detail: str,
        message: str,
        *,
        phase: str = "compile time",
        line: int = 0,
        column: int = 0,
        excerpt: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.type = type
        self.phase = phase
        self.detail = detail
        self.line = line
        self.column = column
        self.excerpt = excerpt

    def __str__(self) -> str:
        place = f" at line {self.line}, column {self.column}" if self.line else ""
        text = f"{self.type}: {self.detail}: {self.message}{place}"
        if self.excerpt:
            text += "\n" + self.excerpt
        if self.hint:
            text += ("  " if self.excerpt else "\n  ") + self.hint
        return text
