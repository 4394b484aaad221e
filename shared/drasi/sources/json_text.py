"""JSON that somebody else wrote: what cannot be read, or cannot be a property, is said in one way."""

from __future__ import annotations

from typing import Any

import msgspec

from drasi.values.json import MAX_NESTING

_decode = msgspec.json.Decoder().decode


class NotJson(ValueError):
    """The text is no JSON that can be read; the message says why."""


def read_json(data: bytes | str) -> Any:
    """The value that the JSON text means.

    Raises:
        NotJson: It is malformed, not UTF-8, or nested beyond what can be read.
    """
    try:
        return _decode(data)
    except msgspec.MsgspecError as error:
        raise NotJson(f"not JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8: {error.reason}") from None
    except RecursionError:
        raise NotJson("too deep: lists and objects stand in each other hundreds of times") from None


def is_too_deep(value: Any, levels: int = MAX_NESTING) -> bool:
    """Whether a decoded value is nested deeper than a property may be (the engine would refuse it)."""
    if type(value) is dict:
        return not levels or any(is_too_deep(item, levels - 1) for item in value.values())
    if type(value) is list:
        return not levels or any(is_too_deep(item, levels - 1) for item in value)
    return False
