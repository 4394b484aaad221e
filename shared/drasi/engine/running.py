"""One query at work on one graph: which changes concern it, its stages, its rows and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from drasi.engine.accumulators import Distinct
from drasi.engine.codegen.expressions import label_test
from drasi.engine.codegen.module import Module
from drasi.engine.failure import Failure
from drasi.engine.graph import Graph, Labels, NodeRecord, Properties, Record, RelationRecord
from drasi.engine.groups import Delta, Group
from drasi.engine.results import Change, Row, RowError, Shape
from drasi.values.canonical import canonical_text
from drasi.values.identity import same

Walk = Callable[[Any, dict[Any, Any]], None]
ChangeProperties = Callable[[Any, Properties, Properties, int], list[Delta] | None]


class Interest:
    """How a query sees elements with certain labels.

    Attributes:
        places: Places of the pattern they can take.
        walks: Per place, the walk that finds the matches through an element there.
        change: The short way for changes of properties, when there is just one place.
        reads: Names of the properties that are read at these places; None: all.
    """

    __slots__ = ("change", "places", "reads", "walks")

    def __init__(self, places: list[int], walks: list[Walk], change: ChangeProperties | None, reads: frozenset[str] | None) -> None:
        self.places = places
        self.walks = walks
        self.change = change
        self.reads = reads

    def rows(self, record: Record) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        for walk in self.walks:
            walk(record, out)
        return out

    def concerned(self, old: Properties, new: Properties) -> bool:
        """Whether anything changes that is read."""
        if self.reads is None:
            return True
        return any(not same(old.get(name), new.get(name)) for name in self.reads)


class Running:
    def __init__(self, module: Module, graph: Graph) -> None:
        self._module = module
        self._graph = graph
        self._errors: dict[Any, Failure] = {}
        plan = module.plan
        count = len(module.aggregates)
        self.shape = Shape(plan.columns, plan.grouping_keys, module.identity_text(count))
        self._same = _sameness(len(plan.columns))
        self._space = module.instantiate(graph)
        self._stages = [self._space[f"stage_{n}"] for n in range(count)]
        self._node_tests = [
            (i, eval(f"lambda labels: {label_test(place.labels, 'labels')}") if place.labels is not None else None)  # noqa: S307
            for i, place in enumerate(plan.match.places)
            if place.kind == "node"
        ]

    # --- which elements concern it ---

    def node_interest(self, labels: Labels) -> Interest | None:
        return self._interest([i for i, test in self._node_tests if test is None or test(labels)])

    def relation_interest(self, labels: Labels) -> Interest | None:
        return self._interest(
            [
                i
                for i, place in enumerate(self._module.plan.match.places)
                if place.kind == "relation" and (not place.types or labels[0] in place.types)
            ]
        )

    def _interest(self, places: list[int]) -> Interest | None:
        if not places:
            return None
        reads = self._module.reads
        whole = not reads.whole.isdisjoint(places)
        names = None if whole else frozenset(name for place in places for name in reads.of(place))
        change = self._space[f"change_{places[0]}"] if len(places) == 1 else None
        return Interest(places, [self._space[f"walk_{place}"] for place in places], change, names)

    # --- work ---

    def build(self, memory: Mapping[tuple[int, str], Mapping[str, Any]] | None = None) -> list[Change]:
        """Evaluates over the graph at hand; returns all rows as added. ``memory``: orders of arrival from before."""
        found: dict[Any, Any] = {}
        self._space["tracking"] = memory is not None
        self._space["scan"](found)
        deltas: list[Delta] = [(identity, None, row) for identity, row in found.items()]
        for n, aggregate in enumerate(self._module.aggregates):
            groups: dict[Any, Group] = self._space[f"groups_{n}"]
            if not aggregate.keyed:
                # The row over nothing exists from the start.
                groups[()] = self._space[f"new_{n}"]((), [])
            self._stages[n](deltas)
            for group in groups.values():
                if memory is not None:
                    self._settle(n, group, memory)
                group.row = self._space[f"row_{n}"](group)
            deltas = [(key, None, group.row) for key, group in groups.items() if group.row is not None]
        self._space["tracking"] = False
        return self._result(deltas)

    def finish(self, deltas: list[Delta]) -> list[Change]:
        """Rows of the match that changed → rows of the result that changed."""
        for stage in self._stages:
            deltas = stage(deltas)
        if len(deltas) == 1:
            _, before, after = deltas[0]
            if before.__class__ is tuple and after.__class__ is tuple:
                return [] if self._same(before, after) else deltas
        return self._result(deltas)

    def _result(self, deltas: list[Delta]) -> list[Change]:
        changes: list[Change] = []
        for delta in deltas:
            identity, before, after = delta
            if before.__class__ is Failure or after.__class__ is Failure:
                if before.__class__ is Failure:
                    self._errors.pop(identity, None)
                    before = None
                if after.__class__ is Failure:
                    self._errors[identity] = after
                    after = None
                if before is None and after is None:
                    continue
                delta = (identity, before, after)
            if before is not None and after is not None and self._same(before, after):
                continue
            changes.append(delta)
        return changes

    # --- answers ---

    def rows(self) -> list[Row]:
        return [self.shape.row(identity, values) for identity, values in self.values()]

    def values(self) -> Iterator[tuple[Any, tuple[Any, ...]]]:
        """(identity, row) of the whole result."""
        if self._stages:
            groups: dict[Any, Group] = self._space[f"groups_{len(self._stages) - 1}"]
            found = {key: group.row for key, group in groups.items()}
        else:
            found = {}
            self._space["scan"](found)
        return ((identity, row) for identity, row in found.items() if row.__class__ is tuple)

    def errors(self) -> list[RowError]:
        result: list[RowError] = []
        seen: set[int] = set()
        for n in range(len(self._stages)):
            for identity, failure in self._space[f"errors_{n}"].items():
                self._report(failure, identity if n == 0 else None, result, seen)
            for group in self._space[f"groups_{n}"].values():
                for member, failure in group.errors.items():
                    self._report(failure, member if n == 0 else None, result, seen)
        for identity, failure in self._errors.items():
            self._report(failure, identity if not self._stages else None, result, seen)
        return result

    def _report(self, failure: Failure, identity: Any, result: list[RowError], seen: set[int]) -> None:
        # A group's failure is handed on as its row: one report is enough.
        if id(failure) in seen:
            return
        seen.add(id(failure))
        records: Sequence[NodeRecord | RelationRecord] = ()
        if identity is not None:
            records = identity if isinstance(identity, tuple) else (identity,)
        error = failure.error
        elements = tuple((record.source, record.id) for record in records)
        result.append(RowError(error.type, error.detail, error.message, elements))

    # --- what the graph cannot give back ---

    def memory(self) -> list[Any]:
        """Orders of arrival, by place in the plan and text of identity; nearly always empty."""
        result = []
        for n in range(len(self._stages)):
            member_text = self._module.identity_text(n)
            group_text = self._module.identity_text(n + 1)
            for key, group in self._space[f"groups_{n}"].items():
                kept: dict[str, Any] = {}
                if group.late:
                    kept["late"] = [member_text(member) for member in group.late]
                for slot in self._module.slots[n]:
                    order = _order(getattr(group, slot), member_text)
                    if order:
                        kept[slot] = order
                if kept:
                    result.append([n, group_text(key), kept])
        return result

    def rebuild(self, memory: list[Any]) -> None:
        """Builds again from the graph, with the orders of arrival of ``memory``."""
        self._space = self._module.instantiate(self._graph)
        self._stages = [self._space[f"stage_{n}"] for n in range(len(self._stages))]
        self._errors.clear()
        self.build({(n, key): value for n, key, value in memory})

    def _settle(self, n: int, group: Group, memory: Mapping[tuple[int, str], Mapping[str, Any]]) -> None:
        member_text = self._module.identity_text(n)
        mine = memory.get((n, self._module.identity_text(n + 1)(group.key)), {})
        members = {member_text(member): member for member in group.late or ()}
        group.settle_as([members[text] for text in mine.get("late", ()) if text in members])
        for slot in self._module.slots[n]:
            _settle_accumulator(group, slot, mine.get(slot, ()), member_text)


def _order(kept: Any, text: Callable[[Any], str]) -> list[Any]:
    if isinstance(kept, dict):
        return [text(member) for member in kept] if len(kept) > 1 else []
    if isinstance(kept, Distinct):
        order = [[canonical_text(key), [text(member) for member in late]] for key, late in kept.order()]
        return order if len(order) > 1 or any(late for _, late in order) else []
    return []


def _settle_accumulator(group: Group, slot: str, saved: Sequence[Any], text: Callable[[Any], str]) -> None:
    kept = getattr(group, slot)
    if isinstance(kept, dict):
        ranks = {name: rank for rank, name in enumerate(saved)}
        setattr(group, slot, dict(sorted(kept.items(), key=lambda item: ranks.get(text(item[0]), -1))))
    elif isinstance(kept, Distinct):
        classes = {canonical_text(key): key for key in kept.classes}
        order = []
        for name, late in saved:
            if name in classes:
                members = {text(member): member for member in kept.classes[classes[name]].late or ()}
                order.append((classes[name], [members[member] for member in late if member in members]))
        kept.settle_as(order)


def _sameness(columns: int) -> Callable[[tuple[Any, ...], tuple[Any, ...]], bool]:
    """Whether two rows are equal in every column, by type and value; unrolled, since most rows differ in the first or second."""
    lines = ["def same_row(a, b):"]
    for i in range(columns):
        lines += [
            f"    x = a[{i}]",
            f"    y = b[{i}]",
            "    if x is not y:",
            "        if x.__class__ is not y.__class__: return False",
            "        if x.__class__ is str or x.__class__ is int:",
            "            if x != y: return False",
            "        elif not same(x, y): return False",
        ]
    lines.append("    return True")
    space: dict[str, Any] = {"same": same}
    exec("\n".join(lines), space)  # noqa: S102 -- our own text
    result: Callable[[tuple[Any, ...], tuple[Any, ...]], bool] = space["same_row"]
    return result
