"""All checks of a set of documents, in the order of resources.md section 9."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from drasi.resources.connectors import check_connector
from drasi.resources.containers import check_container
from drasi.resources.findings import Findings
from drasi.resources.known import Known
from drasi.resources.load import Document
from drasi.resources.manifest import COMMON, SPECS
from drasi.resources.names import check_name
from drasi.resources.problems import Problem, did_you_mean
from drasi.resources.providers import check_provider
from drasi.resources.queries import check_query
from drasi.resources.resource import (
    CONTINUOUS_QUERY,
    KINDS,
    QUERY_CONTAINER,
    REACTION,
    REACTION_PROVIDER,
    SOURCE,
    SOURCE_PROVIDER,
    Resource,
    kind_named,
)
from drasi.resources.shape import Anything, Field, ignored_field, unknown_field

_ENVELOPE: Final[Mapping[str, Field]] = {
    **{name: Field(Anything()) for name in ("apiVersion", "kind", "name", "spec")},
    **COMMON,
}


_CHECKED_AGAINST: Final = (SOURCE_PROVIDER, REACTION_PROVIDER, QUERY_CONTAINER)


@dataclass(slots=True)
class Report:
    """What was found out about one document.

    Attributes:
        kind, name: As far as they could be read; ``kind`` in its canonical spelling.
        resource: The resource it describes, when there are no errors.
    """

    document: Document
    kind: str = ""
    name: str = ""
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    resource: Resource | None = None

    @property
    def path(self) -> str:
        """``Kind/name`` for messages."""
        return f"{self.kind or '?'}/{self.name or '?'}"

    def refuse_not_yet(self) -> None:
        """What is only warned of in ``validate`` is an error where something is to run."""
        refused = [problem for problem in self.warnings if problem.code == "NotYet"]
        self.warnings = [problem for problem in self.warnings if problem.code != "NotYet"]
        self.errors += refused
        if refused:
            self.resource = None


def validate(documents: Iterable[Document], known: Known) -> list[Report]:
    """Checks documents together: each may refer to what is ``known`` and to every other one.

    Returns:
        A report per document, in the same order. Nothing is raised for what a document contains.
    """
    reports = [Report(document) for document in documents]
    reachable = known.copy()
    for report in reports:
        _identify(report, reachable)
    # What others are checked against comes first; if it is wrong itself, they are not blamed for it.
    for first in (True, False):
        for report in reports:
            if report.kind and isinstance(report.document.data, dict) and (report.kind in _CHECKED_AGAINST) is first:
                _check(report, reachable)
                if first and report.errors and report.name:
                    reachable.add(report.kind, report.name, _harmless(report.document.data.get("spec")))
    _check_unique(reports)
    return reports


def _harmless(spec: Any) -> dict[str, Any]:
    """What is left of an invalid provider's or container's spec for the checks of others: the names of its stores."""
    storage = spec.get("storage") if isinstance(spec, dict) else None
    if not isinstance(storage, dict):
        return {}
    return {"storage": {name: store for name, store in storage.items() if isinstance(store, dict)}}


def _identify(report: Report, known: Known) -> None:
    """Reads kind and name, so that other documents can refer to this one."""
    document = report.document
    findings = Findings(document)
    if document.error is not None:
        report.errors.append(document.error)
        return
    data = document.data
    if not isinstance(data, dict):
        findings.error((), "InvalidYaml", f"cannot read document {document.number}: it must be an object")
        report.errors = findings.errors
        return
    written = data.get("kind")
    if written is None:
        findings.missing(("kind",))
    elif not isinstance(written, str):
        findings.wrong_type(("kind",), "a string", written)
    else:
        kind = kind_named(written.strip())
        if kind is None:
            hint = did_you_mean(written, (*KINDS, "Query")) or f"one of {', '.join(KINDS)}"
            findings.error(("kind",), "UnknownKind", f"unknown kind '{written}'", hint=hint)
        else:
            report.kind = kind
    name = data.get("name")
    if isinstance(name, str):
        report.name = name
        spec = data.get("spec")
        if report.kind and isinstance(spec, dict):
            known.add(report.kind, name, spec)
    if not report.kind:
        _check_envelope(data, "", findings)
    report.errors = findings.errors
    report.warnings = findings.warnings


def _check(report: Report, known: Known) -> None:
    data: dict[str, Any] = report.document.data
    kind = report.kind
    findings = Findings(report.document)
    _check_envelope(data, kind, findings)
    spec = data.get("spec")
    if spec is None:
        findings.missing(("spec",))
    else:
        SPECS[kind].check(spec, ("spec",), findings)
    if isinstance(spec, dict):
        if kind in (SOURCE, REACTION):
            check_connector(kind, spec, known, findings)
        elif kind in (SOURCE_PROVIDER, REACTION_PROVIDER):
            check_provider(kind, report.name, spec, known, findings)
        elif kind == QUERY_CONTAINER:
            check_container(report.name, spec, known, findings)
        elif kind == CONTINUOUS_QUERY:
            check_query(spec, known, findings)
    report.errors += findings.errors
    report.warnings += findings.warnings
    if not report.errors and isinstance(spec, dict):
        report.resource = Resource(
            kind=kind,
            name=report.name,
            spec=spec,
            tag=data.get("tag"),
            labels=data.get("labels") or {},
            annotations=data.get("annotations") or {},
        )


def _check_envelope(data: Mapping[str, Any], kind: str, findings: Findings) -> None:
    version = data.get("apiVersion")
    meant: set[str | None] = set()
    stale = isinstance(version, str) and version.endswith("reactive-graph.io/v1")
    for name, value in data.items():
        known = _ENVELOPE.get(name)
        if known is None:
            if name == "metadata" and (stale or (isinstance(value, dict) and "name" in value)):
                hint = "write name: at the top level and apiVersion: v1"
                findings.error(("metadata",), "UnknownField", "metadata: unknown field", hint=hint, key=True)
                meant.add("name")
            else:
                meant.add(unknown_field((name,), _ENVELOPE, findings))
        elif known.ignored:
            ignored_field((name,), known.ignored, findings)
        elif name in COMMON and value is not None:
            known.shape.check(value, (name,), findings)
    if version is None:
        if "apiVersion" not in meant:
            findings.missing(("apiVersion",))
    elif version != "v1":
        findings.error(("apiVersion",), "UnknownApiVersion", f"apiVersion '{version}' is not supported; use 'v1'")
    if data.get("name") is not None:
        check_name(kind, data["name"], ("name",), findings)
    elif "name" not in meant:
        findings.missing(("name",))


def _check_unique(reports: list[Report]) -> None:
    seen: dict[tuple[str, str], Report] = {}
    for report in reports:
        if not report.kind or not report.name:
            continue
        before = seen.setdefault((report.kind, report.name), report)
        if before is not report and (report.document.file, report.document.number) != (
            before.document.file,
            before.document.number,
        ):
            findings = Findings(report.document)
            where = f"document {before.document.number}" + (f" of {before.document.file}" if before.document.file else "")
            findings.error(("name",), "DuplicateName", f"name: '{report.name}' is used twice", hint=f"also in {where}")
            report.errors += findings.errors
            report.resource = None
