"""Whatever stands in a manifest, its checks report and never raise."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from drasi.resources.apply import ordered, same
from drasi.resources.known import Known
from drasi.resources.load import from_data, load
from drasi.resources.validate import validate

RIGHT = [
    document.data
    for document in load(
        """
apiVersion: v1
kind: ContinuousQuery
name: ships
tag: v1
labels: {team: port}
spec:
  container: default
  storageProfile: memory
  queryLanguage: Cypher
  parameters: {least: 3, secret: {kind: Secret, name: a, key: b}}
  sources:
    subscriptions:
      - {id: db, nodes: [{sourceLabel: Ship}], relations: [{sourceLabel: AT}], pipeline: [names, holds, events]}
    joins: [{id: AT, keys: [{label: Ship, property: berth}, {label: Berth, property: id}]}]
    middleware:
      - {kind: relabel, name: names, labelMappings: {vessels: Ship}}
      - {kind: unwind, name: holds, Ship: [{selector: '$.h[*]', label: Hold, relation: HAS}]}
      - {kind: map, name: events, Event: {insert: [{label: Ship, id: $.id, elementType: Node, properties: {a: $.a}}]}}
      - {kind: promote, name: flat, config: {mappings: [{path: $.a, target_name: b}]}}
  view: {enabled: true, retentionPolicy: {expire: {afterSeconds: 5}}}
  query: MATCH (s:Ship) WHERE s.draught > $least RETURN s.name AS name
---
apiVersion: v1
kind: Source
name: db
spec:
  kind: SQLite
  schedule: 1s
  identity: {kind: AccessKey, accessKey: {kind: Env, name: A}}
  properties: {path: a.db, tables: [Ship], tableKeys: [{table: Ship, keyColumns: [id]}]}
  services: {reactivator: {properties: {pollIntervalMs: 100}, endpoints: {e: {setting: internal, target: '8080'}}}}
---
apiVersion: v1
kind: Reaction
name: alarm
spec:
  kind: Http
  start: {sequence: 3}
  onFailure: {attempts: 3, then: skip}
  properties: {baseUrl: 'http://127.0.0.1', token: {kind: Secret, name: a, key: b}}
  queries: {ships: "added: {url: '/{{after.name}}', method: POST}", berths: {added: {url: /}}}
---
apiVersion: v1
kind: QueryContainer
name: port
spec:
  queryHostCount: 2
  storage: {quick: {kind: memory, enableArchive: false}, slow: {kind: sqlite, path: a.db}}
  defaultStore: slow
  limits: {clockAhead: {afterSeconds: 3}}
  archiveRetention: {afterSeconds: 3}
  resources: {limits: {cpu: 2, memory: 4Gi}}
---
apiVersion: v1
kind: SourceProvider
name: SQLite
spec:
  services:
    reactivator:
      config_schema: {type: object, properties: {a: {type: integer}}}
      endpoints: {e: {setting: internal, target: $a}}
  config_schema: {type: object, properties: {b: {type: array, items: {type: string}}}, required: [b]}
"""
    )
]

ODD: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(
        [None, True, 0, -1, 1.5, "", "x", "ships", "db", "{{", "MATCH (", "\x00", {"kind": "Secret"}, {"kind": "Inline"}]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "name", "id", "x"]), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places(member, (*path, name))


@st.composite
def documents(draw: st.DrawFn) -> list[Any]:
    """Right manifests in which some members are other values, are gone, or have other names."""
    changed = copy.deepcopy(RIGHT)
    for _ in range(draw(st.integers(0, 3))):
        document = draw(st.sampled_from(changed))
        found = list(places(document))
        if not found:
            continue
        *above, last = draw(st.sampled_from(found))
        holder = document
        for step in above:
            holder = holder[step]
        action = draw(st.sampled_from(["replace", "remove", "rename"]))
        if action == "replace":
            holder[last] = draw(ODD)
        elif isinstance(holder, dict):
            value = holder.pop(last)
            if action == "rename":
                holder[str(last) + draw(st.sampled_from(["s", "x", "_old"]))] = value
    return changed


@given(documents())
@settings(max_examples=150)
def test_checks_report_and_never_raise(manifests: list[Any]) -> None:
    reports = validate([from_data(data, number) for number, data in enumerate(manifests, 1)], Known.of([]))
    for report in reports:
        assert (report.resource is None) is bool(report.errors)
        assert all(problem.message and problem.code for problem in (*report.errors, *report.warnings))
    resources = [report.resource for report in reports if report.resource is not None]
    assert len(ordered(resources)) == len(resources)
    assert all(same(resource, copy.deepcopy(resource)) for resource in resources)


def test_the_manifests_that_are_changed_are_right() -> None:
    reports = validate([from_data(data, number) for number, data in enumerate(RIGHT, 1)], Known.of([]))
    found = [problem for report in reports for problem in report.errors]
    # The provider asks for a property that its source does not have.
    assert [problem.path for problem in found] == ["spec.properties.b"]


@given(ODD)
def test_any_value_is_some_document(value: Any) -> None:
    (report,) = validate([from_data(value)], Known.of([]))
    assert report.errors


@given(st.text(alphabet="ab:{}[]-&*!|> \n\t\"'#,?%\x00", max_size=40))
def test_any_text_is_read_or_said_to_be_unreadable(text: str) -> None:
    for document in load(text):
        assert (document.error is None) or document.data is None
