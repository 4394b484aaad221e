"""Sources and reactions: their kind, properties, services, and the configuration a reaction has per query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from drasi.reactions.port import ReactionKind
from drasi.resources.config_value import WITH_SECRETS, inline, secret_references
from drasi.resources.findings import Findings
from drasi.resources.known import Known
from drasi.resources.problems import Path, Problem, did_you_mean, dotted
from drasi.resources.resource import REACTION, SOURCE
from drasi.resources.schema import Violation, convert, merged
from drasi.resources.shape import ignored_field
from drasi.sources.port import SourceKind

_SERVICES: Final = {SOURCE: ("reactivator", "proxy"), REACTION: ("reaction",)}

_RUNTIME_OF_DRASI_SERVER: Final = frozenset(
    {
        *("autoStart", "bootstrapProvider", "dispatchMode", "dispatchBufferCapacity", "priorityQueueCapacity"),
        *("durability", "recoveryPolicy"),
    }
)
_RENAMED: Final[Mapping[tuple[str, str], str]] = {("SignalR", "AzureSignalRConnectionString"): "connectionString"}
_WITHOUT_DAPR: Final = {
    "PostDaprPubSub": "without 'daprHttpEndpoint' events go to Pub/Sub topics, not to a Dapr component",
    "SyncDaprStateStore": "without 'daprHttpEndpoint' rows go to Firestore collections, not to a Dapr state store",
}


@dataclass(frozen=True, slots=True)
class KindFacts:
    """A kind of source or reaction as validation sees it: the registry's entry with what a provider changes.

    Attributes:
        name: The kind's own name.
        schema: Of ``properties``; None: unchecked.
        strict: Whether members that the schema does not name are errors.
        service_schemas: Per service of a provider, its own schema (or None).
        services: The names of services there are.
        entry: The registry's own entry, if it is one of its kinds.
        built: Whether something here implements it.
    """

    name: str
    schema: Mapping[str, Any] | None
    services: tuple[str, ...]
    service_schemas: Mapping[str, Mapping[str, Any] | None]
    entry: SourceKind | ReactionKind | None
    built: bool


def kind_names(kind: str, known: Known) -> list[str]:
    """Every name that ``spec.kind`` may have."""
    names = [*_providers(kind, known)]
    for entry in _registry(kind).values():
        names += [entry.name, *entry.aliases]
    return names


def kind_facts(kind: str, word: str, known: Known) -> KindFacts | None:
    """What is known of the kind that ``spec.kind: word`` names, or None."""
    word = word.strip()
    entry = next((entry for entry in _registry(kind).values() if word == entry.name or word in entry.aliases), None)
    provider = _providers(kind, known).get(entry.name if entry is not None else word) or _providers(kind, known).get(word)
    if entry is None and provider is None:
        return None
    schema = entry.schema if entry is not None else None
    services = _SERVICES[kind]
    service_schemas: dict[str, Mapping[str, Any] | None] = {}
    built = entry is not None and entry.make is not None
    if provider is not None:
        added = provider.get("config_schema")
        if isinstance(added, Mapping):
            schema = merged(schema, added) if schema is not None else added
        declared: Mapping[str, Any] = provider.get("services") or {}
        service_schemas = {name: (service or {}).get("config_schema") for name, service in declared.items()}
        services = tuple(dict.fromkeys((*declared, *(services if entry is not None else ()))))
        built = (
            built or bool(provider.get("entryPoint")) or any((service or {}).get("externalImage") for service in declared.values())
        )
    return KindFacts(
        name=entry.name if entry is not None else word,
        schema=schema,
        services=services,
        service_schemas=service_schemas,
        entry=entry,
        built=built,
    )


def check_connector(kind: str, spec: Mapping[str, Any], known: Known, findings: Findings) -> None:
    """Everything of a source's or reaction's spec that its kind decides."""
    word = spec.get("kind")
    if not isinstance(word, str) or not word.strip():
        return
    facts = kind_facts(kind, word, known)
    if facts is None:
        hint = did_you_mean(word.strip(), kind_names(kind, known))
        findings.error(("spec", "kind"), "UnknownProvider", f"Schema not initialized for kind: {word.strip()}", hint=hint)
    else:
        _check_properties(facts, spec, findings)
        _check_services(facts, spec, findings)
        if not facts.built:
            findings.warn(
                ("spec", "kind"),
                "NoImplementation",
                f"nothing here implements the kind '{facts.name}'; the {kind.lower()} stays unavailable and unchecked",
            )
        if facts.name in _WITHOUT_DAPR and not _given(spec.get("properties"), "daprHttpEndpoint"):
            findings.warn(("spec", "kind"), "StoreReplaced", _WITHOUT_DAPR[facts.name])
    if kind == REACTION:
        _check_queries(facts, spec, known, findings)
    _check_secrets(spec, known, findings)


def current_properties(facts: KindFacts, properties: Any) -> dict[str, Any]:
    """The properties under their current names, without those that only steer Drasi's runtime."""
    given = properties if isinstance(properties, dict) else {}
    members = (facts.schema or {}).get("properties", {})
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name not in members and _is_runtime(name):
            continue
        kept.setdefault(_RENAMED.get((facts.name, name)) or name, value)
    return kept


def _registry(kind: str) -> Mapping[str, SourceKind | ReactionKind]:
    if kind == SOURCE:
        from drasi.sources.registry import kinds as source_kinds

        return source_kinds()
    from drasi.reactions.registry import kinds as reaction_kinds

    return reaction_kinds()


