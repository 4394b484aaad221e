"""Functions that find the matches through one element.

For every place of the pattern there are two: ``walk_i`` gives the rows of all matches with the element at place i, in the graph as
it is; ``change_i`` gives (identity, before, after) for an element of which only properties change and that fits no other place,
in one walk. ``scan`` gives the rows of all matches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from drasi.engine.codegen.expressions import Expressions, label_test
from drasi.engine.codegen.rows import write_condition, write_row
from drasi.engine.codegen.scope import PlaceName, Reads, Recorder
from drasi.engine.codegen.steps import Ends, Expand, Scan, Step, index_label, scan_place, steps_from
from drasi.engine.codegen.types import NODE, Atom
from drasi.engine.codegen.writer import Names, Writer
from drasi.language import tree
from drasi.plan.algebra import Condition, Match, Segment

# Python nests at most 20 blocks; what lies deeper goes into a function of its own.
_DEEPEST = 6


class MatchCode:
    """Writes the functions of one match and the segment behind it."""

    def __init__(self, names: Names, match: Match, segment: Segment, parameters: Mapping[str, Any]) -> None:
        self._names = names
        self._match = match
        self._segment = segment
        self._parameters = parameters
        self._scope = {place.name: PlaceName(index, place.kind) for index, place in enumerate(match.places)}
        self.reads = self._read()
        self._waiting: list[_Walk] = []
        self.functions: list[str] = []

    def write(self) -> None:
        """Fills ``functions`` with the text of every function."""
        for index in range(len(self._match.places)):
            self._write(_Walk(self, f"walk_{index}", index))
            self._write(_Walk(self, f"change_{index}", index, changes=True))
        self._write_scan()

    def _write(self, walk: _Walk) -> None:
        self._waiting.append(walk)
        while self._waiting:
            self.functions.append(self._waiting.pop(0).write())

    def _read(self) -> Reads:
        """What the query reads of each place, by compiling it once for nobody."""
        recorder = Recorder()
        write = Writer(Names())
        conditions = [condition.expression for condition in self._match.conditions]
        self.key_types = write_row(write, lambda draft: self.expressions(draft, recorder), conditions, self._segment, "row")
        return recorder.reads

    def _write_scan(self) -> None:
        write = Writer(self._names)
        with write.block("def scan(out):"):
            place = scan_place(self._match, set())
            if place is None:
                conditions = [condition.expression for condition in self._match.conditions]
                write_row(write, lambda draft: self.expressions(draft, Recorder()), conditions, self._segment, "row")
                write.line("if row is not None: out[()] = row")
            else:
                with write.block(f"for n{place} in {self.candidates(place)}:"):
                    write.line(f"walk_{place}(n{place}, out)")
        self.functions.append(write.text())

    # --- shared with walks ---

    @property
    def match(self) -> Match:
        return self._match

    @property
    def segment(self) -> Segment:
        return self._segment

    @property
    def names(self) -> Names:
        return self._names

    def continue_in(self, walk: _Walk) -> None:
        self._waiting.append(walk)

    def identity(self) -> str:
        places = range(len(self._match.places))
        return "n0" if len(places) == 1 else f"({', '.join(f'n{index}' for index in places)})"

    def candidates(self, place: int) -> str:
        """Code for every element that fits ``place``, as far as an index tells; the label test is still to be made."""
        pattern = self._match.places[place]
        if pattern.kind == "relation":
            if len(pattern.types) == 1:
                return f"list(typed.get({pattern.types[0]!r}, ()))"
            kinds = repr(pattern.types) if pattern.types else "list(typed)"
            return f"[r for kind in {kinds} for r in typed.get(kind, ())]"
        label = index_label(pattern.labels)
        every = f"list(labelled.get({label!r}, ()))" if label is not None else "list(all_nodes())"
        test = self.fits(place, "n")
        return every if isinstance(pattern.labels, tree.Label) or test is None else f"[n for n in {every} if {test}]"

    def fits(self, place: int, node: str) -> str | None:
        """A condition on a node record: it exists and has the labels."""
        labels = self._match.places[place].labels
        if labels is None:
            return f"{node}.properties is not None"
        test = label_test(labels, f"{node}.labels")
        return test if index_label(labels) is not None else f"{node}.properties is not None and {test}"

    def expressions(self, write: Writer, elements: Any) -> Expressions:
        return Expressions(write, self._scope, elements, self._parameters, self._ends)

    def _ends(self, expressions: Expressions, relation: int, function: str) -> Atom:
        """startNode and endNode: of a relation of the pattern both ends are places."""
        edge = next(edge for edge in self._match.edges if edge.relation == relation)
        left = Atom(expressions.elements.value(edge.left), NODE)
        right = Atom(expressions.elements.value(edge.right), NODE)
        which = "start" if function == "startNode" else "end"
        if edge.direction == "both":
            record = expressions.elements.record(relation)
            node = expressions.elements.record(edge.left)
            return expressions.assign(f"{left.code} if {record}.{which} is {node} else {right.code}", NODE)
        forwards = edge.direction == "out"
        return left if forwards == (function == "startNode") else right


class _Locals:
    """Where the generated code has the elements: ``n2`` the record, ``p2`` its properties, ``v2_0`` the first property read."""

    def __init__(self, reads: Reads, changed: int | None = None, before: bool = False) -> None:
        self._reads = reads
        self._changed = changed if before else None

    def record(self, index: int) -> str:
        return f"n{index}"

    def property(self, index: int, key: str) -> str:
        return f"{'o' if index == self._changed else 'v'}{index}_{self._reads.of(index).index(key)}"

    def calculates(self, index: int, key: str) -> None:
        """Known since the recording."""

    def properties(self, index: int) -> str:
        return f"{'q' if index == self._changed else 'p'}{index}"

    def value(self, index: int) -> str:
        return f"{'x' if index == self._changed else 'w'}{index}"


class _Walk:
    """One function: the matches through the element at place ``start``, or the rest of another walk."""

    def __init__(self, code: MatchCode, name: str, start: int, *, changes: bool = False) -> None:
        self._code = code
        self._name = name
        self._start = start
        self._changes = changes
        self._steps: list[Step] = steps_from(code.match, start)
        self._bound: list[int] = []
        self._conditions: list[Condition] = list(code.match.conditions)
        self._locals: list[str] = []
        self._flags: list[str] = []
        # Of conditions on the changed element alone, before and after: whether to go on, and what raised.
        self._keeps: tuple[str, str] | None = None
        self._own_flags: tuple[list[str], list[str]] = ([], [])
        self._loops = 0
        self._rests = 0
        self._begun = False

    # --- the function ---

    def write(self) -> str:
        write = Writer(self._code.names)
        if self._begun:
            with write.block(f"def {self._name}({', '.join([*self._locals, 'out'])}):"):
                self._go_on(write)
            return write.text()
        i = self._start
        if not self._changes:
            with write.block(f"def {self._name}(n{i}, out):"):
                self._bind(write, i, "return")
                self._go_on(write)
            return write.text()
        with write.block(f"def {self._name}(n{i}, q{i}, p{i}, time):"):
            if not self._begin_change(write):
                return write.text()
            write.line("out = []")
            self._go_on(write)
            write.line("return out")
        return write.text()

    def _begin_change(self, write: Writer) -> bool:
        """Nothing to do unless something that is read changes; then conditions on the element alone, before and after.

        Returns:
            Whether there is more to write: False if nothing is read at all.
        """
        i = self._start
        reads = self._code.reads
        names = [(f"o{i}_{number}", f"v{i}_{number}", key) for number, key in enumerate(reads.of(i))]
        for side in (0, 1):
            properties = ("q", "p")[side]
            # Nearly always all are there, and reading them so is twice as fast.
            with write.block("try:" if names else None):
                for name in names:
                    write.line(f"{name[side]} = {properties}{i}[{name[2]!r}]")
            if names:
                with write.block("except KeyError:"):
                    for name in names:
                        write.line(f"{name[side]} = {properties}{i}.get({name[2]!r})")
        # Most changes differ at once; what is equal to Python may still differ (1 and true, 0.0 and -0.0).
        tests = [f"({old} is {new} or {old} == {new} and same({old}, {new}))" for old, new, _ in names]
        if i in reads.whole:
            write.line(f"x{i} = value_of(n{i})")
            write.line(f"w{i} = with_properties(n{i}, p{i}, time)")
        elif tests:
            write.line(f"if {' and '.join(tests)}: return None")
        else:
            write.line("return None")
            return False
        self._locals += [f"n{i}", f"q{i}", f"p{i}"]
        self._locals += [f"{letter}{i}_{number}" for number in range(len(reads.of(i))) for letter in "ov"]
        if i in reads.whole:
            self._locals += [f"x{i}", f"w{i}"]
        self._bound.append(i)
        own = [c for c in self._conditions if c.places <= {i}]
        self._conditions = [c for c in self._conditions if not c.places <= {i}]
        if not own:
            return True
        self._keeps = ("ko", "kn")
        for keep, flags, before in (("ko", self._own_flags[0], True), ("kn", self._own_flags[1], False)):
            write.line(f"{keep} = False")
            with write.block("while True:"):
                for condition in own:
                    write_condition(write, self._maker(before), condition.expression, "break", flags)
                write.line(f"{keep} = True")
                write.line("break")
            self._locals.append(keep)
        write.line("if not (ko or kn): return None")
        # A flag is set only where its condition was reached.
        for keep, flags in zip(self._keeps, self._own_flags, strict=True):
            for flag in flags:
                write.line(f"if not {keep}: {flag} = None")
            self._locals += flags
        return True

    def _go_on(self, write: Writer) -> None:
        with ExitStack() as blocks:
            while self._steps:
                if self._loops >= _DEEPEST:
                    self._call_rest(write)
                    return
                step = self._steps.pop(0)
                leave = "continue" if self._loops else "return"
                if isinstance(step, Expand):
                    blocks.enter_context(self._expand(write, step, leave))
                elif isinstance(step, Ends):
                    blocks.enter_context(self._ends(write, step, leave))
                else:
                    blocks.enter_context(self._scan(write, step))
            self._leaf(write)

    def _call_rest(self, write: Writer) -> None:
        rest = _Walk(self._code, f"{self._name}_rest{self._rests}", self._start, changes=self._changes)
        rest._steps = self._steps
        rest._bound = list(self._bound)
        rest._conditions = self._conditions
        rest._locals = list(self._locals)
        rest._flags = list(self._flags)
        rest._keeps = self._keeps
        rest._own_flags = self._own_flags
        rest._begun = True
        rest._rests = self._rests + 1
        write.line(f"{rest._name}({', '.join([*self._locals, 'out'])})")
        self._code.continue_in(rest)

    # --- steps; each a block around what follows ---

    @contextmanager
    def _expand(self, write: Writer, step: Expand, leave: str) -> Iterator[None]:
        edge = step.edge
        relation, origin, target = f"n{edge.relation}", f"n{step.origin}", f"n{step.target}"
        types = self._code.match.places[edge.relation].types
        kinds = repr(types) if types else "None"
        leaving = edge.direction == ("out" if step.origin == edge.left else "in")
        # A self-loop in the pattern: both ends are one place.
        found = self._code.names.fresh("m") if step.closes else target
        if edge.direction == "both":
            head = f"for {relation}, {found} in touching({origin}, {kinds}):"
            other = None
        else:
            where, end = ("outgoing", "end") if leaving else ("incoming", "start")
            if len(types) == 1:
                head = f"for {relation} in {origin}.{where}.get({types[0]!r}, ()):"
            else:
                head = f"for {relation} in {'leaving' if leaving else 'entering'}({origin}, {kinds}):"
            other = f"{found} = {relation}.{end}"
        with self._loop(write, head):
            if other is not None:
                write.line(other)
            if step.closes:
                write.line(f"if {found} is not {target}: continue")
            self._bind(write, edge.relation, "continue")
            if not step.closes:
                self._bind(write, step.target, "continue")
            yield

    @contextmanager
    def _ends(self, write: Writer, step: Ends, leave: str) -> Iterator[None]:
        edge = step.edge
        relation = f"n{edge.relation}"
        left = self._code.names.fresh("m") if step.left_bound else f"n{edge.left}"
        right = self._code.names.fresh("m") if step.right_bound else f"n{edge.right}"
        with ExitStack() as stack:
            if edge.direction == "both":
                stack.enter_context(self._loop(write, f"for {left}, {right} in both_ways({relation}):"))
                leave = "continue"
            else:
                start, end = ("start", "end") if edge.direction == "out" else ("end", "start")
                write.line(f"{left} = {relation}.{start}")
                write.line(f"{right} = {relation}.{end}")
            if step.left_bound:
                write.line(f"if {left} is not n{edge.left}: {leave}")
            else:
                self._bind(write, edge.left, leave)
            if step.right_bound:
                write.line(f"if {right} is not n{edge.right}: {leave}")
            else:
                self._bind(write, edge.right, leave)
            yield

    @contextmanager
    def _scan(self, write: Writer, step: Scan) -> Iterator[None]:
        with self._loop(write, f"for n{step.place} in {self._code.candidates(step.place)}:"):
            self._bind(write, step.place, "continue", fits=True)
            yield

    @contextmanager
    def _loop(self, write: Writer, head: str) -> Iterator[None]:
        with write.block(head):
            self._loops += 1
            yield

    # --- binding a place ---

    def _bind(self, write: Writer, index: int, leave: str, *, fits: bool = False) -> None:
        """The place has its element: test labels, uniqueness and the conditions that can be tested now; read properties."""
        place = self._code.match.places[index]
        record = f"n{index}"
        given = index == self._start and not self._bound
        if place.kind == "node":
            test = self._code.fits(index, record)
            if not (given or fits) and test is not None:
                write.line(f"if not ({test}): {leave}")
        else:
            for a, b in self._code.match.distinct:
                other = b if a == index else a if b == index else None
                if other is not None and other in self._bound:
                    write.line(f"if {record} is n{other}: {leave}")
        self._locals.append(record)
        self._bound.append(index)
        reads = self._code.reads
        if reads.of(index) or index in reads.whole:
            write.line(f"p{index} = {record}.properties")
            self._locals.append(f"p{index}")
        for number, key in enumerate(reads.of(index)):
            write.line(f"v{index}_{number} = p{index}.get({key!r})")
            self._locals.append(f"v{index}_{number}")
        if index in reads.whole:
            write.line(f"w{index} = {record}.value or value_of({record})")
            self._locals.append(f"w{index}")
        ready = [c for c in self._conditions if self._ready(c)]
        self._conditions = [c for c in self._conditions if not self._ready(c)]
        for condition in ready:
            before = len(self._flags)
            write_condition(write, self._maker(False), condition.expression, leave, self._flags)
            self._locals += self._flags[before:]

    def _ready(self, condition: Condition) -> bool:
        # What reads the changed element has two values and waits for the leaf.
        return condition.places <= set(self._bound) and not (self._changes and self._start in condition.places)

    def _maker(self, before: bool) -> Any:
        elements = _Locals(self._code.reads, self._start if self._changes else None, before)
        return lambda draft: self._code.expressions(draft, elements)

    # --- the complete match ---

    def _leaf(self, write: Writer) -> None:
        identity = self._code.identity()
        rest = [condition.expression for condition in self._conditions]
        numbers = list(self._code.reads.numbers)
        if not self._changes:
            write_row(write, self._maker(False), rest, self._code.segment, "row", self._flags, numbers)
            write.line(f"if row is not None: out[{identity}] = row")
            return
        for side, name, before in ((0, "old", True), (1, "new", False)):
            if self._keeps:
                write.line(f"{name} = None")
            with write.block(f"if {self._keeps[side]}:" if self._keeps else None):
                flags = [*self._flags, *self._own_flags[side]]
                write_row(write, self._maker(before), rest, self._code.segment, name, flags, numbers)
        write.line(f"if old is not None or new is not None: out.append(({identity}, old, new))")
