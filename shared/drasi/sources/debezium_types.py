"""Values as Debezium writes them become properties (connectors.md section 3.3): the schema part says what a number stands for."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from drasi.sources.instants import ns_to_iso
from drasi.sources.properties import in_range

Convert = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS = 86_400_000_000_000
_ERA_DAYS = 146_097
"""In 400 years, after which the calendar begins anew."""
_INFINITE_DAYS = 106_751_991
"""PostgreSQL's infinite instants come as that many days from 1970."""


def converters(schema: Any, part: str) -> Mapping[str, Convert]:
    """The converter of each column of ``before`` or ``after`` that needs one; none without a schema."""
    for field in _fields(schema):
        if field.get("field") == part:
            found = ((str(column.get("field")), _converter(column)) for column in _fields(field))
            return {name: convert for name, convert in found if convert is not None}
    return {}


def decimal_column(schema: Any, part: str) -> frozenset[str]:
    """Columns of ``before`` or ``after`` whose texts are decimals."""
    for field in _fields(schema):
        if field.get("field") == part:
            names = ("org.apache.kafka.connect.data.Decimal", "io.debezium.data.VariableScaleDecimal")
            return frozenset(str(column.get("field")) for column in _fields(field) if _item(column).get("name") in names)
    return frozenset()


def _fields(schema: Any) -> list[Mapping[str, Any]]:
    fields = schema.get("fields") if isinstance(schema, Mapping) else None
    return [field for field in fields if isinstance(field, Mapping)] if isinstance(fields, list) else []


def _item(column: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an array's schema says of its items; of any other column, its own."""
    items = column.get("items")
    return _item(items) if column.get("type") == "array" and isinstance(items, Mapping) else column


def _converter(column: Mapping[str, Any]) -> Convert | None:
    if column.get("type") == "array":
        items = column.get("items")
        convert = _converter(items) if isinstance(items, Mapping) else None
        return None if convert is None else _each(convert)
    name = column.get("name")
    if name == "org.apache.kafka.connect.data.Decimal":
        parameters = column.get("parameters")
        scale = int(parameters.get("scale", 0)) if isinstance(parameters, Mapping) else 0
        return lambda value: _decimal(value, scale)
    if name == "io.debezium.data.VariableScaleDecimal":
        return lambda value: _decimal(value.get("value"), int(value.get("scale", 0))) if isinstance(value, Mapping) else value
    return _BY_NAME.get(str(name))


def _each(convert: Convert) -> Convert:
    return lambda value: [None if item is None else convert(item) for item in value] if isinstance(value, list) else value


def _decimal(value: Any, scale: int) -> Any:
    """Base64 of a big-endian two's complement, or (``decimal.handling.mode``) a text or a number."""
    if not isinstance(value, str):
        return value
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        return value
    return _with_point(int.from_bytes(raw, signed=True), scale)


def _with_point(unscaled: int, scale: int) -> str:
    """All digits, and no exponent."""
    sign, digits = ("-" if unscaled < 0 else ""), str(abs(unscaled))
    if scale <= 0:
        return f"{sign}{digits}{'0' * -scale if unscaled else ''}"
    digits = digits.rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def instant_text(value: int, unit_ns: int) -> str:
    """So many units since 1970 in ISO 8601; years beyond four digits with their sign, as it wants them; infinite ones by name."""
    days, rest = divmod(value * unit_ns, _DAY_NS)
    date = _day(days)
    return date if date.endswith("Infinity") else f"{date}{ns_to_iso(rest)[10:]}"


def _day(days: int) -> str:
    if abs(days) >= _INFINITE_DAYS:
        return "Infinity" if days > 0 else "-Infinity"
    eras, within = divmod(days, _ERA_DAYS)
    found = _EPOCH + timedelta(days=within)
    year = found.year + 400 * eras
    sign = "-" if year < 0 else "+" if year > 9999 else ""
    return f"{sign}{abs(year):04}-{found.month:02}-{found.day:02}"


def _date(value: Any) -> Any:
    return _day(value) if _is_integer(value) else value


def _timestamp(unit_ns: int) -> Convert:
    """Without a zone: the origin has none."""
    return lambda value: instant_text(value, unit_ns).removesuffix("Z") if _is_integer(value) else value


def _time(unit_ns: int) -> Convert:
    return lambda value: ns_to_iso(value * unit_ns % _DAY_NS)[11:].removesuffix("Z") if _is_integer(value) else value


def _duration(value: Any) -> Any:
    if not _is_integer(value):
        return value
    sign, micros = ("-" if value < 0 else ""), abs(value)
    seconds, fraction = divmod(micros, 1_000_000)
    digits = f".{fraction:06}".rstrip("0").rstrip(".")
    return f"{sign}PT{seconds}{digits}S" if seconds or fraction else "PT0S"


def _json(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return in_range(msgspec.json.decode(value))
        except msgspec.MsgspecError:
            return value
    return value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_BY_NAME: Mapping[str, Convert] = {
    "io.debezium.time.Date": _date,
    "org.apache.kafka.connect.data.Date": _date,
    "io.debezium.time.Time": _time(1_000_000),
    "org.apache.kafka.connect.data.Time": _time(1_000_000),
    "io.debezium.time.MicroTime": _time(1_000),
    "io.debezium.time.NanoTime": _time(1),
    "io.debezium.time.Timestamp": _timestamp(1_000_000),
    "org.apache.kafka.connect.data.Timestamp": _timestamp(1_000_000),
    "io.debezium.time.MicroTimestamp": _timestamp(1_000),
    "io.debezium.time.NanoTimestamp": _timestamp(1),
    "io.debezium.time.MicroDuration": _duration,
    "io.debezium.data.Json": _json,
}
