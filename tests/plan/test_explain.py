"""Plans as text: query, then the operators it becomes."""

from __future__ import annotations

import pytest

from drasi.errors import QueryError
from drasi.plan import compile_query
from drasi.plan.explain import explain

PLANS = {
    "MATCH (r:Room {open: true})-[:PART_OF]->(f:Floor) WHERE r.temp > 20 AND f.name = $floor RETURN r.name AS name": """\
match  (keeps: nothing; rows are found in the graph, identity = the elements bound)
  0 node     r :Room
  1 node     f :Floor
  2 relation _ :PART_OF  0 --> 1
  where r.open = true
  where r.temp > 20
  where f.name = $floor
select r.name AS name
result name
""",
    "MATCH (a)-[x:T|U]-(b)<-[y]-(c) RETURN count(*) AS n": """\
match  (keeps: nothing; rows are found in the graph, identity = the elements bound)
  0 node     a any node
  1 node     b any node
  2 node     c any node
  3 relation x :T|U  0 --- 1
  4 relation y any relation  1 <-- 2
  3 and 4 are different relations
group by nothing (one group)  (keeps: per group its members' number and an accumulator per aggregate)
  count(*) AS a0
select a0 AS n
result n
""",
    "MATCH (r:Room) WITH r.floor AS floor, avg(r.temp) AS temp WHERE temp > 20 RETURN DISTINCT temp + 1 AS t": """\
match  (keeps: nothing; rows are found in the graph, identity = the elements bound)
  0 node     r :Room
group by r.floor AS floor  (keeps: per group its members' number and an accumulator per aggregate)
  avg(r.temp) AS a0
select floor AS floor, a0 AS temp
  where temp > 20
select (temp + 1) AS t
group by t AS t  (keeps: per group its members' number and an accumulator per aggregate)
select t AS t
result t
""",
}


@pytest.mark.parametrize("text", PLANS)
def test_plan(text: str) -> None:
    assert explain(compile_query(text, parameters={"floor": "Ground"}).plan) == PLANS[text]


def test_relations_of_one_match_differ_only_if_one_could_take_both_places() -> None:
    plan = compile_query("MATCH (a)-[x:T]->(b)-[y:U]->(c)-[z:T]->(d) MATCH (a)-[w:T]->(e) RETURN 1 AS one").plan
    names = [place.name for place in plan.match.places]
    assert [(names[a], names[b]) for a, b in plan.match.distinct] == [("x", "z")]


def test_the_fingerprint_tells_plans_apart_by_what_they_mean() -> None:
    one = compile_query("MATCH (r:Room) RETURN r.temp AS t")
    assert one.fingerprint == compile_query("match  (r:Room)  // the same\nreturn r.temp as t").fingerprint
    assert one.fingerprint != compile_query("MATCH (r:Room) RETURN r.temp AS u").fingerprint
    with_1 = compile_query("RETURN $x AS x", parameters={"x": 1})
    assert with_1.fingerprint != compile_query("RETURN $x AS x", parameters={"x": 1.0}).fingerprint


def test_what_the_text_names_is_what_is_subscribed_to() -> None:
    query = compile_query("MATCH (a:A|B)-[:T|U]->(b:C&D) RETURN a")
    assert query.node_labels == frozenset("ABCD")
    assert query.relation_types == frozenset("TU")
    everything = compile_query("MATCH (a:A)-->(b) RETURN a")
    assert (everything.node_labels, everything.relation_types) == (None, None)


def test_nesting_beyond_reason_is_an_error_of_the_text() -> None:
    with pytest.raises(QueryError, match=r"nested|deep"):
        compile_query(f"RETURN {'(' * 5000}1{')' * 5000} AS one")
