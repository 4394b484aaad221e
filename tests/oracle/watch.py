"""Drives one continuous query and the oracle with the same changes, and compares everything that can be seen after each."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import pytest

import drasi
from tests.oracle.answer import Answer, Choices, Identity, Oracle
from tests.oracle.changes import Change, of_element
from tests.oracle.graph import Graph
from tests.oracle.queries import Language
from tests.oracle.strict import holds_bag, strict_row

ALTERNATIVES = 512


class Disagreement(AssertionError):
    """The incremental answer is not the oracle's."""


class Ledger:
    """The answer as a consumer of differences holds it: rows by id, kept up to date by differences alone."""

    def __init__(self, query: drasi.ContinuousQuery) -> None:
        self.rows = by_id(query.rows())

    def take(self, diff: drasi.Diff) -> None:
        """Applies a difference, checking that it is one: what leaves was there, what comes was not, an update changes."""
        assert diff.added or diff.updated or diff.deleted, "an empty difference"
        seen = [row.id for row in (*diff.added, *diff.deleted)] + [pair.after.id for pair in diff.updated]
        assert len(seen) == len(set(seen)), f"a row twice in one difference: {seen}"
        for row in diff.deleted:
            assert self.rows.pop(row.id, None) == strict_row(row), f"deleted {row.id} is not what was there"
        for pair in diff.updated:
            before, after = strict_row(pair.before), strict_row(pair.after)
            assert pair.before.id == pair.after.id
            assert self.rows.get(pair.before.id) == before, f"updated {pair.before.id} is not what was there"
            assert before != after, f"updated {pair.after.id} to itself: {after}"
            self.rows[pair.after.id] = after
        for row in diff.added:
            assert row.id not in self.rows, f"added {row.id} was there"
            self.rows[row.id] = strict_row(row)


def by_id(rows: list[drasi.Row]) -> dict[str, str]:
    result = {row.id: strict_row(row) for row in rows}
    assert len(result) == len(rows), f"a row id twice: {[row.id for row in rows]}"
    return result


def written(diff: drasi.Diff) -> tuple[Any, ...]:
    """A difference as comparable text."""
    updated = sorted(f"{p.before.id}: {strict_row(p.before)} => {strict_row(p.after)} {p.grouping_keys}" for p in diff.updated)
    added, deleted = ([f"{row.id}: {strict_row(row)}" for row in rows] for rows in (diff.added, diff.deleted))
    return diff.time, sorted(added), updated, sorted(deleted)


