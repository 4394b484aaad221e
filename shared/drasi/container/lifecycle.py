"""Queries come, change, stop and go; what they miss is read from the sources, and they begin when it is there."""

from __future__ import annotations

import msgspec

from drasi.container import events as wire
from drasi.container.build import Build, Positions, decode_elements, folded
from drasi.container.change import check_alone, made
from drasi.container.entry import Configure, Forget, Part
from drasi.container.group import Group, key_of
from drasi.container.labels import NOTHING
from drasi.container.query import Query, define, reason, rebuild_needed
from drasi.container.state import State
from drasi.engine import Delete, Diff, Insert
from drasi.engine.changes import Change
from drasi.engine.graph import RelationRecord
from drasi.messages.changes import Element

_ROWS = 1_000
"""Of one event, while the first rows of a query appear."""


class Lifecycle:
    """Applies control messages and parts of bootstraps to a state."""

    def __init__(self, state: State) -> None:
        self._state = state

    # --- control messages ---

    def configure(self, item: Configure) -> None:
        state = self._state
        old = state.queries.get(item.query)
        if old is not None and item.version <= old.version:
            return
        if old is not None and old.definition is not None and old.state != "failed" and not rebuild_needed(old.spec, item.spec):
            old.version = item.version
            old.spec = item.spec
            old.definition = define(item.spec)
            return
        if old is not None:
            self._withdraw(old)
            last = old.sequence
        else:
            last = state.retired.pop(item.query, 0)
        query = Query(item.query, item.version, item.spec, max(last, item.sequence_from - 1))
        if old is not None:
            query.marks = old.marks
        state.queries[item.query] = query
        self._place(query)
        self._tidy()
        state.control(query, "bootstrapStarted")
        if query.state == "failed":
            state.control(query, "stopped")
        else:
            self._begin(query)

    def remove(self, query_id: str) -> None:
        state = self._state
        query = state.queries.get(query_id)
        if query is None:
            return
        state.control(query, "deleted")
        self._withdraw(query)
        del state.queries[query_id]
        state.retired[query_id] = query.sequence
        self._tidy()

    def stop(self, query_id: str) -> None:
        """An operator pauses a query: its rows stay as they are, its labels are still followed."""
        query = self._state.queries.get(query_id)
        if query is None or query.state not in ("running", "bootstrapping"):
            return
        group = self._group(query)
        if query.state == "running":
            query.frozen = dict(self._state.texts(query, group))
            group.engine.remove(query.id)
        query.state = "stopped"
        query.since_ns = self._state.at_ns
        self._state.control(query, "stopped")

    def start(self, query_id: str) -> None:
        """A stopped query goes on: one difference from the rows it had to the rows of now. A failed one begins anew."""
        state = self._state
        query = state.queries.get(query_id)
        if query is None or query.state not in ("stopped", "failed"):
            return
        query.since_ns = state.at_ns
        if query.state == "stopped" and query.frozen is not None and self._group(query).ready(query):
            old, query.frozen = query.frozen, None
            self._enter(query)
            if query.state == "stopped":
                rows = state.texts(query, self._group(query))
                query.rows = len(rows)
                added, updated, deleted = wire.difference(old, rows)
                if added or updated or deleted:
                    state.rows(query, self._group(query).engine.clock, added=added, updated=updated, deleted=deleted)
                query.state = "running"
                state.control(query, "running")
            return
        query.state = "bootstrapping"
        query.error = ""
        query.frozen = None
        query.rows = 0
        if query.group is None:
            self._place(query)
        state.control(query, "bootstrapStarted")
        if query.definition is None:
            state.control(query, "stopped")
        else:
            self._begin(query)

    def renew(self, query_id: str) -> None:
        """What a query sees is read again from its sources; other queries get what turns out to differ as ordinary differences, and
        so does one that an operator has stopped, when it goes on."""
        state = self._state
        query = state.queries.get(query_id)
        if query is None or query.definition is None:
            return
        group = self._group(query)
        stopped = query.state == "stopped"
        if not stopped:
            if query.id in group.engine.names():
                group.engine.remove(query.id)
            query.state = "bootstrapping"
            query.error = ""
            query.frozen = None
            query.rows = 0
            query.since_ns = state.at_ns
            state.control(query, "bootstrapStarted")
        for source, needs in query.definition.needs.items():
            held = needs & group.held.get(source, NOTHING)
            for build in group.builds_of(source):
                held = held - build.wanted
            if held:
                group.begin(Build(state.take_number(), source, held, renew=True))
        if not stopped:
            self._begin(query)

    def forget(self, item: Forget) -> None:
        """A source was deleted. If one of its name comes again, it is another one: its positions begin anew, and what is known
        of it is read again; until then queries keep what they have."""
        state = self._state
        state.watermarks.forget(item.source)
        state.latest.pop(item.source, None)
        for group in state.by_source.get(item.source, []):
            if item.elements:
                state.delete_all(group, list(group.engine.elements(item.source)), group.engine.clock, None)
            self._renew(group, item.source)

    def reread(self, source: str) -> None:
        """Changes of a source may be lost, though not its positions: it is read again, and until then queries keep what they
        have."""
        for group in self._state.by_source.get(source, []):
            self._renew(group, source)

    def _renew(self, group: Group, source: str) -> None:
        wanted = group.following.get(source, NOTHING)
        for build in group.builds_of(source):
            group.abandon(build)
        if wanted:
            group.begin(Build(self._state.take_number(), source, wanted, renew=True))

    # --- places ---

    def _group(self, query: Query) -> Group:
        assert query.group is not None
        return self._state.groups[query.group]

    def _place(self, query: Query) -> None:
        """Compiles a query and gives it its graph."""
        state = self._state
        query.since_ns = state.at_ns
        try:
            definition = query.definition = define(query.spec)
        except Exception as error:
            query.state = "failed"
            query.error = reason(error)
            return
        key = key_of(definition)
        group = next((group for group in state.groups.values() if group.key == key), None)
        if group is None:
            group = Group(state.take_number(), key, state.engine())
            state.groups[group.number] = group
            state.index()
        query.group = group.number
        group.queries[query.id] = query

    def _withdraw(self, query: Query) -> None:
        if query.group is None:
            return
        group = self._group(query)
        del group.queries[query.id]
        if query.id in group.engine.names():
            group.engine.remove(query.id)

    def _tidy(self) -> None:
        """Graphs that nobody uses go, and elements whose labels nobody wants any more."""
        state = self._state
        for group in list(state.groups.values()):
            if not group.queries:
                del state.groups[group.number]
                state.index()
                continue
            for source, followed in group.shrink().items():
                gone = [
                    element
                    for element in group.engine.elements(source)
                    if not followed.has(element.labels, relation=isinstance(element, RelationRecord))
                ]
                state.delete_all(group, gone, 0, None)

    # --- beginning ---

    def _begin(self, query: Query) -> None:
        """What is missing in the graph is going to be read; if nothing is, the query is built from what is there."""
        group = self._group(query)
        for source, missing in list(group.missing(query)):
            group.begin(Build(self._state.take_number(), source, missing, renew=False))
        if group.ready(query):
            self._complete(query)

    def _complete(self, query: Query) -> None:
        """Everything the query wants is in the graph: its rows appear, as one difference cut into events."""
        state = self._state
        whole = self._enter(query)
        if query.state == "failed":
            return
        query.rows = 0
        if whole is not None:
            for start in range(0, len(whole.changes), _ROWS):
                state.emit([(query.id, Diff(whole.shape, whole.changes[start : start + _ROWS], 0))])
        state.control(query, "bootstrapCompleted")
        query.state = "running"
        state.control(query, "running")

    def _enter(self, query: Query) -> Diff | None:
        """Evaluates a query over the graph at hand, and returns its rows as a difference; from now on it gets every change."""
        assert query.definition is not None
        group = self._group(query)
        try:
            whole = group.engine.add(query.id, query.definition.compiled)
        except Exception as error:
            self._state.stop_failed(query, error)
            return None
        if group.engine.failed:
            self._state.fail(group)
        return whole

    # --- bootstrap ---

    def part(self, item: Part) -> None:
        """A part of a snapshot; dropped unless it is the one that comes next."""
        for group in self._state.groups.values():
            build = group.builds.get(item.build)
            if build is not None and build.continues(item):
                elements = decode_elements(item.elements)
                self._arrive(group, build, elements, item.position)
                build.advance(item, len(elements))
                return

    def _arrive(self, group: Group, build: Build, elements: list[Element], position: Positions) -> None:
        reading = group.reading[build.source]
        changes: list[tuple[Element, Change]] = []
        for element in elements:
            relation = element.startId is not None
            if not build.wanted.has(element.labels, relation=relation):
                continue
            known = group.engine.knows(build.source, element.id)
            if known and not build.renew:
                continue
            arrived = reading.arrive(element, position, relation=relation, renew=build.renew)
            if arrived is None:
                continue
            now, time_ms = arrived
            if now is not None:
                changes.append((now, Insert(made(build.source, now, time_ms))))
            elif known:
                changes.append((element, Delete(build.source, element.id, element.labels, time_ms)))
        self._apply(group, build.source, changes)

    def _apply(self, group: Group, source: str, changes: list[tuple[Element, Change]]) -> None:
        """Several changes as one difference; malformed elements become dead letters."""
        if not changes:
            return
        state = self._state
        try:
            results = group.engine.apply_transaction([change for _, change in changes])
        except ValueError:
            results = group.engine.apply_transaction(self._good(source, changes))
        if results:
            state.emit(results)
        if group.engine.failed:
            state.fail(group)

    def _good(self, source: str, changes: list[tuple[Element, Change]]) -> list[Change]:
        good = []
        for element, change in changes:
            try:
                check_alone(change)
            except ValueError as error:
                self._state.record(source, None, msgspec.json.encode(element), f"bootstrap: {error}", element.id)
            else:
                good.append(change)
        return good

    def settle(self) -> None:
        """At the end of an entry: builds that are complete end, and queries that have all they want begin."""
        for group in list(self._state.groups.values()):
            for build in list(group.builds.values()):
                reading = group.reading[build.source]
                if reading.marked(build, self._state.watermarks.positions(build.source)):
                    self._end(group, build)

    def _end(self, group: Group, build: Build) -> None:
        reading = group.reading[build.source]
        following = group.following.get(build.source, NOTHING)
        changes: list[tuple[Element, Change]] = []
        for held in reading.rest(build.wanted):
            now, time_ms = folded(None, held)
            if now is not None and following.has(now.labels, relation=now.startId is not None):
                changes.append((now, Insert(made(build.source, now, time_ms))))
        self._apply(group, build.source, changes)
        if build.renew:
            gone = [
                element
                for element in group.engine.elements(build.source)
                if element.id not in reading.covered
                and element.id not in reading.since
                and build.wanted.has(element.labels, relation=isinstance(element, RelationRecord))
            ]
            self._state.delete_all(group, gone, group.engine.clock, None)
        group.end(build)
        for query in list(group.queries.values()):
            if query.state == "bootstrapping" and group.ready(query):
                self._complete(query)
        self.advance(build.ts_ns // 1_000_000, [group])

    # --- the clock ---

    def advance(self, to_ms: int, groups: list[Group]) -> None:
        """The clock moves, at most a little beyond the entry's instant."""
        state = self._state
        to_ms = min(to_ms, state.horizon_ms)
        for group in groups:
            if to_ms > group.engine.clock:
                results = group.engine.advance(to_ms)
                if results:
                    state.emit(results)
                if group.engine.failed:
                    state.fail(group)
