"""The answer of a query over a graph: clauses over bags of rows, each row with its identity (language.md sections 2 and 5).

One thing about an answer is history: of equivalent keys (1 and 1.0) a group shows the one that came first among those
present. ``Arrivals`` remembers it from event to event. What the language leaves open (which of two that came in one event)
is asked of a ``Choices``: the test tries them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from drasi.language import tree
from tests.oracle import aggregates
from tests.oracle.expressions import Scope, conjuncts, evaluate
from tests.oracle.graph import Graph, Key
from tests.oracle.matching import assignments, conditions
from tests.oracle.operators import truth
from tests.oracle.strict import strict
from tests.oracle.values import Raised, Value, equivalence

Identity = tuple[Any, ...]


@dataclass(frozen=True)
class Row:
    variables: Mapping[str, Value]
    identity: Identity = ()
    elements: frozenset[Key] = frozenset()


@dataclass(frozen=True)
class Erring:
    """A combination of elements, or (no elements) a row made of several, whose evaluation raises."""

    elements: frozenset[Key]
    type: str
    detail: str
    identity: Identity = ()


@dataclass
class Answer:
    rows: list[tuple[Identity, dict[str, Value]]] = field(default_factory=list)
    errors: list[Erring] = field(default_factory=list)


class Choices:
    """Answers to what is left open, in the order in which it is asked; ``asked`` is how many answers each question had."""

    def __init__(self, answers: Sequence[int] = ()) -> None:
        self.answers = answers
        self.asked: list[int] = []

    def choose(self, candidates: list[Value]) -> Value:
        if len(candidates) == 1:
            return candidates[0]
        place = len(self.asked)
        self.asked.append(len(candidates))
        return candidates[self.answers[place] if place < len(self.answers) else 0]


class Arrivals:
    """Per place in the text and class of equivalent keys: the event since which each member is there with its writing of it."""

    def __init__(self) -> None:
        self.event = 0
        self.since: dict[tuple[Any, ...], int] = {}
        self.present: dict[tuple[Any, ...], int] = {}

    def begin(self) -> None:
        """An evaluation of the present event; the one before it (of the same event) is forgotten."""
        self.present = {}

    def commit(self) -> None:
        """The last evaluation was the right one; the next event comes."""
        self.since, self.event = self.present, self.event + 1

    def first(self, place: tuple[Any, ...], members: list[tuple[Identity, str, Any]]) -> list[Any]:
        """Of the members (identity, writing, what it stands for) those that came first, one of each writing."""
        came = [self.since.get((*place, member, writing), self.event) for member, writing, _ in members]
        for (member, writing, _), event in zip(members, came, strict=True):
            self.present[(*place, member, writing)] = event
        candidates: dict[str, Any] = {}
        for (_, writing, value), event in zip(members, came, strict=True):
            if event == min(came):
                candidates.setdefault(writing, value)
        return list(candidates.values())


class Oracle:
    """Evaluates one checked query, event by event."""

    def __init__(self, query: tree.Query, parameters: Mapping[str, Value] | None = None) -> None:
        self.query = query
        self.parameters = dict(parameters or {})
        self.arrivals = Arrivals()

    def answer(self, graph: Graph, choices: Choices | None = None) -> Answer:
        """The answer now, with the open choices made as given."""
        self.arrivals.begin()
        evaluation = Evaluation(Scope(graph, {}, self.parameters), self.arrivals, choices or Choices())
        if len(self.query.parts) > 1:
            raise NotImplementedError("UNION")
        rows = evaluation.run(self.query.parts[0].clauses)
        return Answer([(row.identity, dict(row.variables)) for row in rows], evaluation.errors)

    def commit(self) -> None:
        """The last ``answer`` stands; the next is of another event."""
        self.arrivals.commit()


class Evaluation:
    """One evaluation of a single query from one empty row."""

    def __init__(self, scope: Scope, arrivals: Arrivals, choices: Choices) -> None:
        self.scope = scope
        self.arrivals = arrivals
        self.choices = choices
        self.errors: list[Erring] = []

    def run(self, clauses: tuple[tree.Clause, ...]) -> list[Row]:
        rows = [Row({})]
        for place, clause in enumerate(in_blocks(clauses)):
            match clause:
                case list():
                    rows = [found for row in rows for found in self.matched(clause, row)]
                case tree.Unwind():
                    rows = [item for row in rows for item in self.unwound(clause, row)]
                case tree.Filter():
                    rows = [row for row in rows if self.passes(self.conditions(clause.where, row), row)]
                case tree.Projection():
                    rows = self.projected(clause, rows, place)
                case _:
                    raise NotImplementedError(type(clause).__name__)
        return rows

    def seen(self, row: Row, known: Mapping[tree.Expression, Value] | None = None) -> Scope:
        return replace(self.scope, variables=row.variables, known=known or {})

    def err(self, row: Row, error: Raised) -> None:
        self.errors.append(Erring(row.elements, error.type, error.detail, row.identity))

    def conditions(
        self, where: tree.Expression | None, row: Row, known: Mapping[tree.Expression, Value] | None = None
    ) -> list[tuple[tree.Expression, Scope]]:
        return [(conjunct, self.seen(row, known)) for conjunct in conjuncts(where)]

    def passes(self, conditions: list[tuple[tree.Expression, Scope]], row: Row) -> bool:
        """Whether all are true. One that is false or null drops the row, whatever the others raise."""
        error: Raised | None = None
        for condition, scope in conditions:
            try:
                if truth(evaluate(condition, scope)) is not True:
                    return False
            except Raised as raised:
                error = error or raised
        if error is not None:
            self.err(row, error)
        return error is None

    def matched(self, clauses: Sequence[tree.Match], row: Row) -> Iterator[Row]:
        """The rows of MATCH after MATCH. Only a complete row can be in error: all are laid before any condition is asked."""
        laid = [(row, list[tuple[tree.Expression, Scope]]())]
        for clause in clauses:
            laid = [grown for start, asked in laid for grown in self.laid(clause, start, asked)]
        before, found = len(self.errors), 0
        for new, asked in laid:
            if self.passes(
                [(condition, replace(scope, variables={**new.variables, **scope.variables})) for condition, scope in asked], new
            ):
                found += 1
                yield new
        [*_, last] = clauses
        if last.optional and not found and len(self.errors) == before:
            names = {variable for pattern in last.patterns for variable in variables(pattern)}
            yield Row({**dict.fromkeys(sorted(names)), **row.variables}, (*row.identity, None), row.elements)

    def laid(
        self, clause: tree.Match, row: Row, asked: list[tuple[tree.Expression, Scope]]
    ) -> Iterator[tuple[Row, list[tuple[tree.Expression, Scope]]]]:
        """The ways to lay one clause's patterns, with what it and those before it ask."""
        scope = self.seen(row)
        for match in assignments(clause.patterns, scope):
            keys = tuple(element.key for element in match.places)
            new = Row(match.variables, (*row.identity, keys), row.elements | set(keys))
            yield new, [*asked, *conditions(clause.patterns, match, scope), *self.conditions(clause.where, new)]

    def unwound(self, clause: tree.Unwind, row: Row) -> Iterator[Row]:
        try:
            items = evaluate(clause.items, self.seen(row))
            if items is not None and not isinstance(items, list):
                raise Raised("TypeError", "InvalidArgumentType")
        except Raised as error:
            self.err(row, error)
            return
        occurrences: dict[Any, int] = {}
        for item in items or []:
            key = equivalence(item)
            occurrences[key] = occurrences.get(key, 0) + 1
            yield Row({**row.variables, clause.variable: item}, (*row.identity, (key, occurrences[key])), row.elements)

    def projected(self, clause: tree.Projection, rows: list[Row], place: int) -> list[Row]:
        if clause.order_by or clause.skip is not None or clause.limit is not None:
            raise NotImplementedError("ORDER BY, SKIP, LIMIT")
        aggregating = clause.group_by is not None or clause.having is not None or any(calls(i.expression) for i in clause.items)
        if not aggregating and not clause.distinct:
            return [new for row in rows for new in self.filtered(clause, row)]
        new = self.grouped(clause, rows, place) if aggregating else [r for row in rows for r in self.computed(clause, row)]
        if clause.distinct:
            new = self.distinct(new, place)
        return [row for row in new if self.passes(self.conditions(clause.where, row), row)]

    def filtered(self, clause: tree.Projection, row: Row) -> list[Row]:
        """The row with the projection's columns, if it passes: the WHERE sees the old names behind the new ones."""
        return [
            new
            for new in self.computed(clause, row)
            if self.passes(self.conditions(clause.where, replace(new, variables={**row.variables, **new.variables})), new)
        ]

    def computed(self, clause: tree.Projection, row: Row, known: Mapping[tree.Expression, Value] | None = None) -> list[Row]:
        """The row with the projection's columns; nothing if it errs."""
        scope = self.seen(row, known)
        try:
            columns = {item.name: evaluate(item.expression, scope) for item in clause.items}
        except Raised as error:
            self.err(row, error)
            return []
        return [replace(row, variables=columns)]

    def distinct(self, rows: list[Row], place: int) -> list[Row]:
        classes: dict[Any, list[Row]] = {}
        for row in rows:
            classes.setdefault(equivalence(list(row.variables.values())), []).append(row)
        kept = []
        for key, members in classes.items():
            written = [(row.identity, strict(list(row.variables.values()), identity=True), row) for row in members]
            shown = self.choices.choose(self.arrivals.first((place, "distinct", key), written))
            kept.append(Row(shown.variables, (("values", key),)))
        return kept

    def grouped(self, clause: tree.Projection, rows: list[Row], place: int) -> list[Row]:
        keys = list(clause.group_by or ()) if clause.group_by is not None else []
        if clause.group_by is None:
            keys = [item.expression for item in clause.items if not calls(item.expression)]
        groups: dict[Any, list[tuple[Row, list[Value]]]] = {} if keys else {equivalence([]): []}
        for row in rows:
            try:
                values = [evaluate(key, self.seen(row)) for key in keys]
            except Raised as error:
                self.err(row, error)
                continue
            groups.setdefault(equivalence(values), []).append((row, values))
        new = []
        for key, members in groups.items():
            new += self.group(clause, keys, key, members, place)
        return new

    def group(
        self, clause: tree.Projection, keys: list[tree.Expression], key: Any, members: list[tuple[Row, list[Value]]], place: int
    ) -> list[Row]:
        """The row of one group: nothing while HAVING does not pass or something errs."""
        rows = [row for row, _ in members]
        row = Row({}, (("group", key),))
        known: dict[tree.Expression, Value] = {}
        if keys:
            written = [(member.identity, strict(values, identity=True), values) for member, values in members]
            shown = self.choices.choose(self.arrivals.first((place, "group", key), written))
            known.update(zip(keys, shown, strict=True))
            row = replace(row, variables={k.name: v for k, v in known.items() if isinstance(k, tree.Variable)})
        wanted = [call for item in clause.items for call in calls(item.expression)]
        poisoned: list[tuple[Row, Raised]] = []
        for call in dict.fromkeys([*wanted, *(calls(clause.having) if clause.having is not None else [])]):
            known[call] = self.amount(call, rows, (place, key), poisoned)
        before = len(self.errors)
        if not self.passes(self.conditions(clause.having, row, known), row):
            if len(self.errors) > before:
                self.poison(poisoned)
            return []
        if poisoned:
            self.poison(poisoned)
            return []
        return self.computed(clause, row, known)

    def poison(self, rows: list[tuple[Row, Raised]]) -> None:
        for row, error in rows:
            self.err(row, error)

    def amount(self, call: tree.FunctionCall, rows: list[Row], place: tuple[Any, ...], poisoned: list[tuple[Row, Raised]]) -> Value:
        """The aggregate over the rows, or the Raised that asking for it raises."""
        if call.star:
            return len(rows)
        values, argument, error = [], None, None
        for row in rows:
            scope = self.seen(row)
            try:
                value = evaluate(call.arguments[0], scope)
                argument = evaluate(call.arguments[1], scope) if len(call.arguments) > 1 else None
                if value is not None:
                    aggregates.aggregate(call.name, [value], lambda found: found[0], argument)
                    values.append(value)
            except Raised as raised:
                error = error or raised
                poisoned.append((row, raised))
        if error is not None:
            return error
        try:
            if call.distinct:
                values = aggregates.distinct(values, self.choices.choose)
            return aggregates.aggregate(call.name, values, self.choices.choose, argument)
        except Raised as raised:
            return raised


