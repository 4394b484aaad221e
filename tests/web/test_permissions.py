from __future__ import annotations

import pytest

from drasi.web import permissions
from drasi.web.permissions import ADMIN, READ, WRITE


def asked(path: str, method: str = "GET", query: bytes = b"") -> dict[str, object]:
    return {"type": "http", "method": method, "path": path, "query_string": query}


def of_one_query(path: str, query: bytes) -> list[str]:
    """A kind that takes any path for a stream of the query that was named."""
    return [query.decode().partition("=")[2] or "berths"]


@pytest.mark.parametrize("query", [b"", b"query=berths"])
def test_who_reads_a_reaction_may_not_end_it(query: bytes) -> None:
    needs = permissions.reaction("board", ["berths", "cranes"], of_one_query)
    assert needs(asked("/deprovision", "POST", query)) == WRITE
    assert needs(asked("/status", query=query)) == needs(asked("/dead-letters", query=query)) == READ
    assert needs(asked("/status", "POST", query)) == ADMIN
    assert needs(asked("/events", query=query)).every == ("query:read:berths",)


def test_who_reads_every_query_does_not_see_the_containers_dead_letters() -> None:
    needs = permissions.query("default")
    assert needs(asked("/status")) == needs(asked("/dead-letters")) == READ
    assert needs(asked("/deprovision", "POST")) == ADMIN


def test_a_reaction_without_queries_is_nobodys() -> None:
    assert permissions.rows([], None) == ADMIN
    assert permissions.rows([], []) == ADMIN