def _providers(kind: str, known: Known) -> Mapping[str, Mapping[str, Any]]:
    return known.source_providers if kind == SOURCE else known.reaction_providers


def _given(properties: Any, name: str) -> bool:
    return isinstance(properties, dict) and properties.get(name) is not None


def _is_runtime(name: str) -> bool:
    return name in _RUNTIME_OF_DRASI_SERVER or name.startswith("adaptive")


def _check_properties(facts: KindFacts, spec: Mapping[str, Any], findings: Findings) -> None:
    properties = spec.get("properties")
    if properties is not None and not isinstance(properties, dict):
        return
    given = properties or {}
    path: Path = ("spec", "properties")
    members = (facts.schema or {}).get("properties", {})
    for name in given:
        if (facts.name, name) in _RENAMED:
            new = _RENAMED[facts.name, name]
            findings.warn(
                (*path, name), "IgnoredField", f"{dotted((*path, name))} is the old name of '{new}' and used as that", key=True
            )
        elif name not in members and _is_runtime(name):
            ignored_field((*path, name), "it steers Drasi Server's runtime", findings)
        elif name in getattr(facts.entry, "ignored", ()):
            ignored_field((*path, name), "it means nothing here", findings)
        elif name in getattr(facts.entry, "not_yet", ()):
            here = (*path, name)
            findings.warn(here, "NotYet", f"{dotted(here)}: the property '{name}' of {facts.name} is not built yet", key=True)
    if facts.schema is None:
        return
    elsewhere = {name for service in _service_properties(spec).values() for name in service}
    violations: list[Violation] = []
    convert(facts.schema, inline(current_properties(facts, given)), path, violations, open_objects=False)
    for violation in violations:
        if violation.kind == "missing" and len(violation.path) == 3 and violation.path[-1] in elsewhere:
            continue
        report(violation, findings)


def _service_properties(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    services = spec.get("services")
    if not isinstance(services, dict):
        return {}
    found = {name: service.get("properties") for name, service in services.items() if isinstance(service, dict)}
    return {name: properties for name, properties in found.items() if isinstance(properties, dict)}


def _check_services(facts: KindFacts, spec: Mapping[str, Any], findings: Findings) -> None:
    services = spec.get("services")
    if not isinstance(services, dict):
        return
    for name in services:
        if name not in facts.services:
            findings.error(
                ("spec", "services", name),
                "UnknownService",
                f"Service {name} is not defined in the schema",
                hint=did_you_mean(name, facts.services),
                key=True,
            )
    for name, properties in _service_properties(spec).items():
        schema = facts.service_schemas.get(name)
        if facts.schema is not None:
            # Merged over spec.properties: what is required may stand there.
            schema = merged({**facts.schema, "required": []}, schema or {})
        if schema is not None:
            violations: list[Violation] = []
            convert(schema, inline(properties), ("spec", "services", name, "properties"), violations, open_objects=False)
            for violation in violations:
                report(violation, findings)


def report(violation: Violation, findings: Findings) -> None:
    """A schema's violation as the error that resources.md section 9.1 has for it."""
    path = violation.path
    if violation.kind == "unknown":
        findings.error(path, "UnknownField", violation.detail, hint=violation.hint, key=True)
    elif violation.kind == "type":
        findings.error(path, "InvalidType", f"{dotted(path)} {violation.detail}")
    else:
        findings.error(path, "InvalidSpec", f"Invalid spec: {violation.detail}; error path: {dotted(path)}", hint=violation.hint)


def _check_queries(facts: KindFacts | None, spec: Mapping[str, Any], known: Known, findings: Findings) -> None:
    queries = spec.get("queries")
    if not isinstance(queries, dict):
        return
    for query in queries:
        if query not in known.queries:
            findings.warn(
                ("spec", "queries", query),
                "MissingQuery",
                f"query '{query}' does not exist yet; the reaction waits for it",
                hint=did_you_mean(query, known.queries),
                key=True,
            )
    from drasi.reactions.configuration import check_reaction

    kind = facts.entry if facts is not None and isinstance(facts.entry, ReactionKind) else ReactionKind("")
    properties = spec.get("properties")
    texts = {query: item for query, item in queries.items() if item is None or isinstance(item, str | dict)}
    for found in check_reaction(kind, properties if isinstance(properties, dict) else {}, texts):
        path = f"spec.{found.path}"
        message = found.message if found.message.startswith(path) else f"{path}: {found.message}"
        problem = Problem(path=path, code=found.code, message=message, hint=found.hint or None)
        if found.line:
            problem.line, problem.column, problem.excerpt = found.line, found.column, found.excerpt or None
        else:
            place = findings.document.place(("spec", *_steps(found.path)))
            problem.line, problem.column = place or (None, None)
        (findings.warnings if found.code == "IgnoredField" else findings.errors).append(problem)


def _steps(path: str) -> Path:
    """The first members of a dotted path: a query's name has no dots, and below it the text has its own places."""
    return tuple(path.split(".")[:2])


def _check_secrets(spec: Mapping[str, Any], known: Known, findings: Findings) -> None:
    if known.secrets is None:
        return
    for member in WITH_SECRETS:
        for reference in dict.fromkeys(secret_references(spec.get(member))):
            if known.secrets.get(reference.name, reference.key) is None:
                findings.warn(
                    ("spec", member),
                    "MissingSecret",
                    f"{reference} is not there; it stays unavailable until it is",
                    hint=f"drasi secret set {reference.name} {reference.key}",
                )