def in_blocks(clauses: tuple[tree.Clause, ...]) -> list[tree.Clause | list[tree.Match]]:
    """The clauses, MATCH after MATCH taken together; a WHERE that follows one with its WHERE is joined to it: it drops the same
    rows, and of a row that one of them drops the other's error is none."""
    blocks: list[tree.Clause | list[tree.Match]] = []
    for clause in clauses:
        block = blocks[-1] if blocks else None
        plain = isinstance(block, list) and not block[-1].optional
        if isinstance(clause, tree.Filter) and isinstance(block, list) and plain:
            last = block[-1]
            block[-1] = replace(last, where=clause.where if last.where is None else tree.Binary("AND", last.where, clause.where))
        elif isinstance(clause, tree.Match) and not clause.optional and isinstance(block, list) and plain:
            block.append(clause)
        else:
            blocks.append([clause] if isinstance(clause, tree.Match) else clause)
    return blocks


def variables(pattern: tree.PathPattern) -> list[str]:
    places: list[tree.NodePattern | tree.RelationPattern] = [*pattern.nodes, *pattern.relations]
    return [place.variable for place in places if place.variable is not None]


def calls(expression: tree.Expression) -> list[tree.FunctionCall]:
    """The aggregates in an expression, outermost first."""
    if isinstance(expression, tree.FunctionCall) and expression.name.lower() in aggregates.NAMES:
        return [expression]
    found: list[tree.FunctionCall] = []
    for name in expression.__struct_fields__:
        found += inside(getattr(expression, name))
    return found


def inside(value: Any) -> list[tree.FunctionCall]:
    if isinstance(value, tree.Expression):
        return calls(value)
    return [call for item in value for call in inside(item)] if isinstance(value, tuple) else []
