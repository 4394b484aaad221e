"""Values as PostgreSQL writes them become properties (connectors.md section 3.3).

The text is the same in the stream and in a snapshot (``connection`` sets how it is written), and so is what is made of it.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from drasi.sources.properties import in_range

Convert = Callable[[str], Any]

_decode_json = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Type:
    """A type that is no built-in scalar: ``element`` of an array, ``base`` of a domain (with its modifier); neither: text.
    ``folded``: texts that differ in case only are equal."""

    element: int = 0
    base: int = 0
    modifier: int = -1
    delimiter: str = ","
    folded: bool = False


def converter(oid: int, modifier: int, types: Mapping[int, Type], *, decimals: str = "float") -> Convert:
    """The function from a column's texts to its property values. A type that is not known is text."""
    if oid in (1700, 790):
        if oid == 790:
            return _money if decimals == "float" else _money_text
        return float_of if decimals == "float" else _decimal_text
    if oid == 1560:
        return _one_bit if modifier in (1, -1) else _bits
    scalar = _SCALARS.get(oid)
    if scalar is not None:
        return scalar
    known = types.get(oid)
    if known is None:
        return str
    if known.base:
        inner = known.modifier if known.modifier != -1 else modifier
        return converter(known.base, inner, types, decimals=decimals)
    if known.element:
        item = converter(known.element, modifier, types, decimals=decimals)
        return lambda text: read_array(text, item, known.delimiter)
    return str


def key_converter(oid: int, types: Mapping[int, Type]) -> Convert:
    """The function from a key column's texts to its part of an id: equal keys of different types are written alike."""
    while (known := types.get(oid)) is not None and known.base:
        oid = known.base
    if known is not None and known.folded:
        return str.lower
    if oid == 1700:
        return _plain_decimal
    if oid == 1042:
        return lambda text: text.rstrip(" ")
    if oid == 16:
        return lambda text: "true" if text == "t" else "false"
    if oid in (17, 1082, 1114, 1184, 1266):
        return _SCALARS[oid]
    return str


def is_known(oid: int) -> bool:
    """Whether no catalogue is needed to convert values of the type."""
    return oid in _SCALARS or oid in _TEXTS or oid in (1700, 790, 1560)


def float_of(text: str) -> float | str:
    value = float(text)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def read_array(text: str, item: Convert, delimiter: str = ",") -> list[Any]:
    """An array literal as (nested) lists: ``{1,NULL,"a b"}``, ``[0:1]={x,y}``.

    Raises:
        ValueError: It is none.
    """
    at = text.find("=") + 1 if text.startswith("[") else 0
    stack: list[list[Any]] = [[]]
    length = len(text)
    while at < length:
        character = text[at]
        if character == "{":
            stack.append([])
            at += 1
        elif character == "}":
            done = stack.pop()
            stack[-1].append(done)
            at += 1
        elif character == delimiter:
            at += 1
        elif character == '"':
            word, at = _quoted_item(text, at + 1)
            stack[-1].append(item(word))
        else:
            end = at
            while text[end] != delimiter and text[end] != "}":
                end += 1
            word = text[at:end]
            stack[-1].append(None if word == "NULL" else item(word))
            at = end
    if len(stack) != 1 or len(stack[0]) != 1 or not isinstance(stack[0][0], list):
        raise ValueError("not an array as PostgreSQL writes it")
    return stack[0][0]


def _quoted_item(text: str, at: int) -> tuple[str, int]:
    parts: list[str] = []
    while True:
        character = text[at]
        if character == '"':
            return "".join(parts), at + 1
        if character == "\\":
            at += 1
            character = text[at]
        parts.append(character)
        at += 1


def _boolean(text: str) -> bool:
    return text == "t"


def _bytes(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text[2:])).decode()


def _one_bit(text: str) -> bool:
    return text == "1"


def _bits(text: str) -> str:
    """The bits as a number, in as many bytes as they need."""
    return base64.b64encode(int(text or "0", 2).to_bytes((len(text) + 7) // 8)).decode()


def _json(text: str) -> Any:
    try:
        return in_range(_decode_json(text))
    except msgspec.MsgspecError:
        # A number beyond what a float holds, or half a character.
        return _proper(in_range(json.loads(text)))


def _proper(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_proper(name): _proper(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_proper(item) for item in value]
    return value


def _money_text(text: str) -> str:
    """``-$1,234.50`` without sign of currency and grouping."""
    digits = re.sub(r"[^0-9.]", "", text)
    return f"-{digits}" if text.startswith(("-", "(")) else digits


def _money(text: str) -> float:
    return float(_money_text(text))


def _decimal_text(text: str) -> str:
    return text


def _plain_decimal(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date(text: str) -> str:
    """ISO 8601; years before 1 and beyond 9999 with a sign, as it wants them."""
    if text.endswith("infinity"):
        return "-Infinity" if text.startswith("-") else "Infinity"
    before = text.endswith(" BC")
    year, rest = text.removesuffix(" BC").split("-", 1)
    if before:
        counted = int(year) - 1
        return f"-{counted:04d}-{rest}" if counted else f"0000-{rest}"
    return f"+{year}-{rest}" if len(year) > 4 else f"{year}-{rest}"


def _timestamp(text: str) -> str:
    return _date(text).replace(" ", "T", 1)


def _instant(text: str) -> str:
    """The session's time zone is UTC."""
    era = " BC" if text.endswith(" BC") else ""
    written = _timestamp(text.removesuffix(" BC").removesuffix("+00") + era)
    return written if written.endswith("Infinity") else f"{written}Z"


def _time_with_offset(text: str) -> str:
    time, sign, offset = re.split(r"([+-])", text, maxsplit=1)
    if set(offset) <= {"0", ":"}:
        return f"{time}Z"
    return f"{time}{sign}{offset}" if ":" in offset else f"{time}{sign}{offset}:00"


def _duration(text: str) -> str:
    if text.endswith("infinity"):
        return "-Infinity" if text.startswith("-") else "Infinity"
    return text


_SCALARS: dict[int, Convert] = {
    16: _boolean,
    17: _bytes,
    20: int,
    21: int,
    23: int,
    26: int,
    114: _json,
    700: float_of,
    701: float_of,
    1082: _date,
    1083: str,
    1114: _timestamp,
    1184: _instant,
    1186: _duration,
    1266: _time_with_offset,
    1562: _bits,
    3802: _json,
}
"""Built-in types by their fixed numbers (``pg_type.dat``): bool, bytea, int8, int2, int4, oid, json, float4, float8, date, time,
timestamp, timestamptz, interval, timetz, varbit, jsonb."""

_TEXTS = frozenset({18, 19, 25, 142, 650, 829, 869, 774, 1042, 1043, 2950})
"""Types that are text here: char, name, text, xml, cidr, macaddr, inet, macaddr8, bpchar, varchar, uuid."""
