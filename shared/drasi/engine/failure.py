"""An error as a value: what stands in a row's place while it cannot be computed."""

from __future__ import annotations

from drasi.values.errors import EvaluationError, type_name


class Failure:
    """A row (or an aggregate's argument) in error."""

    __slots__ = ("error",)

    def __init__(self, error: EvaluationError) -> None:
        # The frames of the traceback would keep rows of long ago alive.
        self.error = error.with_traceback(None)
        error.__context__ = None


def not_a_number(value: object, function: str) -> Failure:
    """The failure of ``sum('text')``."""
    message = f"{function}() takes numbers, not {type_name(value)}"
    return Failure(EvaluationError("TypeError", "InvalidArgumentValue", message))


def not_a_list(value: object, what: str) -> None:
    raise EvaluationError("TypeError", "InvalidArgumentType", f"{what} takes a list, not {type_name(value)}")
