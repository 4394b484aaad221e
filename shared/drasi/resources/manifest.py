"""The tables of resources.md sections 1 and 3 to 8: which members a manifest of each kind may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drasi.resources.config_value import check_config_value
from drasi.resources.findings import Findings
from drasi.resources.identity import check_identity
from drasi.resources.problems import Path, did_you_mean, dotted, listed
from drasi.resources.resource import CONTINUOUS_QUERY, QUERY_CONTAINER, REACTION, REACTION_PROVIDER, SOURCE, SOURCE_PROVIDER
from drasi.resources.schedule import check_schedule
from drasi.resources.shape import Anything, Boolean, Checked, Field, Members, Named, Sequence, Shape, Text, Whole

_DAPR: Final = "there is no Dapr here"
_IMAGE: Final = "our own functions are used, not Drasi's containers"
_OLD_FORM: Final = "an old form; use services.{service}.endpoints"

_CONFIG_VALUE: Final = Checked(check_config_value)
_PROPERTIES: Final = Named(_CONFIG_VALUE, nullable=True)


def _check_after_seconds(least: int) -> Shape:
    return Members({"afterSeconds": Field(Whole(least), required=True)})


def _one_of(words: tuple[str, ...], member: str, shape: Shape) -> Checked:
    """A word, or an object with the single member ``member``."""

    def check(value: Any, path: Path, findings: Findings) -> None:
        if isinstance(value, dict):
            Members({member: Field(shape, required=True)}).check(value, path, findings)
        elif isinstance(value, str):
            if value not in words:
                choices = listed((*words, f"{{{member}: …}}"))
                findings.error(path, "InvalidValue", f"{dotted(path)} must be one of {choices}", hint=did_you_mean(value, words))
        else:
            findings.wrong_type(path, "a string or an object", value)

    return Checked(check)


_ENDPOINT: Final = Members(
    {
        "setting": Field(Text(choices=("internal", "external"), folded=True), required=True),
        "target": Field(Text(filled=True), required=True),
    }
)
_SERVICE: Final = Members(
    {
        "properties": Field(_PROPERTIES),
        "endpoints": Field(Named(_ENDPOINT)),
        "dapr": Field(Anything(), ignored=_DAPR),
        "image": Field(Anything(), ignored=_IMAGE),
    }
)
_CONNECTOR: Final = {
    "kind": Field(Text(filled=True), required=True),
    "properties": Field(_PROPERTIES, default={}),
    "services": Field(Named(_SERVICE, nullable=True), default={}),
    "identity": Field(Checked(check_identity)),
    "endpoint": Field(Anything(), ignored=_OLD_FORM),
    "endpoints": Field(Anything(), ignored=_OLD_FORM),
    "image": Field(Anything(), ignored=_IMAGE),
    "reactionImage": Field(Anything(), ignored=_IMAGE),
}

_SOURCE: Final = Members({**_CONNECTOR, "schedule": Field(Checked(check_schedule))})


def _check_queries(value: Any, path: Path, findings: Findings) -> None:
    if not isinstance(value, dict):
        findings.wrong_type(path, "an object", value)
        return
    if not value:
        findings.error(path, "InvalidValue", f"{dotted(path)} must have at least 1 member")
    for name, item in value.items():
        if item is not None and not isinstance(item, str | dict):
            findings.wrong_type((*path, name), "a string or an object", item)


_REACTION: Final = Members(
    {
        **_CONNECTOR,
        "queries": Field(Checked(_check_queries), required=True),
        "tag": Field(Text()),
        "start": Field(_one_of(("snapshot", "now"), "sequence", Whole(0)), default="snapshot"),
        "onFailure": Field(
            Members(
                {
                    "attempts": Field(Whole(1), default=10),
                    "then": Field(Text(choices=("block", "skip")), default="block"),
                }
            ),
            default={},
        ),
    }
)

_PROVIDER: Final = Members(
    {
        "services": Field(
            Named(
                Members(
                    {
                        "image": Field(Text()),
                        "externalImage": Field(Boolean(), default=False),
                        "dapr": Field(Anything(), ignored=_DAPR),
                        "endpoints": Field(Named(_ENDPOINT)),
                        "config_schema": Field(Anything()),
                        "deprovisionHandler": Field(Boolean(), default=False),
                    }
                ),
                nullable=True,
            ),
            required=True,
        ),
        "config_schema": Field(Anything()),
        "entryPoint": Field(Text(pattern=r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")),
    }
)

_LABEL: Final = Members({"sourceLabel": Field(Text(filled=True), required=True)})
_SUBSCRIPTION: Final = Members(
    {
        "id": Field(Text(filled=True), required=True),
        "nodes": Field(Sequence(_LABEL)),
        "relations": Field(Sequence(_LABEL)),
        "pipeline": Field(Sequence(Text()), default=[]),
    }
)
_JOIN: Final = Members(
    {
        "id": Field(Text(filled=True), required=True),
        "keys": Field(
            Sequence(
                Members({"label": Field(Text(filled=True), required=True), "property": Field(Text(filled=True), required=True)})
            ),
            required=True,
        ),
    }
)
# Further members are the kind's own: middleware.py.
_MIDDLEWARE: Final = Members(
    {"kind": Field(Text(), required=True), "name": Field(Text(filled=True), required=True)},
    others=lambda _path, _value, _findings: None,
)
_QUERY: Final = Members(
    {
        "container": Field(Text(filled=True), default="default"),
        "mode": Field(Text(choices=("query",), folded=True), default="query"),
        "query": Field(Text(filled=True), required=True),
        "queryLanguage": Field(Text(choices=("Cypher", "GQL"), folded=True), default="Cypher"),
        "parameters": Field(_PROPERTIES, default={}),
        "columnNames": Field(Text(choices=("short", "text")), default="short"),
        "sources": Field(
            Members(
                {
                    "subscriptions": Field(Sequence(_SUBSCRIPTION, least=1), required=True),
                    "joins": Field(Sequence(_JOIN), default=[]),
                    "middleware": Field(Sequence(_MIDDLEWARE), default=[]),
                }
            ),
            required=True,
        ),
        "storageProfile": Field(Text(filled=True)),
        "view": Field(
            Members(
                {
                    "enabled": Field(Boolean(), default=True),
                    "retentionPolicy": Field(_one_of(("latest", "all"), "expire", _check_after_seconds(0)), default="latest"),
                }
            ),
            default={},
        ),
        "consistency": Field(Text(choices=("change", "transaction")), default="change"),
        "onRowError": Field(Text(choices=("hold", "fail")), default="hold"),
    }
)


def _check_archive(value: Any, path: Path, findings: Findings) -> None:
    if not isinstance(value, bool) and value != "auto":
        findings.wrong_type(path, "a boolean or 'auto'", value)


_STORE_OF_DRASI: Final = "stores of Drasi; our own durable store is used"
_ARCHIVE: Final = Field(Checked(_check_archive), default="auto")
STORES: Final[Mapping[str, Members]] = {
    "memory": Members({"kind": Field(Text()), "enableArchive": _ARCHIVE}),
    "redis": Members(
        {
            "kind": Field(Text()),
            "connectionString": Field(_CONFIG_VALUE, required=True),
            "cacheSize": Field(Anything(), ignored=_STORE_OF_DRASI),
        }
    ),
    "rocksDb": Members(
        {
            "kind": Field(Text()),
            "enableArchive": _ARCHIVE,
            "storageClass": Field(Anything(), ignored=_STORE_OF_DRASI),
            "directIo": Field(Anything(), ignored=_STORE_OF_DRASI),
        }
    ),
    "sqlite": Members({"kind": Field(Text()), "path": Field(Text(filled=True)), "enableArchive": _ARCHIVE}),
    "firestore": Members(
        {
            "kind": Field(Text()),
            "database": Field(Text(filled=True), default="(default)"),
            "collectionPrefix": Field(Text(filled=True)),
            "enableArchive": _ARCHIVE,
        }
    ),
}


def _check_store(value: Any, path: Path, findings: Findings) -> None:
    if not isinstance(value, dict):
        findings.wrong_type(path, "an object", value)
        return
    kind = value.get("kind")
    here = (*path, "kind")
    if kind is None:
        findings.missing(here)
    elif not isinstance(kind, str):
        findings.wrong_type(here, "a string", kind)
    elif kind not in STORES:
        findings.error(
            here, "InvalidValue", f"{dotted(here)} must be one of {listed(tuple(STORES))}", hint=did_you_mean(kind, STORES)
        )
    else:
        STORES[kind].check(value, path, findings)


def _fill_store(value: Any) -> Any:
    shape = STORES.get(str(value.get("kind"))) if isinstance(value, dict) else None
    return shape.fill(value) if shape is not None else value


_AMOUNTS: Final = Named(Checked(lambda _value, _path, _findings: None))
_CONTAINER: Final = Members(
    {
        "queryHostCount": Field(Whole(1), default=1),
        "storage": Field(Named(Checked(_check_store, _fill_store), least=1), required=True),
        "defaultStore": Field(Text(filled=True)),
        "results": Field(Anything(), ignored="results are kept in the log, not in MongoDB"),
        "archiveRetention": Field(
            Checked(
                lambda value, path, findings: (
                    _check_after_seconds(1) if isinstance(value, dict) else Text(choices=("unlimited",))
                ).check(value, path, findings)
            ),
            default="unlimited",
        ),
        "limits": Field(
            Members(
                {
                    "maxPathsPerChange": Field(Whole(1), default=1_000_000),
                    "logRetention": Field(_check_after_seconds(1), default={"afterSeconds": 604_800}),
                    "clockAhead": Field(_check_after_seconds(0), default={"afterSeconds": 300}),
                }
            ),
            default={},
        ),
        "resources": Field(Members({"requests": Field(_AMOUNTS), "limits": Field(_AMOUNTS)})),
        "queryContainerImage": Field(Anything(), ignored=_IMAGE),
    }
)

SPECS: Final[Mapping[str, Members]] = {
    SOURCE: _SOURCE,
    REACTION: _REACTION,
    SOURCE_PROVIDER: _PROVIDER,
    REACTION_PROVIDER: _PROVIDER,
    CONTINUOUS_QUERY: _QUERY,
    QUERY_CONTAINER: _CONTAINER,
}

COMMON: Final[Mapping[str, Field]] = {
    "tag": Field(Text()),
    "labels": Field(Named(Text())),
    "annotations": Field(Named(Text())),
    "status": Field(Anything(), ignored="it is read-only"),
}


def filled(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with its defaults and without what is ignored: two specs that mean the same are equal."""
    result: dict[str, Any] = SPECS[kind].fill(dict(spec))
    if kind == QUERY_CONTAINER and "defaultStore" not in result and len(result.get("storage") or {}) == 1:
        result["defaultStore"] = next(iter(result["storage"]))
    if kind in (SOURCE, REACTION) and isinstance(result.get("kind"), str):
        result["kind"] = result["kind"].strip()
    return result
