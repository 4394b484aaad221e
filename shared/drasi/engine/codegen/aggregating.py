"""Functions of one aggregate: rows in, changed groups out.

Maintains: groups by key; per group the number of member rows, which representation of the key is shown, an accumulator per
aggregate, and the row it last gave. A group leaves with its last member; without keys the one group stays for ever.
Cost: constant per changed row (logarithmic where order is kept), one row per changed group, however many of its members changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drasi.engine.codegen.expressions import Expressions
from drasi.engine.codegen.rows import write_row
from drasi.engine.codegen.scope import Recorder, Scope
from drasi.engine.codegen.types import ANY, INT, LIST, NODE, NUMBER, Atom, Types
from drasi.engine.codegen.writer import Names, Writer
from drasi.plan.algebra import Accumulator, Aggregate, Segment

# What each function keeps, and how its value is read.
_KEPT = {"sum": "Sum()", "avg": "Sum()", "min": "Extremes()", "max": "Extremes()"}
_VALUES = {
    "count": ("{0}", INT),
    "sum": ("{0}.total()", NUMBER),
    "avg": ("{0}.mean({1}) if {1} else None", frozenset({"float", "null"})),
    "min": ("{0}.least()", ANY),
    "max": ("{0}.greatest()", ANY),
    "collect": ("list({0}.values())", LIST),
}


class AggregateCode:
    """Writes ``stage_i`` (rows → changed groups) and the class of its groups."""

    def __init__(
        self,
        names: Names,
        number: int,
        aggregate: Aggregate,
        following: Segment,
        parameters: Mapping[str, Any],
        keys: Sequence[Types],
    ) -> None:
        """``keys``: which types each key can have."""
        self.key_types = keys
        # Of what this aggregate gives to the next one.
        self.next_keys: Sequence[Types] = ()
        self._names = names
        self._number = number
        self._aggregate = aggregate
        self._following = following
        self._parameters = parameters
        self._keys = len(aggregate.keys)

    @property
    def slots(self) -> tuple[str, ...]:
        """Attributes of a group beyond those all groups have."""
        result = []
        for i, accumulator in enumerate(self._aggregate.accumulators):
            if accumulator.argument is not None:
                result.append(f"a{i}")
                if accumulator.function == "avg" and not accumulator.distinct:
                    result.append(f"c{i}")
        return tuple(result)

    @property
    def ordered(self) -> bool:
        """Whether the order in which rows of one event arrive can be seen in the result."""
        return any(a.function == "collect" or (a.distinct and a.function != "count") for a in self._aggregate.accumulators)

    def write(self) -> list[str]:
        return [self._write_new(), self._write_row(), self._write_stage()]

    # --- a group ---

    def _write_new(self) -> str:
        write = Writer(self._names)
        n = self._number
        with write.block(f"def new_{n}(key, shown):"):
            write.line(f"g = Group_{n}(key, shown)")
            for i, accumulator in enumerate(self._aggregate.accumulators):
                if accumulator.argument is not None:
                    write.line(f"g.a{i} = {self._empty(accumulator)}")
                    if accumulator.function == "avg" and not accumulator.distinct:
                        write.line(f"g.c{i} = 0")
            write.line("if tracking: g.track()")
            write.line("return g")
        return write.text()

    def _empty(self, accumulator: Accumulator) -> str:
        kept = _KEPT.get(accumulator.function)
        if accumulator.distinct and accumulator.function not in ("min", "max"):
            return f"Distinct({kept}, tracking)"
        if accumulator.function == "count":
            return "0"
        return kept if kept is not None else "{}"

    def _write_row(self) -> str:
        """``row_i(g)``: the row behind the aggregate, and what the following segment makes of it."""
        write = Writer(self._names)
        scope: dict[str, Atom] = {}
        with write.block(f"def row_{self._number}(g):"):
            write.line("if g.errors: return next(iter(g.errors.values()))")
            shown = "g.shown"
            for i, key in enumerate(self._aggregate.keys):
                write.line(f"k{i} = {shown}{f'[{i}]' if self._keys > 1 else ''}")
                scope[key.name] = Atom(f"k{i}", self.key_types[i])
            for i, accumulator in enumerate(self._aggregate.accumulators):
                code, types = self._value(i, accumulator)
                if accumulator.function == "sum":
                    # An integer sum beyond 64 bits is the group's error.
                    with write.block("try:"):
                        write.line(f"v{i} = {code}")
                    write.line("except EvaluationError as error: return Failure(error)")
                else:
                    write.line(f"v{i} = {code}")
                scope[accumulator.name] = Atom(f"v{i}", types)
            names: Scope = scope
            self.next_keys = write_row(write, lambda draft: self._expressions(draft, names), (), self._following, "row")
            write.line("return row")
        return write.text()

    def _value(self, i: int, accumulator: Accumulator) -> tuple[str, frozenset[str]]:
        if accumulator.argument is None:
            return "g.count", INT
        code, types = _VALUES[accumulator.function]
        kept = f"g.a{i}"
        if accumulator.distinct and accumulator.function not in ("min", "max"):
            if accumulator.function == "count":
                return f"len({kept})", INT
            if accumulator.function == "collect":
                return f"list({kept}.shown())", LIST
            return code.format(f"{kept}.inner", f"len({kept})"), types
        return code.format(kept, f"g.c{i}"), types

    def _expressions(self, write: Writer, scope: Scope) -> Expressions:
        return Expressions(write, scope, Recorder(), self._parameters, _no_ends)

    # --- the stage ---

    def _write_stage(self) -> str:
        write = Writer(self._names)
        n = self._number
        with write.block(f"def stage_{n}(deltas):"):
            with write.block("if len(deltas) == 1:"):
                self._write_single(write)
            write.line(f"else: order_{n}(deltas)")
            write.line("touched = {}")
            with write.block("for member, b, a in deltas:"):
                self._write_errors(write)
                with write.block("if b is not None:"):
                    write.line(f"kb = {self._key('b')}")
                    with write.block("if a is not None:"):
                        write.line(f"ka = {self._key('a')}")
                        with write.block("if ka == kb:"):
                            self._group(write, "kb")
                            self._write_replace(write)
                            write.line("continue")
                    self._group(write, "kb")
                    self._write_leave(write)
                    write.line("if a is None: continue")
                with write.block("else:"):
                    write.line("if a is None: continue")
                    write.line(f"ka = {self._key('a')}")
                write.line(f"g = groups_{n}.get(ka)")
                with write.block("if g is None:"):
                    write.line(f"g = groups_{n}[ka] = new_{n}(ka, {self._shown('a')})")
                write.line("if ka not in touched: touched[ka] = g.row")
                self._write_enter(write)
            write.line("out = []")
            with write.block("for key, old in touched.items():"):
                write.line(f"g = groups_{n}[key]")
                if self._aggregate.keyed:
                    with write.block("if not g.count:"):
                        write.line(f"del groups_{n}[key]")
                        write.line("if old is not None: out.append((key, old, None))")
                        write.line("continue")
                write.line(f"new = g.row = row_{n}(g)")
                write.line("if old is not None or new is not None: out.append((key, old, new))")
            write.line("return out")
        return write.text()

    def _write_single(self, write: Writer) -> None:
        """One row that stays in its group under the very same keys: most changes of most queries."""
        n = self._number
        write.line("member, b, a = deltas[0]")
        stays = " and ".join(["b.__class__ is tuple and a.__class__ is tuple", *[f"a[{i}] is b[{i}]" for i in range(self._keys)]])
        with write.block(f"if {stays}:"):
            write.line(f"key = {self._key('b')}")
            write.line(f"g = groups_{n}[key]")
            self._write_arguments(write)
            write.line("old = g.row")
            write.line(f"new = g.row = row_{n}(g)")
            write.line("return [(key, old, new)] if old is not None or new is not None else []")

    def _write_errors(self, write: Writer) -> None:
        n = self._number
        with write.block("if b.__class__ is Failure:"):
            write.line(f"errors_{n}.pop(member, None)")
            write.line("b = None")
        with write.block("if a.__class__ is Failure:"):
            write.line(f"errors_{n}[member] = a")
            write.line("a = None")

    def _group(self, write: Writer, key: str) -> None:
        write.line(f"g = groups_{self._number}[{key}]")
        write.line(f"if {key} not in touched: touched[{key}] = g.row")

    def _key(self, row: str) -> str:
        parts = []
        for i in range(self._keys):
            x = f"{row}[{i}]"
            if self.key_types[i] == NODE:
                parts.append(f"('node', {x}.source, {x}.id)")
                continue
            plain = f"{x}.__class__ is str or {x}.__class__ is int"
            # Elements are the other usual keys; the tuple is what group_key gives for a node.
            parts.append(f"({x} if {plain} else ('node', {x}.source, {x}.id) if {x}.__class__ is Node else group_key({x}))")
        return parts[0] if self._keys == 1 else f"({', '.join(parts)})"

    def _shown(self, row: str) -> str:
        return f"{row}[0]" if self._keys == 1 else f"[{', '.join(f'{row}[{i}]' for i in range(self._keys))}]"

    def _settled(self, row: str) -> str:
        """Whether the row's keys plainly are those shown: texts and integers that are equivalent are the same."""
        tests = []
        for i in range(self._keys):
            x, s = f"{row}[{i}]", f"g.shown[{i}]" if self._keys > 1 else "g.shown"
            tests.append(f"({x}.__class__ is {s}.__class__ and ({x}.__class__ is str or {x}.__class__ is int))")
        return " and ".join(tests) or "True"

    def _write_replace(self, write: Writer) -> None:
        if self._keys:
            with write.block(f"if g.late is not None or not ({self._settled('a')}):"):
                write.line(f"old, new = {self._shown('b')}, {self._shown('a')}")
                write.line("if not same(old, new): g.replace(member, old, new)")
        self._write_arguments(write)

    def _write_arguments(self, write: Writer) -> None:
        """The arguments of a row that stays in its group ``g``: those of ``b`` out, those of ``a`` in."""
        if not self._positions():
            return
        with write.block(f"if {self._any_failure('a')} or {self._any_failure('b')}:"):
            self._with_failures(write, "b", self._removals(), "g.errors.pop(member, None)")
            self._with_failures(write, "a", self._additions(), "fail(g, member, {0})")
        with write.block("else:"):
            for i, j, accumulator in self._arguments():
                b, a = f"b[{j}]", f"a[{j}]"
                # A distinct value that stays keeps its place among its equals.
                test = f"{b} is not {a} and not same({b}, {a})" if accumulator.distinct else f"{b} is not {a}"
                with write.block(f"if {test}:"):
                    if accumulator.function == "collect" and not accumulator.distinct:
                        # A value that is replaced keeps its place in the list; one that becomes null gives it up.
                        write.line(f"if {a} is None: g.a{i}.pop(member, None)")
                    elif accumulator.function in _KEPT and not accumulator.distinct:
                        write.line(f"if {a} is not None and {b} is not None: g.a{i}.replace({b}, {a})")
                        with write.block("else:"):
                            self._lines(write, _removal(i, b, accumulator))
                            self._lines(write, _addition(i, a, accumulator))
                        continue
                    else:
                        self._lines(write, _removal(i, b, accumulator))
                    self._lines(write, _addition(i, a, accumulator))

    def _write_leave(self, write: Writer) -> None:
        write.line("if g.late is None: g.count -= 1")
        write.line("else: g.leave(member)")
        self._with_failures(write, "b", self._removals(), "g.errors.pop(member, None)")

    def _write_enter(self, write: Writer) -> None:
        if self._keys:
            with write.block(f"if g.late is None and {self._settled('a')}:"):
                write.line("g.count += 1")
            with write.block("else:"):
                write.line(f"g.enter(member, {self._shown('a')})")
        else:
            write.line("g.count += 1")
        self._with_failures(write, "a", self._additions(), "fail(g, member, {0})")

    def _with_failures(self, write: Writer, row: str, lines: list[str], failed: str) -> None:
        """``lines`` for ``row``, unless an argument of it is in error."""
        if not lines:
            return
        failure = " or ".join(f"({row}[{j}].__class__ is Failure and {row}[{j}])" for j in self._positions())
        with write.block(f"if {self._any_failure(row)}:"):
            write.line(failed.format(failure))
        with write.block("else:"):
            self._lines(write, [line.replace("ROW", row) for line in lines])

    def _any_failure(self, row: str) -> str:
        return " or ".join(f"{row}[{j}].__class__ is Failure" for j in self._positions())

    @staticmethod
    def _lines(write: Writer, lines: list[str]) -> None:
        for line in lines:
            write.line(line)

    def _positions(self) -> list[int]:
        """Where in a row the arguments are."""
        count = sum(1 for accumulator in self._aggregate.accumulators if accumulator.argument is not None)
        return list(range(self._keys, self._keys + count))

    def _additions(self) -> list[str]:
        return [line for i, j, accumulator in self._arguments() for line in _addition(i, f"ROW[{j}]", accumulator)]

    def _removals(self) -> list[str]:
        return [line for i, j, accumulator in self._arguments() for line in _removal(i, f"ROW[{j}]", accumulator)]

    def _arguments(self) -> list[tuple[int, int, Accumulator]]:
        accumulators = [(i, a) for i, a in enumerate(self._aggregate.accumulators) if a.argument is not None]
        return [(i, j, a) for (i, a), j in zip(accumulators, self._positions(), strict=True)]


