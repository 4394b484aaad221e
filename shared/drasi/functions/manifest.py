"""The resource that a function is: read from its manifest."""

from __future__ import annotations

from pathlib import Path

from drasi.environment import Environment, NotConfigured
from drasi.resources.known import DEFAULT_CONTAINER, Known, default_container
from drasi.resources.load import load
from drasi.resources.resource import QUERY_CONTAINER, Resource, Settings
from drasi.resources.secrets import LocalSecrets
from drasi.resources.settings import settings_of
from drasi.resources.validate import validate


def container(environment: Environment) -> Resource:
    """The container of a query function: of its manifest, or the default one under the name that the environment says."""
    if "DRASI_MANIFEST" in environment.variables:
        return _read(environment, QUERY_CONTAINER)[0]
    resource = default_container(environment.profile)
    resource.name = environment.variables.get("DRASI_CONTAINER", DEFAULT_CONTAINER)
    return resource


def connector(environment: Environment, kind: str) -> tuple[Resource, Settings]:
    """The source or reaction of the manifest, and what it is started with. The file may have the resource's provider, too.

    Raises:
        NotConfigured: There is no such manifest.
        NotStartable: A secret is missing, or nothing implements its kind.
    """
    resource, known = _read(environment, kind)
    return resource, settings_of(resource, known, LocalSecrets(environment.state))


def _read(environment: Environment, kind: str) -> tuple[Resource, Known]:
    file = environment.variables.get("DRASI_MANIFEST")
    if file is None:
        raise NotConfigured(f"a function needs the manifest of its {kind}", hint="set DRASI_MANIFEST to a file with the resource")
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise NotConfigured(f"cannot read {file}: {error.strerror}", hint="DRASI_MANIFEST names the file") from error
    reports = validate(load(text, file), Known(profile=environment.profile))
    ours = [report for report in reports if report.kind == kind]
    if len(ours) != 1:
        raise NotConfigured(f"{file} has {len(ours)} resources of kind {kind}", hint="give exactly one")
    report = ours[0]
    report.refuse_not_yet()
    if report.resource is None:
        raise NotConfigured(f"{file}: " + "; ".join(problem.text() for problem in report.errors), hint="correct the manifest")
    resources = [each.resource for each in reports if each.resource is not None]
    return report.resource, Known.of(resources, profile=environment.profile)
