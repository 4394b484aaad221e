"""ConfigValues: inline values, and references to secrets and environment variables (resources.md section 2.1)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drasi import redaction
from drasi.resources.findings import Findings
from drasi.resources.problems import Path, did_you_mean, dotted
from drasi.resources.secrets import Secrets

WITH_SECRETS = ("properties", "services", "identity")
"""Members of a ``spec`` in which references to secrets may stand."""
_TYPED = ("Inline", "List", "Boolean", "Integer")
_KINDS = ("Inline", "Secret", "List", "Boolean", "Integer", "Env")
_MEMBERS = {"Secret": ("kind", "name", "key"), "Env": ("kind", "name")} | dict.fromkeys(_TYPED, ("kind", "value"))


@dataclass(frozen=True, slots=True)
class SecretReference:
    name: str
    key: str

    def __str__(self) -> str:
        return f"secret '{self.name}', key '{self.key}'"


def is_reference(value: object) -> bool:
    """Whether the value stands somewhere else: a secret, an environment variable."""
    return isinstance(value, dict) and value.get("kind") in ("Secret", "Env")


def check_config_value(value: Any, path: Path, findings: Findings) -> None:
    """Any scalar, a list of ConfigValues, an object with ``kind``; objects without are data of the kind's own schema."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            check_config_value(item, (*path, index), findings)
        return
    if not isinstance(value, dict):
        return
    if not _is_config_value(value):
        for name, item in value.items():
            check_config_value(item, (*path, name), findings)
        return
    kind = str(value["kind"])
    allowed = _MEMBERS[kind]
    for name in value:
        if name not in allowed:
            here = (*path, name)
            findings.error(here, "UnknownField", f"{dotted(here)}: unknown field", hint=did_you_mean(name, allowed), key=True)
    for name in allowed[1:]:
        item = value.get(name)
        if item is None and name not in value:
            findings.missing((*path, name))
        elif name != "value" and not isinstance(item, str):
            findings.wrong_type((*path, name), "a string", item)
        elif name == "value":
            _check_typed(kind, item, (*path, name), findings)


def _check_typed(kind: str, value: Any, path: Path, findings: Findings) -> None:
    if kind == "List":
        if not isinstance(value, list):
            findings.wrong_type(path, "a list", value)
        else:
            check_config_value(value, path, findings)
    elif kind == "Boolean" and not isinstance(value, bool):
        findings.wrong_type(path, "a boolean", value)
    elif kind == "Integer" and (isinstance(value, bool) or not isinstance(value, int)):
        findings.wrong_type(path, "an integer", value)


def _is_config_value(value: dict[str, Any]) -> bool:
    """An object of a kind's own (``{kind: Pod, …}``) is no ConfigValue: those have exactly the members of theirs."""
    kind = value.get("kind")
    if kind not in _KINDS:
        return False
    return any(name in value for name in _MEMBERS[kind][1:]) or len(value) == 1


def secrets_of(spec: Mapping[str, Any]) -> Iterator[SecretReference]:
    """Every secret that a source's or reaction's settings refer to."""
    for member in WITH_SECRETS:
        yield from secret_references(spec.get(member))


def secret_references(value: Any) -> Iterator[SecretReference]:
    """Every secret that a value refers to, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from secret_references(item)
    elif isinstance(value, dict):
        if value.get("kind") == "Secret" and isinstance(value.get("name"), str) and isinstance(value.get("key"), str):
            yield SecretReference(value["name"], value["key"])
        else:
            for item in value.values():
                yield from secret_references(item)


def inline(value: Any) -> Any:
    """The value with typed inline forms replaced by what they hold; references stay."""
    if isinstance(value, list):
        return [inline(item) for item in value]
    if isinstance(value, dict):
        if value.get("kind") in _TYPED and "value" in value and len(value) == 2:
            return inline(value["value"])
        if is_reference(value):
            return value
        return {name: inline(item) for name, item in value.items()}
    return value


def resolve(value: Any, secrets: Secrets, missing: list[str]) -> Any:
    """The value with every reference replaced; what is not there becomes None and is named in ``missing``."""
    if isinstance(value, list):
        return [resolve(item, secrets, missing) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if kind == "Secret" and is_reference(value):
        reference = SecretReference(str(value.get("name")), str(value.get("key")))
        found = secrets.get(reference.name, reference.key)
        if found is None:
            missing.append(str(reference))
        else:
            redaction.learn(found)
        return found
    if kind == "Env" and isinstance(value.get("name"), str):
        found = os.environ.get(value["name"])
        if found is None:
            missing.append(f"environment variable '{value['name']}'")
        return found
    if kind in _TYPED and "value" in value and len(value) == 2:
        return resolve(value["value"], secrets, missing)
    return {name: resolve(item, secrets, missing) for name, item in value.items()}
