from __future__ import annotations

from typing import Any

import pytest

from drasi.resources.apply import LoopOfQueries, only_shown, ordered, replaces, same
from drasi.resources.known import default_container
from drasi.resources.manifest import filled
from drasi.resources.resource import (
    CONTINUOUS_QUERY,
    QUERY_CONTAINER,
    REACTION,
    REACTION_PROVIDER,
    SOURCE,
    SOURCE_PROVIDER,
    Resource,
)


def resource(kind: str, name: str, /, **spec: Any) -> Resource:
    return Resource(kind=kind, name=name, spec=spec)


def query(name: str, *sources: str) -> Resource:
    return resource(
        CONTINUOUS_QUERY, name, query="RETURN 1 AS x", sources={"subscriptions": [{"id": source} for source in sources]}
    )


def names(resources: list[Resource]) -> list[str]:
    return [one.name for one in resources]


def test_kinds_in_their_order_and_equal_ones_in_that_of_the_file() -> None:
    given = [
        resource(REACTION, "r", kind="Log", queries={"q2": None}),
        query("q2", "s"),
        query("q1", "s"),
        resource(SOURCE, "s", kind="Mine"),
        resource(QUERY_CONTAINER, "c", storage={}),
        resource(REACTION_PROVIDER, "rp"),
        resource(SOURCE_PROVIDER, "Mine"),
    ]
    assert names(ordered(given)) == ["Mine", "rp", "c", "s", "q2", "q1", "r"]


def test_a_chained_query_comes_after_its_query() -> None:
    chain = resource(SOURCE, "of-first", kind="Query", properties={"query": "first"})
    given = [query("second", "of-first"), chain, query("first", "db"), resource(SOURCE, "db", kind="Mock")]
    assert names(ordered(given)) == ["db", "first", "of-first", "second"]


def test_queries_that_feed_each_other_have_no_order() -> None:
    given = [query("q", "of-q"), resource(SOURCE, "of-q", kind="Query", properties={"query": "q"})]
    with pytest.raises(LoopOfQueries) as caught:
        ordered(given)
    assert caught.value.names == ("q",)


def test_a_spec_equal_after_defaults_changes_nothing() -> None:
    stored = query("q", "s")
    wanted = query("q", "s")
    wanted.spec |= {"mode": "Query", "columnNames": "short", "view": {"enabled": True}, "container": "default"}
    wanted.spec["sources"] = {"subscriptions": [{"id": "s", "pipeline": []}], "joins": []}
    assert same(stored, wanted)
    wanted.spec["columnNames"] = "text"
    assert not same(stored, wanted)


def test_labels_alone_run_nothing_anew() -> None:
    stored, wanted = query("q", "s"), query("q", "s")
    wanted.labels = {"team": "port"}
    assert not same(stored, wanted)
    assert only_shown(stored, wanted)


def test_another_kind_is_a_replacement() -> None:
    assert replaces(resource(SOURCE, "s", kind="Mock"), resource(SOURCE, "s", kind="Http"))
    assert not replaces(resource(SOURCE, "s", kind="Mock "), resource(SOURCE, "s", kind="Mock"))
    assert not replaces(query("q", "s"), query("q", "t"))


def test_a_single_store_is_the_default() -> None:
    assert filled(QUERY_CONTAINER, {"storage": {"a": {"kind": "memory"}}})["defaultStore"] == "a"
    assert filled(QUERY_CONTAINER, default_container().spec)["storage"]["durable"] == {"kind": "sqlite", "enableArchive": "auto"}
