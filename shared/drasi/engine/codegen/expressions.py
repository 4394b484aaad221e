"""Expressions → statements.

Every sub-expression becomes a local, computed by straight code with the common types first and the full semantics
(``drasi.values.operators``) behind them. What the text tells about types leaves tests out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drasi.engine.codegen.operators import ORDINARY, arithmetic, compare, divide, either
from drasi.engine.codegen.scope import Binding, Elements, PlaceName, Scope
from drasi.engine.codegen.types import (
    ANY,
    BOOL,
    FALSE,
    LIST,
    LOGICAL,
    MAP,
    NODE,
    NONE,
    NULL,
    NUMBER,
    PROPERTY,
    RELATION,
    STRING,
    TRUE,
    Atom,
    types_of,
)
from drasi.engine.codegen.writer import Writer
from drasi.engine.functions.registry import FUNCTIONS
from drasi.language import tree

_TEXT_TESTS = {
    "STARTS WITH": ("starts_with", "{0}.startswith({1})"),
    "ENDS WITH": ("ends_with", "{0}.endswith({1})"),
    "CONTAINS": ("contains", "{1} in {0}"),
}
# Functions of an element that are read off its record.
_ELEMENT_FUNCTIONS = frozenset({"elementId", "id", "labels", "type", "keys", "properties", "startNode", "endNode"})


class Expressions:
    """Compiles expressions in one scope, reading pattern elements through ``elements``."""

    def __init__(
        self,
        writer: Writer,
        scope: Scope,
        elements: Elements,
        parameters: Mapping[str, Any],
        ends: Ends,
        numbers: frozenset[tuple[int, str]] = frozenset(),
    ) -> None:
        self._numbers = numbers
        self._writer = writer
        self._scope = dict(scope)
        self.elements = elements
        self._parameters = parameters
        self._ends = ends

    def within(self, extra: Mapping[str, Binding]) -> Expressions:
        return self._with(self._writer, {**self._scope, **extra}, self._numbers)

    def to(self, writer: Writer) -> Expressions:
        """The same, written elsewhere."""
        return self._with(writer, self._scope, self._numbers)

    def instead(self, scope: Scope) -> Expressions:
        """The same with other names in scope."""
        return self._with(self._writer, scope, self._numbers)

    def assuming(self, numbers: frozenset[tuple[int, str]]) -> Expressions:
        """The same where these properties (of places) are known to be ordinary numbers: floats, or integers within ORDINARY."""
        return self._with(self._writer, self._scope, numbers)

    def _with(self, writer: Writer, scope: Scope, numbers: frozenset[tuple[int, str]]) -> Expressions:
        return Expressions(writer, scope, self.elements, self._parameters, self._ends, numbers)

    def bind(self, expression: tree.Expression) -> Binding:
        """What a name for ``expression`` stands for: an element of the pattern stays one under its new name."""
        return self._place(expression) or self.compile(expression)

    def compile(self, expression: tree.Expression) -> Atom:
        return _COMPILERS[type(expression)](self, expression)

    def condition(self, expression: tree.Expression, what: str = "WHERE") -> Atom:
        """A value that is True, False or None; anything else raises."""
        return self._boolean(self.compile(expression), what)

    def name(self, name: str) -> Binding:
        return self._scope[name]

    # --- names and literals ---

    def compile_literal(self, node: tree.Literal) -> Atom:
        value = node.value
        if value is None or value is True or value is False:
            return {None: NONE, True: TRUE, False: FALSE}[value]
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return Atom(self._writer.names.constant(value), types_of(value))
        text = repr(value)
        return Atom(f"({text})" if text.startswith("-") else text, types_of(value))

    def compile_parameter(self, node: tree.Parameter) -> Atom:
        value = self._parameters[node.name]
        if type(value) in (int, str, bool, type(None)):
            return self.compile_literal(tree.Literal(value))
        return Atom(self._writer.names.constant(value), types_of(value))

    def compile_variable(self, node: tree.Variable) -> Atom:
        binding = self._scope[node.name]
        if isinstance(binding, PlaceName):
            return Atom(self.elements.value(binding.index), NODE if binding.kind == "node" else RELATION)
        return binding

    def compile_list(self, node: tree.ListLiteral) -> Atom:
        items = [self.compile(item).code for item in node.items]
        return self._assign(f"[{', '.join(items)}]", LIST)

    def compile_map(self, node: tree.MapLiteral) -> Atom:
        entries = [f"{key!r}: {self.compile(value).code}" for key, value in node.entries]
        return self._assign(f"{{{', '.join(entries)}}}", MAP)

    # --- access ---

    def _place(self, node: tree.Expression) -> PlaceName | None:
        if isinstance(node, tree.Variable):
            binding = self._scope[node.name]
            if isinstance(binding, PlaceName):
                return binding
        return None

    def compile_property(self, node: tree.Property) -> Atom:
        place = self._place(node.subject)
        if place is not None:
            code = self.elements.property(place.index, node.key)
            return Atom(code, NUMBER, ORDINARY) if (place.index, node.key) in self._numbers else Atom(code, PROPERTY)
        subject = self.compile(node.subject)
        key = repr(node.key)
        if subject.types == MAP:
            return self._assign(f"{subject.code}.get({key})", ANY)
        if subject.types in (NODE, RELATION):
            return self._assign(f"{subject.code}.properties.get({key})", PROPERTY)
        self._writer.raises = True
        code = f"{subject.code}.get({key}) if type({subject.code}) is dict else property_of({subject.code}, {key})"
        return self._assign(code, ANY)

    def compile_index(self, node: tree.Index) -> Atom:
        place = self._place(node.subject)
        if place is not None and isinstance(node.index, tree.Literal) and isinstance(node.index.value, str):
            return Atom(self.elements.property(place.index, node.index.value), PROPERTY)
        subject, key = self.compile(node.subject), self.compile(node.index)
        self._writer.raises = True
        return self._assign(f"index({subject.code}, {key.code})", ANY)

    def compile_slice(self, node: tree.Slice) -> Atom:
        subject = self.compile(node.subject)
        start = self.compile(node.start).code if node.start is not None else "0"
        stop = self.compile(node.stop).code if node.stop is not None else "9223372036854775807"
        self._writer.raises = True
        return self._assign(f"slice_({subject.code}, {start}, {stop})", LIST | NULL)

    def compile_map_projection(self, node: tree.MapProjection) -> Atom:
        subject = self.compile(node.subject)
        result = self._writer.fresh()
        write = self._writer
        write.line(f"{result} = None")
        with write.block(f"if {subject.code} is not None:"):
            write.line(f"{result} = {{}}")
            for key, expression in node.items:
                if expression is None:
                    write.line(f"{result}.update(f_properties({subject.code}))")
                    write.raises = True
                else:
                    write.line(f"{result}[{key!r}] = {self.compile(expression).code}")
        return Atom(result, MAP | NULL)

    # --- operators ---

    def compile_unary(self, node: tree.Unary) -> Atom:
        if node.operator == "NOT":
            value = self.condition(node.operand, "NOT")
            if value.types == BOOL:
                return self._assign(f"not {value.code}", BOOL)
            return self._assign(f"None if {value.code} is None else not {value.code}", LOGICAL)
        operand = self.compile(node.operand)
        self._writer.raises = True
        function = "negate" if node.operator == "-" else "positive"
        return self._assign(f"{function}({operand.code})", operand.types & (NUMBER | NULL) or NUMBER | NULL)

    def compile_binary(self, node: tree.Binary) -> Atom:
        operator = node.operator
        if operator in ("AND", "OR"):
            return self._and_or(node)
        if operator in ("+", "-", "*", "/"):
            for operand in (node.left, node.right):
                place = self._place(operand.subject) if isinstance(operand, tree.Property) else None
                if place is not None and isinstance(operand, tree.Property):
                    self.elements.calculates(place.index, operand.key)
        if operator in ("+", "-", "*"):
            return arithmetic(self._writer, operator, self.compile(node.left), self.compile(node.right))
        if operator == "/":
            return divide(self._writer, self.compile(node.left), self.compile(node.right))
        if operator in _TEXT_TESTS:
            return self._text_test(node)
        if operator == "IN":
            return self._in(node)
        if operator == "XOR":
            left, right = self.condition(node.left, "XOR"), self.condition(node.right, "XOR")
            return self._assign(f"xor({left.code}, {right.code})", LOGICAL)
        left, right = self.compile(node.left), self.compile(node.right)
        self._writer.raises = True
        if operator == "=~":
            return self._assign(f"matches({left.code}, {right.code})", LOGICAL)
        function = "modulo" if operator == "%" else "power"
        return self._assign(f"{function}({left.code}, {right.code})", NUMBER | NULL)

    def _and_or(self, node: tree.Binary) -> Atom:
        operator = node.operator
        operands = [node.right]
        left: tree.Expression = node.left
        # A chain is one flat piece of code: long conditions must not nest.
        while isinstance(left, tree.Binary) and left.operator == operator:
            operands.append(left.right)
            left = left.left
        result = self._writer.fresh()
        decided = "False" if operator == "AND" else "True"
        function = "and_" if operator == "AND" else "or_"
        first = self.condition(left, operator)
        self._writer.line(f"{result} = {first.code}")
        types = first.types
        for operand in reversed(operands):
            with self._writer.block(f"if {result} is not {decided}:"):
                right = self.condition(operand, operator)
                if types == BOOL:
                    # It is not the deciding value, so the result is the right operand's.
                    self._writer.line(f"{result} = {right.code}")
                else:
                    self._writer.line(f"{result} = {function}({result}, {right.code})")
            types |= right.types
        return Atom(result, types & LOGICAL)

    def compile_comparison(self, node: tree.Comparison) -> Atom:
        left = self.compile(node.first)
        (operator, expression), *more = node.rest
        right = self.compile(expression)
        result = compare(self._writer, operator, left, right)
        for operator, expression in more:
            left = right
            combined = self._writer.fresh()
            self._writer.line(f"{combined} = {result.code}")
            with self._writer.block(f"if {combined} is not False:"):
                right = self.compile(expression)
                self._writer.line(f"{combined} = and_({combined}, {compare(self._writer, operator, left, right).code})")
            result = Atom(combined, LOGICAL)
        return result

    def compile_is_null(self, node: tree.IsNull) -> Atom:
        place = self._place(node.operand)
        if place is not None:
            return TRUE if node.negated else FALSE
        operand = self.compile(node.operand)
        if "null" not in operand.types:
            return TRUE if node.negated else FALSE
        return self._assign(f"{operand.code} is {'not ' if node.negated else ''}None", BOOL)

    def _text_test(self, node: tree.Binary) -> Atom:
        left, right = self.compile(node.left), self.compile(node.right)
        function, fast = _TEXT_TESTS[node.operator]
        if right.types == STRING:
            fast = fast.format(left.code, right.code)
            return self._assign(f"{fast} if type({left.code}) is str else {function}({left.code}, {right.code})", LOGICAL)
        return self._assign(f"{function}({left.code}, {right.code})", LOGICAL)

    def _in(self, node: tree.Binary) -> Atom:
        left = self.compile(node.left)
        items = node.right
        if isinstance(items, tree.ListLiteral) and items.items and all(_is_text(item) for item in items.items):
            values = [item.value for item in items.items if isinstance(item, tree.Literal)]
            known = self._writer.names.constant(frozenset(values))
            every = self._writer.names.constant(values)
            return self._assign(f"{left.code} in {known} if type({left.code}) is str else in_list({left.code}, {every})", LOGICAL)
        right = self.compile(items)
        if not right.types <= LIST | NULL:
            self._writer.raises = True
        return self._assign(f"in_list({left.code}, {right.code})", LOGICAL)

    def compile_has_labels(self, node: tree.HasLabels) -> Atom:
        place = self._place(node.subject)
        if place is not None:
            return self._assign(label_test(node.labels, f"{self.elements.record(place.index)}.labels"), BOOL)
        subject = self.compile(node.subject)
        self._writer.raises = True
        return self._assign(_label_logic(node.labels, subject.code), LOGICAL)

    def compile_case(self, node: tree.Case) -> Atom:
        result = self._writer.fresh()
        subject = self.compile(node.subject) if node.subject is not None else None
        write = self._writer
        if len(node.branches) == 1:
            (when, then), default = node.branches[0], node.default if node.default is not None else tree.Literal(None)
            test = self.condition(when, "CASE") if subject is None else compare(write, "=", subject, self.compile(when))
            with write.block(f"if {test.code}:" if test.types == BOOL else f"if {test.code} is True:"):
                first = self.compile(then)
                write.line(f"{result} = {first.code}")
            with write.block("else:"):
                second = self.compile(default)
                write.line(f"{result} = {second.code}")
            return either(result, first, second)
        # A flag instead of nested else: a long CASE must not nest.
        done = write.fresh("d")
        types: frozenset[str] = frozenset()
        for position, (when, then) in enumerate(node.branches):
            with write.block(f"if not {done}:" if position else None):
                test = self.condition(when, "CASE") if subject is None else compare(write, "=", subject, self.compile(when))
                write.line(f"{done} = {test.code} is True")
                with write.block(f"if {done}:"):
                    value = self.compile(then)
                    write.line(f"{result} = {value.code}")
                    types |= value.types
        with write.block(f"if not {done}:"):
            value = self.compile(node.default) if node.default is not None else NONE
            write.line(f"{result} = {value.code}")
            types |= value.types
        return Atom(result, types)

    # --- functions and loops ---

    def compile_cast(self, node: tree.Cast) -> Atom:
        operand = self.compile(node.operand)
        self._writer.raises = True
        return self._assign(f"f_cast({operand.code}, {node.type!r})", ANY)

    def compile_call(self, node: tree.FunctionCall) -> Atom:
        name = node.name
        if name == "coalesce":
            return self._coalesce(node)
        if name == "exists":
            return self.compile_is_null(tree.IsNull(node.arguments[0], negated=True))
        place = self._place(node.arguments[0]) if node.arguments else None
        if place is not None and name in _ELEMENT_FUNCTIONS:
            return self._element_function(name, place)
        arguments = [self.compile(argument) for argument in node.arguments]
        if name in ("elementId", "id") and arguments[0].types in (NODE, RELATION):
            return self._assign(f"{arguments[0].code}.id", STRING)
        self._writer.raises = True
        if name in ("floor", "ceil") and arguments[0].types & NUMBER:
            return self._floor_ceil(name, arguments[0])
        return self._assign(f"f_{identifier(name)}({', '.join(a.code for a in arguments)})", _result_types(name))

    def _floor_ceil(self, name: str, argument: Atom) -> Atom:
        # x // 1 is floor for floats of ordinary size; NaN, infinities and -0.0 take the long way.
        x = argument.code
        fast = f"{x} // 1" if name == "floor" else f"-(-{x} // 1)"
        whole = f"float({x}) if {x}.__class__ is int else " if "int" in argument.types else ""
        return self._assign(
            f"{fast} if {x}.__class__ is float and (0.5 < {x} < 1e15 or -1e15 < {x} < -1.5) else {whole}f_{name}({x})",
            frozenset({"float"}) | (argument.types & NULL),
        )

    def _coalesce(self, node: tree.FunctionCall) -> Atom:
        result = self._writer.fresh()
        first = self.compile(node.arguments[0])
        self._writer.line(f"{result} = {first.code}")
        types = first.types
        for argument in node.arguments[1:]:
            with self._writer.block(f"if {result} is None:"):
                value = self.compile(argument)
                self._writer.line(f"{result} = {value.code}")
            types = (types - NULL) | value.types
        return Atom(result, types)

    def _element_function(self, name: str, place: PlaceName) -> Atom:
        record = self.elements.record(place.index)
        if name in ("elementId", "id"):
            return self._assign(f"{record}.id", STRING)
        if name == "labels" and place.kind == "node":
            return self._assign(f"list({record}.labels)", LIST)
        if name == "type" and place.kind == "relation":
            return self._assign(f"{record}.labels[0]", STRING)
        if name == "keys":
            return self._assign(f"list({self.elements.properties(place.index)})", LIST)
        if name == "properties":
            return self._assign(f"dict({self.elements.properties(place.index)})", MAP)
        if name in ("startNode", "endNode") and place.kind == "relation":
            return self._ends(self, place.index, name)
        self._writer.raises = True
        return self._assign(f"f_{name}({self.elements.value(place.index)})", ANY)

    def compile_comprehension(self, node: tree.ListComprehension) -> Atom:
        write = self._writer
        result = write.fresh()
        with self._loop(node.items, node.variable, result, "[]", "a list comprehension") as inside:
            if node.where is not None:
                test = inside.condition(node.where)
                write.line(f"if {test.code} is not True: continue")
            item = inside.compile(node.projection if node.projection is not None else tree.Variable(node.variable))
            write.line(f"{result}.append({item.code})")
        return Atom(result, LIST | NULL)

    def compile_quantifier(self, node: tree.Quantifier) -> Atom:
        write = self._writer
        result = write.fresh()
        start = {"all": "True", "any": "False", "none": "True", "single": "0"}[node.kind]
        unknown = write.fresh()
        with self._loop(node.items, node.variable, result, start, f"{node.kind}()", f"{unknown} = False") as inside:
            test = inside.condition(node.where, node.kind).code
            if node.kind == "single":
                write.line(f"if {test} is True: {result} += 1")
                write.line(f"elif {test} is None: {unknown} = True")
                write.line(f"if {result} > 1: break")
            else:
                decides, answer = {"all": ("False", "False"), "any": ("True", "True"), "none": ("True", "False")}[node.kind]
                with write.block(f"if {test} is {decides}:"):
                    write.line(f"{result} = {answer}")
                    write.line("break")
                write.line(f"if {test} is None: {result} = None")
        if node.kind == "single":
            with write.block(f"if {result} is not None:"):
                write.line(f"{result} = False if {result} > 1 else None if {unknown} else {result} == 1")
        return Atom(result, LOGICAL)

    def compile_reduce(self, node: tree.Reduce) -> Atom:
        write = self._writer
        initial = self.compile(node.initial)
        result = write.fresh()
        with self._loop(node.items, node.variable, result, initial.code, "reduce()") as inside:
            inside = inside.within({node.accumulator: Atom(result)})
            if node.where is not None:
                test = inside.condition(node.where)
                write.line(f"if {test.code} is not True: continue")
            write.line(f"{result} = {inside.compile(node.projection).code}")
        return Atom(result)

    def _loop(self, items: tree.Expression, variable: str, result: str, start: str, what: str, *more: str) -> Loop:
        return Loop(self, self._writer, self.compile(items), variable, result, start, what, more)

    # --- helping out ---

    def assign(self, code: str, types: frozenset[str]) -> Atom:
        """A new local for the value of ``code``."""
        return self._assign(code, types)

    def _assign(self, code: str, types: frozenset[str]) -> Atom:
        name = self._writer.fresh()
        self._writer.line(f"{name} = {code}")
        return Atom(name, types)

    def _boolean(self, value: Atom, what: str) -> Atom:
        if value.types <= LOGICAL:
            return value
        self._writer.raises = True
        x = value.code
        return self._assign(f"{x} if {x} is True or {x} is False or {x} is None else boolean({x}, {what!r})", LOGICAL)


Ends = Callable[[Expressions, int, str], Atom]
"""Gives the value of startNode / endNode of a relation place."""


class Loop:
    """``for variable in items`` with null and non-lists taken care of."""

    def __init__(
        self,
        outer: Expressions,
        writer: Writer,
        items: Atom,
        variable: str,
        result: str,
        start: str,
        what: str,
        more: tuple[str, ...],
    ) -> None:
        self._outer = outer
        self._writer = writer
        self._items = items
        self._variable = variable
        self._result = result
        self._start = start
        self._what = what
        self._more = more

    def __enter__(self) -> Expressions:
        write, items = self._writer, self._items.code
        write.line(f"{self._result} = None")
        write.line(f"if {items} is not None:")
        write.depth += 1
        if self._items.types - NULL != LIST:
            write.raises = True
            write.line(f"if type({items}) is not list: not_a_list({items}, {self._what!r})")
        for line in self._more:
            write.line(line)
        write.line(f"{self._result} = {self._start}")
        name = write.fresh("x")
        write.line(f"for {name} in {items}:")
        write.depth += 1
        return self._outer.within({self._variable: Atom(name)})

    def __exit__(self, *_: object) -> None:
        self._writer.depth -= 2


def label_test(labels: tree.LabelExpression, code: str) -> str:
    """A Python condition on a tuple of labels."""
    if isinstance(labels, tree.Label):
        return f"{labels.name!r} in {code}"
    if isinstance(labels, tree.AnyLabel):
        return f"bool({code})"
    if isinstance(labels, tree.NotLabel):
        return f"not ({label_test(labels.operand, code)})"
    word = " and " if isinstance(labels, tree.LabelAnd) else " or "
    return "(" + word.join(label_test(operand, code) for operand in labels.operands) + ")"


def _label_logic(labels: tree.LabelExpression, code: str) -> str:
    if isinstance(labels, tree.Label):
        return f"has_labels({code}, ({labels.name!r},))"
    if isinstance(labels, tree.AnyLabel):
        return f"not_(has_labels({code}, ()) and not {code}.labels)"
    if isinstance(labels, tree.NotLabel):
        return f"not_({_label_logic(labels.operand, code)})"
    function = "and_" if isinstance(labels, tree.LabelAnd) else "or_"
    result = _label_logic(labels.operands[0], code)
    for operand in labels.operands[1:]:
        result = f"{function}({result}, {_label_logic(operand, code)})"
    return result


def identifier(name: str) -> str:
    return name.replace(".", "_")


def _is_text(node: tree.Expression) -> bool:
    return isinstance(node, tree.Literal) and isinstance(node.value, str)


def _result_types(name: str) -> frozenset[str]:
    return ANY


def namespace() -> dict[str, Any]:
    """What generated code calls by name: every function of the language."""
    return {f"f_{identifier(name)}": function for name, function in FUNCTIONS.items()}


_COMPILERS: dict[type, Callable[[Expressions, Any], Atom]] = {
    tree.Literal: Expressions.compile_literal,
    tree.Parameter: Expressions.compile_parameter,
    tree.Variable: Expressions.compile_variable,
    tree.ListLiteral: Expressions.compile_list,
    tree.MapLiteral: Expressions.compile_map,
    tree.Property: Expressions.compile_property,
    tree.Index: Expressions.compile_index,
    tree.Slice: Expressions.compile_slice,
    tree.MapProjection: Expressions.compile_map_projection,
    tree.Unary: Expressions.compile_unary,
    tree.Binary: Expressions.compile_binary,
    tree.Comparison: Expressions.compile_comparison,
    tree.IsNull: Expressions.compile_is_null,
    tree.HasLabels: Expressions.compile_has_labels,
    tree.Case: Expressions.compile_case,
    tree.Cast: Expressions.compile_cast,
    tree.FunctionCall: Expressions.compile_call,
    tree.ListComprehension: Expressions.compile_comprehension,
    tree.Quantifier: Expressions.compile_quantifier,
    tree.Reduce: Expressions.compile_reduce,
}