class Watch:
    """One query under watch.

    Attributes:
        query: The continuous query.
        answer: The oracle's present answer.
        twin: Once `fork` was called: the same query, restored from a snapshot; it must go on identically.
    """

    def __init__(self, text: str, parameters: Mapping[str, Any] | None = None, language: Language = "cypher") -> None:
        self.text = text
        self.query = drasi.ContinuousQuery(text, parameters=parameters or {}, language=language)
        self.twin: drasi.ContinuousQuery | None = None
        checked = drasi.language.check(
            drasi.language.parse(text, language), text=text, parameters=parameters or {}, language=language
        )
        self.oracle = Oracle(checked.query, parameters)
        self.graph = Graph()
        self.ledger = Ledger(self.query)
        self.time = 1_000
        self.ids: dict[Identity, str] = {}
        self.identities: dict[str, Identity] = {}
        self.compare()
        self.empty = dict(self.ledger.rows)

    def event(self, changes: list[Change]) -> None:
        """One change, or one transaction; and the comparison."""
        self.time += 1
        malformed = False
        trial = Graph()
        trial.elements = dict(self.graph.elements)
        for change in changes:
            malformed = malformed or change.malformed(trial)
            if not malformed:
                change.apply(trial)
        sent = [change.for_library(self.time) for change in changes]
        if malformed:
            self.refused(sent)
            return
        self.graph = trial
        diffs = self.send(self.query, sent)
        if self.twin is not None:
            assert [written(d) for d in self.send(self.twin, sent)] == [written(d) for d in diffs], "the restored query differs"
        assert len(diffs) <= 1, "one event, one difference"
        for diff in diffs:
            self.ledger.take(diff)
        self.compare()

    def send(self, query: drasi.ContinuousQuery, sent: list[Any]) -> list[drasi.Diff]:
        return query.apply(sent[0]) if len(sent) == 1 else query.apply_transaction(sent)

    def refused(self, sent: list[Any]) -> None:
        """A malformed change raises and alters nothing, also as one of a transaction."""
        for query in [self.query] if self.twin is None else [self.query, self.twin]:
            with pytest.raises(ValueError, match=r"."):
                self.send(query, sent)
        self.compare()

    def fork(self) -> None:
        """From here on a restored copy runs beside the query."""
        data = self.query.snapshot()
        self.twin = drasi.ContinuousQuery.restore(data)
        assert by_id(self.twin.rows()) == by_id(self.query.rows()), "restored rows differ"
        assert sorted(map(str, self.twin.errors())) == sorted(map(str, self.query.errors())), "restored errors differ"

    def take_away(self, together: int = 1) -> None:
        """Deletes every element, ``together`` in one event; the answer is that of the empty graph again."""
        deletes = [of_element(element, "delete") for element in self.graph.elements.values()]
        for start in range(0, len(deletes), together):
            self.event(deletes[start : start + together])
        assert self.ledger.rows == self.empty, "the empty graph has another answer than at first"

    def compare(self) -> None:
        rows = self.query.rows()
        assert by_id(rows) == self.ledger.rows, "rows() is not what the differences give"
        self.answer = self.agreed(rows)
        self.check_ids(rows, self.answer)
        self.check_errors(self.answer)

    def agreed(self, rows: list[drasi.Row]) -> Answer:
        """The oracle's answer that equals the rows, whatever the open choices; it becomes the oracle's past."""
        untried: deque[tuple[int, ...]] = deque([()])
        first: Answer | None = None
        tried = 0
        while untried and tried < ALTERNATIVES:
            made = untried.popleft()
            choices = Choices(made)
            answer = self.oracle.answer(self.graph, choices)
            first = first or answer
            tried += 1
            if self.equal(answer, rows):
                self.oracle.commit()
                return answer
            # Other answers to the questions after those settled: what is asked may depend on the answers before.
            for place in range(len(made), len(choices.asked)):
                settled = (*made, *[0] * (place - len(made)))
                untried += [(*settled, other) for other in range(1, choices.asked[place])]
        assert first is not None
        raise self.disagreement(first, rows, tried)

    def equal(self, answer: Answer, rows: list[drasi.Row]) -> bool:
        bags = bag_columns(answer)
        return Counter(strict_row(row, bags) for _, row in answer.rows) == Counter(strict_row(row, bags) for row in rows)

    def disagreement(self, answer: Answer, rows: list[drasi.Row], tried: int) -> Disagreement:
        bags = bag_columns(answer)
        wanted, found = (sorted(strict_row(row, bags) for row in table) for table in ([r for _, r in answer.rows], rows))
        lines = [self.text, f"graph: {list(self.graph.elements.values())}", f"{tried} alternatives"]
        lines += ["oracle:", *wanted, "engine:", *found, f"oracle's errors: {answer.errors}", f"errors: {self.query.errors()}"]
        return Disagreement("\n".join(lines))

    def check_ids(self, rows: list[drasi.Row], answer: Answer) -> None:
        """A row's id goes with its identity, always the same; seen where a row's values tell which it is."""
        bags = bag_columns(answer)
        expected = Counter(strict_row(row, bags) for _, row in answer.rows)
        identities = {strict_row(row, bags): identity for identity, row in answer.rows}
        for row in rows:
            text = strict_row(row, bags)
            if expected[text] > 1:
                continue
            identity = identities[text]
            assert self.ids.setdefault(identity, row.id) == row.id, f"row {text} had the id {self.ids[identity]}, now {row.id}"
            assert self.identities.setdefault(row.id, identity) == identity, f"row id {row.id} was another row's"

    def check_errors(self, answer: Answer) -> None:
        """Every erring combination of elements is reported, and nothing where nothing errs."""
        reported = self.query.errors()
        elements = {frozenset(error.elements) for error in reported}
        for error in answer.errors:
            if error.elements:
                assert error.elements in elements, f"{self.text}: {error} is not among {reported}"
            else:
                assert reported, f"{self.text}: {error} is not reported"
        if not answer.errors:
            assert not reported, f"{self.text}: {reported} err, but nothing does"


def bag_columns(answer: Answer) -> list[str]:
    return sorted({name for _, row in answer.rows for name, value in row.items() if holds_bag(value)})
