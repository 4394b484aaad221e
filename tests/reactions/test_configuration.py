"""Per-query configuration: what is read, from where, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from drasi.reactions import registry
from drasi.reactions.configuration import Chosen, ConfigurationError, check_reaction, choose, read
from drasi.reactions.registry import find, kinds
from tests.conftest import SHARED


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (None, None),
        ("", None),
        ("  \n", None),
        ("{}", None),
        ({"a": 1}, {"a": 1}),
        ('{"a": [1, 2.5, null, "\\u2603"]}', {"a": [1, 2.5, None, "☃"]}),
        ("{a: b}", {"a": "b"}),
        ("added:\n  body: >\n    {\n      x\n    }\n", {"added": {"body": "{\n  x\n}\n"}}),
        ("text", "text"),
    ],
)
def test_read(raw: Any, value: Any) -> None:
    assert read(raw) == value


@pytest.mark.parametrize(
    ("raw", "line", "column"),
    [("a: [1", 1, 6), ("a: 1\nb: 'x\n", 3, 1), ("a: 1\na: 2\n", 2, 1), ("\tx: 1", 1, 1), ("x: !!python/object:os.system {}", 1, 4)],
)
def test_what_cannot_be_read_has_a_place(raw: str, line: int, column: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(raw)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.code == "InvalidQueryConfig"


def test_choose() -> None:
    own, full, short, default = {"added": "own"}, {"added": "full"}, {"added": "short"}, {"added": "default"}
    routes = {"ns.q": full, "q": short}
    assert choose("ns.q", {"ns.q": own}, {"routes": routes}) == Chosen(own)
    assert choose("ns.q", {"ns.q": None}, {"routes": routes, "defaultTemplate": default}) == Chosen(full, server=True)
    assert choose("other.q", {}, {"routes": routes, "defaultTemplate": default}) == Chosen(short, server=True)
    assert choose("z", {}, {"routes": routes, "defaultTemplate": default}) == Chosen(default, server=True)
    assert choose("z", {}, {"outputTemplates": {"routes": routes, "defaultTemplate": default}}) == Chosen(default, server=True)
    assert choose("z", {}, {}) == Chosen()


def test_check_of_a_whole_spec_names_every_place() -> None:
    kind = find("http")
    assert kind is not None
    findings = check_reaction(
        kind,
        {"routes": {"q": {"added": {"template": "{{#if x}}"}}}, "outputTemplates": {"defaultTemplate": {"added": {"nope": 1}}}},
        {"a": "x: [", "b": "added: {body: '{{x'}", "c": None, "d": "just text"},
    )
    assert [(finding.code, finding.path) for finding in findings] == [
        ("InvalidQueryConfig", "queries.a"),
        ("InvalidTemplate", "queries.b.added.body"),
        ("InvalidQueryConfig", "queries.d"),
        ("InvalidTemplate", "properties.routes.q.added.template"),
        ("IgnoredField", "properties.outputTemplates.defaultTemplate.added.nope"),
    ]
    assert findings[0].line == 1


def test_kinds_by_name_and_alias() -> None:
    assert {"Debug", "Firestore", "Http", "Log", "PubSub", "SSE", "StoredProc"} == {
        name for name, kind in kinds().items() if kind.make is not None
    }
    for word in ("SSE", "sse", " Http ", "http", "log", "Debug", "SignalR", "aws-sqs", "storedproc-mysql", "Firestore", "PubSub"):
        assert find(word) is not None
    assert find("nothing") is None
    names = [name for kind in kinds().values() for name in (kind.name, *kind.aliases)]
    assert len(names) == len(set(names))


def test_kinds_of_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    from drasi.reactions.port import ReactionKind

    class Point:
        def load(self) -> Any:
            return lambda: ReactionKind("Pigeon", ("pigeon",))

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point()] if group == "drasi.reactions" else [])
    kinds.cache_clear()
    try:
        assert find("pigeon") == ReactionKind("Pigeon", ("pigeon",))
    finally:
        kinds.cache_clear()


def _reactions() -> list[Any]:
    found: list[Any] = []
    for path in sorted(Path(SHARED, "tutorials").glob("*/manifests/*.yaml")):
        documents = YAML(typ="safe", pure=True).load_all(path.read_text())
        found += [
            pytest.param(document["spec"], id=f"{path.parent.parent.name}/{path.name}")
            for document in documents
            if document and document.get("kind") == "Reaction" and document["spec"].get("kind")
        ]
    return found


@pytest.mark.parametrize("spec", _reactions())
def test_every_reaction_of_the_tutorials_is_accepted(spec: Any) -> None:
    kind = find(spec["kind"])
    assert kind is not None
    assert check_reaction(kind, spec.get("properties") or {}, spec["queries"]) == []
