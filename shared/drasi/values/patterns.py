"""``=~``: a whole string against a regular expression, Java style, in linear time (RE2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from drasi.values.errors import EvaluationError


def matches(text: Any, pattern: Any) -> bool | None:
    """``text =~ pattern``: null if either is null or no string.

    Raises:
        EvaluationError: The pattern is no regular expression.
    """
    if type(text) is not str or type(pattern) is not str:
        return None
    return compile_pattern(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1000)
def compile_pattern(pattern: str) -> Any:
    """The compiled expression: ``.fullmatch(text)`` gives a match or None. Kept for the next call.

    Raises:
        EvaluationError: RE2 does not read the pattern; look-around and back references are among what it refuses.
    """
    # Imported here: the library costs at start, and few queries need it.
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        if isinstance(reason, bytes):
            reason = reason.decode(errors="replace")
        raise EvaluationError(
            "TypeError",
            "InvalidArgumentValue",
            f"{pattern!r} is no regular expression: {reason}",
            hint="patterns are read by RE2: no look-ahead, look-behind or back references",
        ) from None