def _addition(i: int, value: str, accumulator: Accumulator) -> list[str]:
    kept, function = f"g.a{i}", accumulator.function
    if accumulator.distinct and function not in ("min", "max"):
        return [f"if {value} is not None: {kept}.add(member, {value})"]
    if function == "count":
        return [f"if {value} is not None: {kept} += 1"]
    if function == "collect":
        return [f"if {value} is not None: {kept}[member] = {value}"]
    if function == "avg":
        return [f"if {value} is not None:", f"    {kept}.add({value})", f"    g.c{i} += 1"]
    return [f"if {value} is not None: {kept}.add({value})"]


def _removal(i: int, value: str, accumulator: Accumulator) -> list[str]:
    kept, function = f"g.a{i}", accumulator.function
    if accumulator.distinct and function not in ("min", "max"):
        return [f"if {value} is not None: {kept}.remove(member, {value})"]
    if function == "count":
        return [f"if {value} is not None: {kept} -= 1"]
    if function == "collect":
        return [f"{kept}.pop(member, None)"]
    if function == "avg":
        return [f"if {value} is not None:", f"    {kept}.remove({value})", f"    g.c{i} -= 1"]
    return [f"if {value} is not None: {kept}.remove({value})"]


def _no_ends(expressions: Expressions, relation: int, function: str) -> Atom:
    raise AssertionError("behind an aggregate there are no places")
