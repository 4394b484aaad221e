"""``identity`` of sources and reactions (resources.md section 2.3)."""

from __future__ import annotations

from typing import Any, Final

from drasi.resources.config_value import check_config_value, inline, is_reference
from drasi.resources.findings import Findings
from drasi.resources.problems import Path, did_you_mean, dotted, listed

# kind -> (required, optional)
_FIELDS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "MicrosoftEntraWorkloadID": (("clientId",), ()),
    "MicrosoftEntraApplication": (("tenantId", "clientId"), ("secret", "certificate")),
    "ConnectionString": (("connectionString",), ()),
    "AccessKey": (("accessKey",), ()),
    "AwsIamRole": (("roleArn",), ()),
    "AwsIamAccessKey": (("accessKeyId", "secretAccessKey", "region"), ()),
    "GoogleServiceAccount": ((), ("email",)),
}
# Written into annotations of Kubernetes objects, so a reference would end up there as it is.
_INLINE_ONLY: Final = {("AwsIamRole", "roleArn"), ("GoogleServiceAccount", "email")}


def check_identity(value: Any, path: Path, findings: Findings) -> None:
    if not isinstance(value, dict):
        findings.wrong_type(path, "an object", value)
        return
    kind = value.get("kind")
    here = (*path, "kind")
    if kind is None:
        findings.missing(here)
        return
    if not isinstance(kind, str):
        findings.wrong_type(here, "a string", kind)
        return
    if kind not in _FIELDS:
        findings.error(
            here, "InvalidValue", f"{dotted(here)} must be one of {listed(tuple(_FIELDS))}", hint=did_you_mean(kind, _FIELDS)
        )
        return
    required, optional = _FIELDS[kind]
    for name in value:
        if name not in ("kind", *required, *optional):
            at = (*path, name)
            findings.error(
                at, "UnknownField", f"{dotted(at)}: unknown field", hint=did_you_mean(name, (*required, *optional)), key=True
            )
    for name in required:
        if value.get(name) is None:
            findings.missing((*path, name))
    if kind == "MicrosoftEntraApplication" and value.get("secret") is None and value.get("certificate") is None:
        findings.error((*path, "secret"), "MissingField", f"{dotted((*path, 'secret'))} or certificate is required")
    for name in (*required, *optional):
        item = value.get(name)
        if item is None:
            continue
        at = (*path, name)
        check_config_value(item, at, findings)
        if is_reference(item):
            if (kind, name) in _INLINE_ONLY:
                findings.error(at, "InvalidType", f"{dotted(at)} must be a string, not a reference")
        elif not isinstance(inline(item), str):
            findings.wrong_type(at, "a string", inline(item))
