"""The error of one row: it takes its row (or its group) out of the answer and nothing else."""

from __future__ import annotations

from drasi.errors import DrasiError


class EvaluationError(DrasiError):
    """An expression that raises while a row is computed.

    Attributes:
        type: The TCK's word for the kind of error: ``TypeError``, ``ArgumentError``, ``ArithmeticError``.
        detail: The TCK's detail (``InvalidArgumentValue``, ``DivisionByZero`` …).
    """

    code = "EvaluationError"

    def __init__(self, type: str, detail: str, message: str, *, hint: str = "") -> None:  # noqa: A002 -- the TCK's word
        super().__init__(message, hint=hint)
        self.type = type
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.type}: {self.detail}: {self.message}"


def type_name(value: object) -> str:
    """The name of a value's type as people write Cypher: ``a string``, ``an integer``, ``null`` …"""
    return _NAMES.get(type(value).__name__, f"a {type(value).__name__.lower()}")


def describe(value: object) -> str:
    """A value's type and, while short, its text: for messages."""
    name = type_name(value)
    if isinstance(value, bool):
        return f"{name} ({'true' if value else 'false'})"
    if isinstance(value, (int, float)):
        return f"{name} ({value})"
    if isinstance(value, str):
        return f"{name} ({value!r})" if len(value) <= 40 else f"{name} of {len(value)} characters"
    return name


def invalid_value(what: str, expected: str, value: object) -> EvaluationError:
    """``TypeError: InvalidArgumentValue``: a value of a type that the function does not take."""
    return EvaluationError("TypeError", "InvalidArgumentValue", f"{what} takes {expected}, not {describe(value)}")


def invalid_type(what: str, expected: str, value: object) -> EvaluationError:
    """``TypeError: InvalidArgumentType``: a value of a type that the operator does not take."""
    return EvaluationError("TypeError", "InvalidArgumentType", f"{what} takes {expected}, not {describe(value)}")


def out_of_range(message: str) -> EvaluationError:
    """``ArgumentError: NumberOutOfRange``."""
    return EvaluationError("ArgumentError", "NumberOutOfRange", message)


def integer_overflow(what: str) -> EvaluationError:
    """``ArithmeticError: IntegerOverflow``."""
    return EvaluationError(
        "ArithmeticError",
        "IntegerOverflow",
        f"{what} leaves the range of 64-bit integers",
        hint="compute with floats: write 1.0 * x, or toFloat(x)",
    )


_NAMES = {
    "NoneType": "null",
    "bool": "a boolean",
    "int": "an integer",
    "float": "a float",
    "str": "a string",
    "list": "a list",
    "dict": "a map",
}
