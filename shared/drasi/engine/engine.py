"""One graph, many queries: changes in, differences out.

Deterministic: the same changes give the same differences, in any process, whatever else runs. Nothing here reads a clock.
For each change, every query concerned finds the rows of its match before and after; the graph changes once, in between.
A defect in one query's evaluation stops that query alone (``failed``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from drasi.engine.changes import Change, Delete, Insert, Update, check_change
from drasi.engine.codegen.module import Module, generate
from drasi.engine.graph import Graph, Labels, NodeRecord, Properties, RelationRecord
from drasi.engine.groups import Delta
from drasi.engine.results import Change as RowChange
from drasi.engine.results import Diff, Row, RowError, difference
from drasi.engine.running import Interest, Running
from drasi.engine.snapshot import Chunks, decode_memory, encode_memory, load_elements
from drasi.plan.compiled import Compiled
from drasi.plan.explain import explain
from drasi.values import Node, Relation

_MIN, _MAX = -(2**63), 2**63 - 1

Interests = list[tuple[str, Running, Interest]]
Found = dict[str, dict[Any, Any]]
Effects = dict[str, dict[Any, Delta]]
"""Per query the deltas of its match, by identity."""


class Engine:
    """See the module.

    Attributes:
        graph: The store.
        clock: The greatest time seen, in ms since the epoch.
        failed: Queries that were stopped by an exception out of their evaluation.
    """

    CHUNKS = Chunks.COUNT

    def __init__(self) -> None:
        self.graph = Graph()
        self.clock = 0
        self.failed: dict[str, Exception] = {}
        self._running: dict[str, Running] = {}
        self._chunks = Chunks()
        self._nodes: dict[Labels, Interests] = {}
        self._relations: dict[Labels, Interests] = {}

    # --- queries ---

    def add(self, name: str, compiled: Compiled) -> Diff | None:
        """Adds a query and evaluates it over the graph at hand.

        Returns:
            All its rows as added; None if there are none.

        Raises:
            ValueError: There is a query of this name.
        """
        if name in self._running:
            raise ValueError(f"there is a query '{name}' already")
        running = Running(module_of(compiled), self.graph)
        changes = running.build()
        self.failed.pop(name, None)
        self._running[name] = running
        self._forget_interests()
        return difference(running.shape, changes, self.clock) if changes else None

    def remove(self, name: str) -> None:
        del self._running[name]
        self._forget_interests()

    def names(self) -> list[str]:
        return list(self._running)

    def rows(self, name: str) -> list[Row]:
        """The present result: a bag."""
        return self._running[name].rows()

    def errors(self, name: str) -> list[RowError]:
        """Rows held out of the result because they cannot be computed now."""
        return self._running[name].errors()

    def _forget_interests(self) -> None:
        self._nodes.clear()
        self._relations.clear()

    def _node_interests(self, labels: Labels) -> Interests:
        found = self._nodes.get(labels)
        if found is None:
            candidates = [(name, running, running.node_interest(labels)) for name, running in self._running.items()]
            found = self._nodes[labels] = [(n, r, i) for n, r, i in candidates if i is not None]
        return found

    def _relation_interests(self, labels: Labels) -> Interests:
        found = self._relations.get(labels)
        if found is None:
            candidates = [(name, running, running.relation_interest(labels)) for name, running in self._running.items()]
            found = self._relations[labels] = [(n, r, i) for n, r, i in candidates if i is not None]
        return found

    # --- changes ---

    def apply(self, change: Change) -> list[tuple[str, Diff]]:
        """Applies one change.

        Returns:
            (query, difference) for each query whose answer changed.

        Raises:
            ValueError: The change is malformed; nothing has changed.
        """
        if change.__class__ is Update:
            element = change.element
            if element.__class__ is Node:
                nodes = self.graph.nodes.get(element.source)
                record = nodes.get(element.id) if nodes is not None else None
                if record is not None and tuple(element.labels) == record.labels and record.properties is not None:
                    return self._update_node(record, element)
        self._check([change])
        effects: Effects = {}
        self._apply(change, effects)
        return self._finish(effects, _time(change))

    def apply_transaction(self, changes: Sequence[Change]) -> list[tuple[str, Diff]]:
        """Applies changes as one: one difference per query, at the greatest of their times."""
        if not changes:
            return []
        self._check(changes)
        effects: Effects = {}
        self.graph.graves = {}
        for change in changes:
            self._apply(change, effects)
        self.graph.graves = None
        return self._finish(effects, max(map(_time, changes)))

    def advance(self, to: int) -> list[tuple[str, Diff]]:
        """Moves the clock; it never runs backwards."""
        if type(to) is not int:
            raise ValueError(f"the clock moves to integer milliseconds since the epoch, not {to!r}")
        self.clock = max(self.clock, to)
        return []

    def _check(self, changes: Sequence[Change]) -> None:
        """Everything that could be wrong is asked before anything is altered."""
        related: dict[tuple[str, str], bool] = {}
        for change in changes:
            check_change(change)
            if isinstance(change, Delete):
                related[change.source, change.id] = False
                continue
            element = change.element
            key = (element.source, element.id)
            if isinstance(element, Relation):
                known = isinstance(change, Update) and related.get(key, self.graph.relation(*key) is not None)
                if not known and (element.start is None or element.end is None):
                    raise ValueError(f"{element.source}/{element.id}: a new relation needs start and end")
            related[key] = isinstance(element, Relation)

    # --- the short way: properties of a known node ---

    def _update_node(self, record: NodeRecord, element: Node) -> list[tuple[str, Diff]]:
        time = element.effective_from
        old = record.properties
        sent = element.properties
        assert old is not None
        if sent.__class__ is dict and time.__class__ is int:
            for key, value in sent.items():
                if old.get(key) is not value or value is None:
                    kind = value.__class__
                    if (kind is float or kind is str or kind is bool or (kind is int and _MIN <= value <= _MAX)) and key in old:
                        continue
                    # Something that is rare, or wrong: a new name, null, a list or map.
                    check_change(Update(element))
                    new = _merged(old, sent)
                    break
            else:
                # What is given is not altered afterwards (see Node): it can be kept as it is.
                new = sent if len(sent) == len(old) else {**old, **sent}
        else:
            check_change(Update(element))
        if time > self.clock:
            self.clock = time
        self._chunks.touch(record.chunk)
        interests = self._nodes.get(record.labels)
        if interests is None:
            interests = self._node_interests(record.labels)
        if len(interests) == 1:
            # One query in the short way: most changes of most containers.
            name, running, interest = interests[0]
            change = interest.change
            if change is not None:
                try:
                    deltas = change(record, old, new, time)
                    record.properties = new
                    record.effective_from = time
                    record.value = None
                    if deltas:
                        changes = running.finish(deltas)
                        if changes:
                            if len(changes) == 1:
                                return [(name, Diff(running.shape, changes, time))]
                            return [(name, difference(running.shape, changes, time))]
                except Exception as defect:
                    self._stop(name, defect)
                    record.properties = new
                    record.effective_from = time
                    record.value = None
                return []
        found: list[tuple[str, Running, list[Delta]]] = []
        general: list[tuple[str, Running, Interest, dict[Any, Any]]] = []
        for name, running, interest in interests:
            try:
                change = interest.change
                if change is not None:
                    deltas = change(record, old, new, time)
                    if deltas:
                        found.append((name, running, deltas))
                elif interest.concerned(old, new):
                    general.append((name, running, interest, interest.rows(record)))
            except Exception as defect:
                self._stop(name, defect)
        record.properties = new
        record.effective_from = time
        record.value = None
        for name, running, interest, before in general:
            try:
                found.append((name, running, pair(before, interest.rows(record))))
            except Exception as defect:
                self._stop(name, defect)
        results: list[tuple[str, Diff]] = []
        for name, running, deltas in found:
            try:
                changes = running.finish(deltas)
            except Exception as defect:
                self._stop(name, defect)
                continue
            if changes:
                results.append((name, difference(running.shape, changes, time)))
        return results

    # --- the general way ---

    def _apply(self, change: Change, effects: Effects) -> None:
        time = _time(change)
        self.clock = max(self.clock, time)
        if isinstance(change, Delete):
            self._drop(change.source, change.id, effects)
            return
        element = change.element
        labels = tuple(dict.fromkeys(element.labels))
        replace = isinstance(change, Insert)
        if isinstance(element, Node):
            if self.graph.relation(element.source, element.id) is not None:
                self._drop(element.source, element.id, effects)
            node = self.graph.ghost(element.source, element.id)
            properties = _merged(None if replace else node.properties, element.properties)
            self._put_node(node, labels, properties, time, effects)
            return
        known = self.graph.node(element.source, element.id)
        if known is not None and known.properties is not None:
            self._drop(element.source, element.id, effects)
        relation = self.graph.relation(element.source, element.id)
        fresh = relation is None
        if relation is None:
            relation = self.graph.new_relation(element.source, element.id)
        properties = _merged(None if replace else relation.properties, element.properties)
        start = relation.start if element.start is None else self._end(element, element.start)
        end = relation.end if element.end is None else self._end(element, element.end)
        self._put_relation(relation, labels, properties, time, start, end, effects, fresh)

    def _end(self, element: Relation, end: str | tuple[str, str]) -> NodeRecord:
        return self.graph.ghost(element.source, end) if isinstance(end, str) else self.graph.ghost(*end)

    def _put_node(self, node: NodeRecord, labels: Labels, properties: Properties, time: int, effects: Effects) -> None:
        exists = node.properties is not None
        before = self._node_interests(node.labels) if exists else []
        after = self._node_interests(labels)
        if exists:
            self._chunks.touch(node.chunk)
        else:
            self._chunks.add(node)

        def mutate() -> None:
            self.graph.set_node(node, labels, properties, time)

        self._transition(node, before, after, mutate, effects)

    def _put_relation(
        self,
        relation: RelationRecord,
        labels: Labels,
        properties: Properties,
        time: int,
        start: NodeRecord,
        end: NodeRecord,
        effects: Effects,
        fresh: bool,
    ) -> None:
        before = [] if fresh else self._relation_interests(relation.labels)
        after = self._relation_interests(labels)
        if fresh:
            self._chunks.add(relation)
        else:
            self._chunks.touch(relation.chunk)

        def mutate() -> None:
            self.graph.set_relation(relation, labels, properties, time, start, end)

        self._transition(relation, before, after, mutate, effects)

    def _drop(self, source: str, id: str, effects: Effects) -> None:  # noqa: A002
        node = self.graph.node(source, id)
        if node is not None and node.properties is not None:
            interests = self._node_interests(node.labels)
            self._chunks.discard(node)
            self._transition(node, interests, [], lambda: self.graph.drop_node(node), effects)
        relation = self.graph.relation(source, id)
        if relation is not None:
            interests = self._relation_interests(relation.labels)
            self._chunks.discard(relation)
            self._transition(relation, interests, [], lambda: self.graph.drop_relation(relation), effects)

    def _transition(self, record: Any, before: Interests, after: Interests, mutate: Callable[[], None], effects: Effects) -> None:
        """Rows of the match through ``record`` before and after ``mutate``."""
        old = self._rows(record, before)
        mutate()
        new = self._rows(record, after)
        for name in {**old, **new}:
            if name in self._running:
                _merge(effects.setdefault(name, {}), pair(old.get(name, {}), new.get(name, {})))

    def _rows(self, record: Any, interests: Interests) -> Found:
        found: Found = {}
        for name, _, interest in interests:
            try:
                found[name] = interest.rows(record)
            except Exception as defect:
                self._stop(name, defect)
        return found

    def _finish(self, effects: Effects, time: int) -> list[tuple[str, Diff]]:
        results: list[tuple[str, Diff]] = []
        for name in list(self._running):
            deltas = effects.get(name)
            if not deltas:
                continue
            running = self._running[name]
            try:
                changes: list[RowChange] = running.finish(list(deltas.values()))
            except Exception as defect:
                self._stop(name, defect)
                continue
            if changes:
                results.append((name, difference(running.shape, changes, time)))
        return results

    def _stop(self, name: str, defect: Exception) -> None:
        self.failed[name] = defect
        self._running.pop(name, None)
        # A new table: the old one may be what is being walked now.
        self._nodes = {}
        self._relations = {}

    # --- snapshot ---

    def watch(self, touch: Callable[[int], None]) -> None:
        """``touch`` is called with the number of a chunk (below ``CHUNKS``) before an element in it changes, comes or goes."""
        self._chunks.touch = touch

    def dump(self, chunk: int) -> bytes:
        """The elements of one chunk: an element is in the same one for its life."""
        return self._chunks.dump(chunk)

    def load(self, data: bytes) -> None:
        """Puts the elements of a chunk into the graph; before any query is added."""
        self._chunks.add_all(load_elements(data, self.graph))

    def memory(self) -> bytes:
        """What the graph cannot give back: the clock, and orders of arrival."""
        return encode_memory(self.clock, {name: running.memory() for name, running in self._running.items()})

    def restore_memory(self, data: bytes) -> None:
        """After ``load`` and ``add``: makes the queries what they were when ``memory`` was taken."""
        self.clock, memories = decode_memory(data)
        for name, memory in memories.items():
            if memory and name in self._running:
                self._running[name].rebuild(memory)
        self._forget_interests()

    def elements(self, source: str | None = None) -> Iterable[NodeRecord | RelationRecord]:
        """Every element; with ``source`` those that came from it."""
        if source is None:
            yield from self.graph.all_nodes()
            yield from self.graph.all_relations()
            return
        for node in self.graph.nodes.get(source, {}).values():
            if node.properties is not None:
                yield node
        yield from self.graph.relations.get(source, {}).values()

    def __len__(self) -> int:
        """How many elements there are."""
        return len(self._chunks)

    def knows(self, source: str, id: str) -> bool:  # noqa: A002
        """Whether the graph has the element."""
        node = self.graph.node(source, id)
        return (node is not None and node.properties is not None) or self.graph.relation(source, id) is not None


def module_of(compiled: Compiled) -> Module:
    """The generated code of a compiled query, made when it is first needed."""
    module = compiled.cache.get("module")
    if module is None:
        module = compiled.cache["module"] = generate(compiled.plan, compiled.parameters)
    assert isinstance(module, Module)
    return module


def explained(compiled: Compiled) -> str:
    """The plan, and the generated code."""
    return explain(compiled.plan) + "\n" + module_of(compiled).source


def pair(before: dict[Any, Any], after: dict[Any, Any]) -> list[Delta]:
    """Rows before and after, by identity."""
    deltas: list[Delta] = [(identity, row, after.pop(identity, None)) for identity, row in before.items()]
    deltas += [(identity, None, row) for identity, row in after.items()]
    return deltas


def _merge(known: dict[Any, Delta], deltas: list[Delta]) -> None:
    """First before, last after; what came and went within the transaction was never there."""
    for delta in deltas:
        identity, _, after = delta
        earlier = known.get(identity)
        if earlier is None:
            known[identity] = delta
        elif earlier[1] is None and after is None:
            del known[identity]
        else:
            known[identity] = (identity, earlier[1], after)


def _merged(known: Properties | None, sent: Mapping[str, Any]) -> Properties:
    new = {**known, **sent} if known else dict(sent)
    if None in new.values():
        new = {name: value for name, value in new.items() if value is not None}
    return new


def _time(change: Change) -> int:
    return change.effective_from if isinstance(change, Delete) else change.element.effective_from
