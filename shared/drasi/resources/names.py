"""Names of resources."""

from __future__ import annotations

import re
from typing import Any, Final

from drasi.resources.findings import Findings
from drasi.resources.problems import Path
from drasi.resources.resource import CONTINUOUS_QUERY, REACTION_PROVIDER, SOURCE_PROVIDER

LONGEST: Final = 50
_NAME: Final = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_PROVIDER: Final = "^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$"

RESERVED_FOR_PATHS: Final = frozenset(
    {
        "v1",
        "queries",
        "sources",
        "reactions",
        "healthz",
        "readyz",
        "metrics",
        "api-doc",
        "swagger-ui",
        "panel",
        "console",
        "sign-in",
    }
    | {"changes", "control", "results", "status", "dead-letters", "deprovision"}
)
"""First words of paths: Drasi reads a query's result at ``/{id}``, so no query may have one of them as its name."""


def check_name(kind: str, name: Any, path: Path, findings: Findings) -> None:
    """Pattern, length, and for queries the words that are paths."""
    if not isinstance(name, str):
        findings.wrong_type(path, "a string", name)
        return
    pattern = _PROVIDER if kind in (SOURCE_PROVIDER, REACTION_PROVIDER) else _NAME
    if len(name) > LONGEST or not re.fullmatch(pattern, name):
        hint = None
        lower = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:LONGEST].strip("-")
        if lower and lower != name and pattern == _NAME:
            hint = f"for example '{lower}'"
        findings.error(path, "InvalidName", f"name '{name}' must match {pattern} and be at most {LONGEST} characters", hint=hint)
    elif kind == CONTINUOUS_QUERY and name in RESERVED_FOR_PATHS:
        findings.error(path, "InvalidValue", f"name '{name}' is a path of the API; a query needs another name")
