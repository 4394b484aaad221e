"""``schedule`` of a source: a duration, or a cron text."""

from __future__ import annotations

import re
from typing import Any, Final

from drasi.resources.findings import Findings
from drasi.resources.problems import Path, dotted

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_FIELD: Final = re.compile(r"[\d*/,\-A-Za-z?L#]+")


def seconds(text: str) -> float | None:
    """``1s``, ``500ms``, ``1m30s`` as seconds; None for anything else (a cron text)."""
    position, total = 0, 0.0
    for match in _DURATION.finditer(text.strip()):
        if match.start() != position:
            return None
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    return total if position and position == len(text.strip()) else None


def check_schedule(value: Any, path: Path, findings: Findings) -> None:
    if not isinstance(value, str):
        findings.wrong_type(path, "a string", value)
        return
    duration = seconds(value)
    if duration is None:
        fields = value.split()
        if len(fields) not in (5, 6) or not all(_FIELD.fullmatch(field) for field in fields):
            findings.error(
                path, "InvalidValue", f"{dotted(path)} must be a duration such as 1s, 500ms, 5m, or a cron text of 5 fields"
            )
    elif duration <= 0:
        findings.error(path, "InvalidValue", f"{dotted(path)} must be longer than 0")
