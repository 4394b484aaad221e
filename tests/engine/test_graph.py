"""The graph store: elements, ghosts, adjacency."""

from __future__ import annotations

from drasi.engine.graph import Graph, NodeRecord, RelationRecord


def node(graph: Graph, id_: str, *labels: str, **properties: object) -> NodeRecord:
    record = graph.ghost("db", id_)
    graph.set_node(record, labels, properties, 0)
    return record


def relation(graph: Graph, id_: str, start: str, end: str, type_: str = "T") -> RelationRecord:
    record = graph.relation("db", id_) or RelationRecord("db", id_)
    graph.set_relation(record, (type_,), {}, 0, graph.ghost("db", start), graph.ghost("db", end))
    return record


def test_a_relation_may_come_before_its_nodes() -> None:
    graph = Graph()
    edge = relation(graph, "e", "a", "b")
    ghost = graph.node("db", "a")
    assert ghost is not None
    assert ghost.properties is None
    assert list(graph.all_nodes()) == []
    assert node(graph, "a", "A") is ghost
    assert list(ghost.outgoing["T"]) == [edge]


def test_a_relation_outlives_its_nodes() -> None:
    graph = Graph()
    first = node(graph, "a", "A")
    node(graph, "b", "A")
    edge = relation(graph, "e", "a", "b")
    graph.drop_node(first)
    assert graph.labelled["A"].keys() == {edge.end}
    assert node(graph, "a", "A") is edge.start


def test_a_ghost_goes_with_the_last_relation_that_names_it() -> None:
    graph = Graph()
    edge = relation(graph, "e", "a", "b")
    relation(graph, "f", "a", "c")
    graph.drop_relation(edge)
    assert graph.node("db", "b") is None
    assert graph.node("db", "a") is not None


def test_changed_ends_and_types_are_found_where_they_are() -> None:
    graph = Graph()
    edge = relation(graph, "e", "a", "b", "T")
    relation(graph, "e", "c", "b", "U")
    assert graph.node("db", "a") is None
    assert list(edge.start.outgoing) == ["U"]
    assert list(edge.end.incoming["U"]) == [edge]
    assert "T" not in edge.end.incoming
    assert graph.typed == {"T": {}, "U": {edge: None}}


def test_a_hub_keeps_its_relations_findable_when_there_are_many() -> None:
    graph = Graph()
    edges = [relation(graph, f"e{i}", "hub", f"n{i}") for i in range(40)]
    hub = edges[0].start
    assert list(hub.outgoing["T"]) == edges
    for edge in edges[:39]:
        graph.drop_relation(edge)
    assert list(hub.outgoing["T"]) == [edges[39]]


def test_labels_are_an_index() -> None:
    graph = Graph()
    record = node(graph, "a", "A", "B")
    graph.set_node(record, ("B", "C"), {}, 0)
    assert {label: list(found) for label, found in graph.labelled.items()} == {"A": [], "B": [record], "C": [record]}
