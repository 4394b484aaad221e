"""SourceProviders and ReactionProviders (resources.md section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drasi.resources.connectors import kind_facts
from drasi.resources.findings import Findings
from drasi.resources.known import Known
from drasi.resources.problems import Path, dotted
from drasi.resources.resource import REACTION, SOURCE, SOURCE_PROVIDER
from drasi.resources.schema import check_schema
from drasi.resources.shape import ignored_field


def check_provider(kind: str, name: str, spec: Mapping[str, Any], known: Known, findings: Findings) -> None:
    """Its schemas, and how it stands to the built-in kind of its name."""
    _check_schema(spec, ("spec",), findings)
    services = spec.get("services")
    declared = {n: service or {} for n, service in services.items()} if isinstance(services, dict) else {}
    declared = {n: service for n, service in declared.items() if isinstance(service, dict)}
    for service, content in declared.items():
        _check_schema(content, ("spec", "services", service), findings)
        _check_targets(content, spec, ("spec", "services", service), findings)
    used_kind = SOURCE if kind == SOURCE_PROVIDER else REACTION
    built_in = kind_facts(used_kind, name, Known(profile=known.profile))
    external = any(content.get("externalImage") for content in declared.values())
    for service, content in declared.items():
        if content.get("image") is not None and not content.get("externalImage"):
            why = "the built-in kind's own function is used" if built_in is not None else "it needs 'externalImage: true'"
            ignored_field(("spec", "services", service, "image"), why, findings)
    if built_in is None:
        if not external and not spec.get("entryPoint"):
            findings.warn(
                ("spec",),
                "NoImplementation",
                f"'{name}' is no built-in kind and has neither 'entryPoint' nor an external image; what is of it stays unavailable",
            )
        return
    schema = spec.get("config_schema")
    if built_in.schema is not None and isinstance(schema, dict):
        required = schema.get("required")
        absent = [field for field in built_in.schema.get("required", ()) if not isinstance(required, list) or field not in required]
        if absent:
            names = ", ".join(f"'{field}'" for field in absent)
            findings.warn(
                ("spec", "config_schema"),
                "IncompleteProvider",
                f"the built-in kind '{name}' also requires {names}; resources still need it",
            )


def _check_schema(holder: Mapping[str, Any], path: Path, findings: Findings) -> None:
    if holder.get("config_schema") is not None:
        for where, detail in check_schema(holder["config_schema"], (*path, "config_schema")):
            findings.error(where, "InvalidProvider", f"{dotted(where)}: {detail}")


def _check_targets(service: Mapping[str, Any], spec: Mapping[str, Any], path: Path, findings: Findings) -> None:
    endpoints = service.get("endpoints")
    if not isinstance(endpoints, dict):
        return
    for name, endpoint in endpoints.items():
        target = endpoint.get("target") if isinstance(endpoint, dict) else None
        if not isinstance(target, str):
            continue
        here = (*path, "endpoints", name, "target")
        if target.startswith("$"):
            keys = {
                key
                for holder in (service, spec)
                if isinstance(holder.get("config_schema"), dict)
                for key in holder["config_schema"].get("properties") or ()
            }
            if target[1:] not in keys:
                findings.error(here, "InvalidProvider", f"{dotted(here)}: no property '{target[1:]}' in config_schema")
        elif not target.isdigit() or not 0 < int(target) < 65536:
            findings.error(here, "InvalidProvider", f"{dotted(here)}: must be a port, or $ and the name of a property")
