"""QueryContainers: their stores (resources.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drasi.resources.findings import Findings
from drasi.resources.known import Known
from drasi.resources.manifest import STORES
from drasi.resources.problems import did_you_mean, dotted, listed

_OF_DRASI: Final = ("redis", "rocksDb")
_NOT_IN: Final = {"embedded": ("firestore",), "emulator": ("sqlite",), "cluster": ("sqlite",)}


def check_container(name: str, spec: Mapping[str, Any], known: Known, findings: Findings) -> None:
    """Store kinds the profile can serve, and ``defaultStore``."""
    storage = spec.get("storage")
    if not isinstance(storage, dict) or not storage:
        return
    for store, content in storage.items():
        kind = content.get("kind") if isinstance(content, dict) else None
        path = ("spec", "storage", store, "kind")
        if kind in _OF_DRASI:
            durable = durable_kind(known.profile)
            findings.warn(path, "StoreReplaced", f"{dotted(path)} is '{durable}' here: there is no {kind}")
        elif kind in _NOT_IN[known.profile]:
            choices = [word for word in STORES if word not in _NOT_IN[known.profile]]
            findings.error(path, "InvalidValue", f"{dotted(path)} must be one of {listed(choices)} (profile '{known.profile}')")
    default = spec.get("defaultStore")
    if default is None:
        if len(storage) > 1:
            findings.missing(("spec", "defaultStore"))
    elif isinstance(default, str) and default not in storage:
        findings.error(
            ("spec", "defaultStore"),
            "UnknownStore",
            f"spec.defaultStore: no store '{default}' in container '{name}' (has: {listed(tuple(storage))})",
            hint=did_you_mean(default, storage),
        )


def durable_kind(profile: str) -> str:
    """The kind of store that survives a restart in this profile."""
    return "sqlite" if profile == "embedded" else "firestore"


def default_store(spec: Mapping[str, Any]) -> str | None:
    """The store that a container's queries use if they name none."""
    storage = spec.get("storage")
    if not isinstance(storage, dict):
        return None
    default = spec.get("defaultStore")
    return default if isinstance(default, str) else next(iter(storage), None)


def store_of(spec: Mapping[str, Any], profile_name: str | None) -> str | None:
    """The store that ``storageProfile: profile_name`` means in a container; None: there is none of that name."""
    storage = spec.get("storage")
    if not isinstance(storage, dict):
        return None
    if profile_name is None:
        return default_store(spec)
    if profile_name in storage:
        return profile_name
    return "durable" if profile_name in ("redis", "rocks") and "durable" in storage else None
