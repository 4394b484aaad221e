"""From a stored source or reaction to what it is started with: secrets in, types converted, defaults filled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drasi.errors import DrasiError
from drasi.resources.config_value import resolve
from drasi.resources.connectors import KindFacts, current_properties, kind_facts
from drasi.resources.known import Known
from drasi.resources.problems import dotted
from drasi.resources.resource import REACTION, Resource, Settings
from drasi.resources.schedule import seconds
from drasi.resources.schema import Violation, convert, with_defaults
from drasi.resources.secrets import Secrets


class NotStartable(DrasiError):
    """A source or reaction that waits for something a person must bring: a secret, an implementation.

    Attributes:
        reason: ``MissingSecret``, ``NoImplementation``, ``InvalidSpec``: the name of its line in the status.
    """

    code = "NotStartable"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def settings_of(resource: Resource, known: Known, secrets: Secrets) -> Settings:
    """What the runtime starts this source or reaction with.

    Raises:
        NotStartable: A secret is missing, nothing implements its kind, or a resolved value does not fit.
    """
    spec = resource.spec
    word = str(spec.get("kind", ""))
    facts = kind_facts(resource.kind, word, known)
    if facts is None or not facts.built:
        raise NotStartable("NoImplementation", f"nothing here implements the kind '{word.strip()}'")
    properties = _properties(resource, facts)
    missing: list[str] = []
    properties = resolve(properties, secrets, missing)
    if missing:
        raise NotStartable("MissingSecret", f"missing: {', '.join(dict.fromkeys(missing))}")
    if facts.schema is not None:
        violations: list[Violation] = []
        properties = with_defaults(
            facts.schema, convert(facts.schema, properties, ("spec", "properties"), violations, open_objects=False)
        )
        if violations:
            first = violations[0]
            # A detail of a resolved value could hold the secret; the path and the rule are enough.
            what = "is required" if first.kind == "missing" else "does not fit its schema"
            raise NotStartable("InvalidSpec", f"{dotted(first.path)} {what}")
    schedule = spec.get("schedule")
    schedule = schedule if isinstance(schedule, str) else None
    period = seconds(schedule) if schedule is not None else None
    return Settings(
        kind=facts.name,
        properties=properties,
        queries=dict(spec.get("queries") or {}) if resource.kind == REACTION else {},
        schedule_s=period,
        schedule=schedule if period is None else None,
    )


def with_paths(
    schema: Mapping[str, Any] | None, properties: Mapping[str, Any], directory: Path
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The properties with relative paths (``format: path`` in the kind's schema) made relative to the directory; and the paths."""
    described = (schema or {}).get("properties", {})
    names = [
        name for name, value in properties.items() if isinstance(value, str) and described.get(name, {}).get("format") == "path"
    ]
    paths = {name: str(directory / properties[name]) for name in names}
    return {**properties, **paths}, tuple(paths.values())


def _properties(resource: Resource, facts: KindFacts) -> dict[str, Any]:
    properties = current_properties(facts, resource.spec.get("properties"))
    services = resource.spec.get("services")
    for service in services.values() if isinstance(services, dict) else ():
        if isinstance(service, dict) and isinstance(service.get("properties"), dict):
            properties.update(service["properties"])
    return {name: value for name, value in properties.items() if value is not None}
