"""The helpers of templates (connectors.md section 6.1): pure functions of their arguments and the row's context."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, ClassVar

import msgspec

from drasi.errors import DrasiError

_MAX_TEXT = 8 * 1024 * 1024

encode = msgspec.json.Encoder().encode


class RenderError(DrasiError):
    """A template that cannot be rendered over this row."""

    code: ClassVar[str] = "RenderError"


@dataclass(frozen=True, slots=True)
class Helper:
    """A helper and how many arguments it takes (``most`` None: any number)."""

    call: Callable[[Sequence[Any], Mapping[str, Any]], Any]
    least: int
    most: int | None


def as_text(value: Any) -> str:
    """How a value is written: nothing for null, text as it is, JSON for everything else."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return encode(value).decode()


def as_json(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'"{as_text(value)}"'
    return encode(value).decode()


def is_true(value: Any) -> bool:
    """False: false, null, missing, ``""``, 0, ``[]``. A map is true, also an empty one."""
    if isinstance(value, Mapping):
        return True
    return bool(value)


def message_id(idempotency_key: str) -> str:
    """The UUIDv5 of an idempotency key, for targets that want a UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, idempotency_key))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    return bool(a == b)


def _comparable(a: Any, b: Any) -> bool:
    return (_number(a) and _number(b)) or (isinstance(a, str) and isinstance(b, str))


def _list(name: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise RenderError(f"{name} needs a list")
    return value


def _field(item: Any, path: str) -> Any:
    for part in path.split("."):
        item = item.get(part) if isinstance(item, Mapping) else None
    return item


def _values(name: str, arguments: Sequence[Any]) -> list[Any]:
    items = _list(name, arguments[0])
    if len(arguments) > 1:
        items = [_field(item, as_text(arguments[1])) for item in items]
    return [item for item in items if item is not None]


def _numbers(name: str, arguments: Sequence[Any]) -> list[int | float]:
    values = _values(name, arguments)
    if not all(_number(value) for value in values):
        raise RenderError(f"{name} needs numbers")
    return values


def _sum(arguments: Sequence[Any]) -> int | float:
    numbers = _numbers("sum", arguments)
    return math.fsum(numbers) if any(isinstance(number, float) for number in numbers) else sum(numbers)


def _average(arguments: Sequence[Any]) -> float | None:
    numbers = _numbers("avg", arguments)
    return math.fsum(numbers) / len(numbers) if numbers else None


def _extreme(name: str, arguments: Sequence[Any]) -> Any:
    values = _values(name, arguments)
    if not values:
        return None
    if not all(_comparable(value, values[0]) for value in values):
        raise RenderError(f"{name} needs values of one type: numbers, or texts")
    return min(values) if name == "min" else max(values)


def _sort_by(arguments: Sequence[Any]) -> list[Any]:
    field = as_text(arguments[1])

    def key(item: Any) -> tuple[int, Any]:
        value = _field(item, field)
        if _number(value):
            return 0, value
        if isinstance(value, str):
            return 1, value
        if isinstance(value, bool):
            return 2, value
        return (4, 0) if value is None else (3, as_json(value))

    return sorted(_list("sortBy", arguments[0]), key=key)


def _group_by(arguments: Sequence[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for item in _list("groupBy", arguments[0]):
        groups.setdefault(as_text(_field(item, as_text(arguments[1]))), []).append(item)
    return groups


_PATTERN = re.compile(r"^([^#0,.%]*)([#0,]*)(?:\.([0#]*))?(%?)([^#0,.%]*)$")


def _format(arguments: Sequence[Any]) -> str:
    """``0.00``, ``#,##0.0``, ``0%``: digits at least (0) and at most (#), rounded half away from zero."""
    value, pattern = arguments[0], as_text(arguments[1])
    if not _number(value) or not math.isfinite(value):
        return as_text(value)
    parts = _PATTERN.match(pattern)
    if parts is None:
        raise RenderError(f"format cannot read the pattern '{pattern}'")
    prefix, whole, fraction, percent, suffix = parts.groups(default="")
    with localcontext(prec=400):
        number = Decimal(value if isinstance(value, int) else repr(value))
        if percent:
            number *= 100
        number = number.quantize(Decimal(1).scaleb(-len(fraction)), ROUND_HALF_UP)
    digits, _, decimals = f"{abs(number):f}".partition(".")
    digits = digits.lstrip("0").rjust(whole.replace(",", "").count("0"), "0")
    if "," in whole and digits:
        digits = f"{int(digits):,}".rjust(len(digits), "0") if digits.startswith("0") else f"{int(digits):,}"
    required = fraction.count("0")
    while len(decimals) > required and decimals.endswith("0"):
        decimals = decimals[:-1]
    sign = "-" if number < 0 else ""
    return f"{prefix}{sign}{digits}{'.' + decimals if decimals else ''}{percent}{suffix}"


def _replace(arguments: Sequence[Any]) -> str:
    text, old, new = (as_text(argument) for argument in arguments)
    if not old:
        return text
    if len(text) + text.count(old) * len(new) > _MAX_TEXT:
        raise RenderError(f"replace gives more than {_MAX_TEXT} characters")
    return text.replace(old, new)


def _of(function: Callable[[Sequence[Any]], Any], least: int, most: int | None = -1) -> Helper:
    return Helper(lambda arguments, _context: function(arguments), least, least if most == -1 else most)


HELPERS: Mapping[str, Helper] = {
    "json": _of(lambda a: as_json(a[0]), 1),
    "lowercase": _of(lambda a: as_text(a[0]).lower(), 1),
    "uppercase": _of(lambda a: as_text(a[0]).upper(), 1),
    "now": Helper(lambda _arguments, context: context.get("timestamp"), 0, 0),
    "uuid": Helper(lambda _arguments, context: message_id(as_text(context.get("idempotencyKey"))), 0, 0),
    "concat": _of(lambda a: "".join(map(as_text, a)), 1, None),
    "default": _of(lambda a: a[1] if a[0] is None else a[0], 2),
    "param": _of(lambda a: a[0], 1),
    "eq": _of(lambda a: _equal(a[0], a[1]), 2),
    "ne": _of(lambda a: not _equal(a[0], a[1]), 2),
    "gt": _of(lambda a: _comparable(a[0], a[1]) and a[0] > a[1], 2),
    "lt": _of(lambda a: _comparable(a[0], a[1]) and a[0] < a[1], 2),
    "gte": _of(lambda a: _comparable(a[0], a[1]) and a[0] >= a[1], 2),
    "lte": _of(lambda a: _comparable(a[0], a[1]) and a[0] <= a[1], 2),
    "and": _of(lambda a: all(map(is_true, a)), 1, None),
    "or": _of(lambda a: any(map(is_true, a)), 1, None),
    "not": _of(lambda a: not is_true(a[0]), 1),
    "sum": _of(_sum, 1, 2),
    "avg": _of(_average, 1, 2),
    "min": _of(lambda a: _extreme("min", a), 1, 2),
    "max": _of(lambda a: _extreme("max", a), 1, 2),
    "count": _of(lambda a: len(_values("count", a)) if len(a) > 1 else len(_list("count", a[0])), 1, 2),
    "sortBy": _of(_sort_by, 2),
    "groupBy": _of(_group_by, 2),
    "format": _of(_format, 2),
    "replace": _of(_replace, 3),
    "trimPrefix": _of(lambda a: as_text(a[0]).removeprefix(as_text(a[1])), 2),
}
"""By name. ``param`` stands here for its arity; the renderer binds it."""
