"""Instants as others write them, in nanoseconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

FORMATS = ("iso8601", "unix_seconds", "unix_millis", "unix_nanos")

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,18}))?)?)?\s*([Zz]|[+-]\d\d(?::?\d\d)?)?",
)
_UNITS = {"unix_seconds": 1_000_000_000, "unix_millis": 1_000_000, "unix_nanos": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_to_ns(text: str) -> int:
    """ISO 8601 to the nanosecond; without an offset it is UTC.

    Raises:
        ValueError: It is none.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"'{text[:40]}' is no ISO 8601 instant")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    zone: timezone = UTC
    if offset is not None and offset not in ("Z", "z"):
        sign = -1 if offset[0] == "-" else 1
        digits = offset[1:].replace(":", "")
        zone = timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0)))
    whole = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=zone) - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * 1_000_000_000 + int((fraction or "")[:9].ljust(9, "0"))


def datetime_to_ns(instant: datetime) -> int:
    """An instant that knows its zone; to the nanosecond if it is one of Google's (``DatetimeWithNanoseconds``)."""
    fraction = int(getattr(instant, "nanosecond", instant.microsecond * 1_000))
    return int(instant.timestamp()) * 1_000_000_000 + fraction


def ns_to_iso(ns: int) -> str:
    """RFC 3339 in UTC, with as many digits as there are."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09}".rstrip("0")
    return f"{text.rjust(19, '0')}.{digits.ljust(-(-len(digits) // 3) * 3, '0')}Z" if digits else f"{text.rjust(19, '0')}Z"


def to_ns(value: Any, written: str | None = None) -> int:
    """An instant as a mapping gives it (connectors.md section 5.2).

    Args:
        value: Text or number.
        written: One of ``FORMATS``; None: ISO text, or a number whose size tells seconds, milliseconds and nanoseconds apart.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("an instant must be a text or a number")
    number = _number(value) if written != "iso8601" else None
    if number is None:
        if written not in (None, "iso8601"):
            raise ValueError(f"'{str(value)[:40]}' is no number")
        return iso_to_ns(str(value))
    if written is None:
        size = abs(number)
        written = "unix_seconds" if size < 10**11 else "unix_millis" if size < 10**14 else "unix_nanos"
    ns = int(number * _UNITS[written])
    if not -(2**63) <= ns < 2**63:
        raise ValueError(f"{str(value)[:40]} is out of range")
    return ns


def _number(value: int | float | str) -> Decimal | None:
    try:
        number = Decimal(value if isinstance(value, int) else str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
