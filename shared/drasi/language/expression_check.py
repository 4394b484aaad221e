"""Checks of expressions: names, functions, and types as far as they are certain."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from drasi.errors import QueryError
from drasi.language import functions, tree, types
from drasi.language.checked import QueryWarning
from drasi.language.place import error_at, locate, nearest
from drasi.language.scope import Context, Scope
from drasi.language.tree import Expression, Tree
from drasi.language.types import Type, certainly_not, list_of, unite
from drasi.language.walk import descendants

CAST_TYPES = {
    "STRING": types.STRING,
    "INTEGER": types.INTEGER,
    "INT": types.INTEGER,
    "FLOAT": types.FLOAT,
    "BOOLEAN": types.BOOLEAN,
    "BOOL": types.BOOLEAN,
}
_BOOLEAN = frozenset({"boolean"})
_LIST = frozenset({"list"})
_INTEGER = frozenset({"integer"})
_HAS_PROPERTIES = types.ELEMENTS | types.TEMPORALS | {"map"}
_PER_CALL = frozenset({"rand", "randomUUID"})
_COMPONENTS = frozenset(
    ["years", "quarters", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"]
)
_DIFFERENCE = Type("duration", Type("difference"))
"""A duration that is the difference of two instants: its components are remainders, not totals."""

_LEGACY = {
    "filter": "write [x IN list WHERE condition]",
    "extract": "write [x IN list | expression]",
    "shortestpath": "name the path in MATCH: MATCH p = shortestPath((a)-[*]-(b))",
    "allshortestpaths": "name the path in MATCH: MATCH p = allShortestPaths((a)-[*]-(b))",
}


class ExpressionChecker:
    """Gives every expression its static type, or refuses it."""

    def __init__(self, text: str, parameters: Mapping[str, Any] | None, language: str) -> None:
        self.text = text
        self.parameters = parameters
        self.language = language
        self.used_parameters: set[str] = set()
        self.warnings: list[QueryWarning] = []
        self.names_seen: set[str] = set()

    @abstractmethod
    def pattern_scope(self, pattern: tree.PathPattern, scope: Scope, context: Context) -> Scope:
        """The scope inside a pattern comprehension."""

    @abstractmethod
    def pattern_predicate(self, predicate: tree.PatternPredicate, scope: Scope, context: Context) -> None:
        """Checks a pattern that stands for a condition."""

    @abstractmethod
    def subquery(self, subquery: tree.Subquery, scope: Scope, context: Context) -> Type:
        """Checks EXISTS, COUNT, COLLECT."""

    # --- errors and warnings ------------------------------------------------------------------------------------------

    def fail(self, at: Tree, detail: str, message: str, *, hint: str = "", type: str = "SyntaxError") -> QueryError:  # noqa: A002
        return error_at(self.text, at.pos, detail, message, hint=hint, type=type)

    def warn(self, at: Tree, code: str, message: str) -> None:
        line, column = locate(self.text, at.pos)
        self.warnings.append(QueryWarning(code, message, line, column))

    def undefined(self, at: Tree, name: str, scope: Iterable[str]) -> QueryError:
        known = sorted(scope)
        if name in self.names_seen:
            hint = f"{name} is not carried to this place: a WITH keeps only what it names"
        elif close := nearest(name, known):
            hint = f"did you mean {close}?"
        elif known:
            hint = f"in scope: {', '.join(known[:10])}{', …' if len(known) > 10 else ''}"
        else:
            hint = f"no variables are in scope; a text is written in quotes: '{name}'"
        return self.fail(at, "UndefinedVariable", f"the variable {name} is not defined", hint=hint)

    def _want(self, expression: Expression, found: Type, accepted: frozenset[str], what: str) -> None:
        if certainly_not(found, accepted):
            raise self.fail(expression, "InvalidArgumentType", f"{what} takes {_names(accepted)}, this is {found}")

    # --- expressions --------------------------------------------------------------------------------------------------

    def condition(self, expression: Expression, scope: Scope, context: Context, what: str = "WHERE") -> None:
        """Checks an expression that must be true, false or null."""
        found = self.type_of(expression, scope, context.condition)
        self._want(expression, found, _BOOLEAN, what)

    def type_of(self, expression: Expression, scope: Scope, context: Context) -> Type:
        """The static type of an expression.

        Raises:
            QueryError: It certainly fails, or names what is not there.
        """
        match expression:
            case tree.Literal(value=value):
                return _literal_type(value)
            case tree.Variable(name=name):
                if name not in scope:
                    raise self.undefined(expression, name, scope)
                return scope[name]
            case tree.Parameter():
                return self._parameter(expression)
            case tree.Property():
                return self._property(expression, scope, context.value)
            case tree.Binary():
                return self._binary(expression, scope, context)
            case tree.Comparison(first=first, rest=rest):
                for operand in (first, *(operand for _, operand in rest)):
                    self.type_of(operand, scope, context.value)
                return types.BOOLEAN
            case tree.Unary():
                return self._unary(expression, scope, context)
            case tree.IsNull(operand=operand) | tree.HasLabels(subject=operand):
                found = self.type_of(operand, scope, context.value)
                if isinstance(expression, tree.HasLabels):
                    self._want(operand, found, types.ELEMENTS, "a label test")
                return types.BOOLEAN
            case tree.FunctionCall():
                return self._call(expression, scope, context)
            case tree.ListLiteral(items=items):
                return list_of(unite([self.type_of(item, scope, context.value) for item in items]))
            case tree.MapLiteral(entries=entries):
                for _, value_ in entries:
                    self.type_of(value_, scope, context.value)
                return types.MAP
            case tree.Index():
                return self._index(expression, scope, context.value)
            case tree.Slice():
                return self._slice(expression, scope, context.value)
            case tree.MapProjection():
                return self._map_projection(expression, scope, context.value)
            case tree.Case():
                return self._case(expression, scope, context)
            case tree.Cast(operand=operand, type=name):
                self.type_of(operand, scope, context.value)
                return self._cast_type(expression, name)
            case _:
                return self._loop(expression, scope, context)

    def _loop(self, expression: Expression, scope: Scope, context: Context) -> Type:
        """Expressions with a scope of their own."""
        match expression:
            case tree.ListComprehension(variable=variable, items=items, where=where, projection=projection):
                source = self.type_of(items, scope, context.value)
                self._want(items, source, _LIST, "a list comprehension")
                inner = {**scope, variable: source.item or types.ANY}
                looping = context.value.looping("in a list comprehension")
                if where is not None:
                    self.condition(where, inner, looping)
                return list_of(inner[variable] if projection is None else self.type_of(projection, inner, looping))
            case tree.Quantifier(kind=kind, variable=variable, items=items, where=where_):
                source = self.type_of(items, scope, context.value)
                self._want(items, source, _LIST, f"{kind}(…)")
                inner = {**scope, variable: source.item or types.ANY}
                self.condition(where_, inner, context.value.looping(f"in {kind}(…)"))
                return types.BOOLEAN
            case tree.Reduce():
                source = self.type_of(expression.items, scope, context.value)
                self._want(expression.items, source, _LIST, "reduce(…)")
                self.type_of(expression.initial, scope, context.value)
                # The fold may change the accumulator's type.
                inner = {**scope, expression.accumulator: types.ANY, expression.variable: source.item or types.ANY}
                looping = context.value.looping("in reduce(…)")
                if expression.where is not None:
                    self.condition(expression.where, inner, looping)
                self.type_of(expression.projection, inner, looping)
                return types.ANY
            case tree.PatternComprehension(pattern=pattern, where=where, projection=projection_):
                looping = context.value.looping("in a pattern comprehension")
                inner = self.pattern_scope(pattern, scope, looping)
                if where is not None:
                    self.condition(where, inner, looping)
                return list_of(self.type_of(projection_, inner, looping))
            case tree.PatternPredicate():
                if not context.predicate:
                    hint = "use exists { … } for a condition, [(a)-->(b) | b] for a list, COUNT { … } for a number"
                    raise self.fail(expression, "UnexpectedSyntax", "a pattern is no value", hint=hint)
                self.pattern_predicate(expression, scope, context)
                return types.BOOLEAN
            case tree.Subquery():
                return self.subquery(expression, scope, context)
            case _:
                raise TypeError(f"no rule for {type(expression).__name__}")

    def _parameter(self, parameter: tree.Parameter) -> Type:
        self.used_parameters.add(parameter.name)
        if self.parameters is not None and parameter.name not in self.parameters:
            close = nearest(parameter.name, self.parameters)
            hint = f"did you mean ${close}?" if close else f"give it in the query's parameters: {parameter.name}"
            raise self.fail(
                parameter, "MissingParameter", f"the parameter ${parameter.name} is not given", hint=hint, type="ParameterMissing"
            )
        # A parameter's type is a matter of run time, as the TCK has it.
        return types.ANY

    def _property(self, expression: tree.Property, scope: Scope, context: Context) -> Type:
        subject = self.type_of(expression.subject, scope, context)
        if certainly_not(subject, _HAS_PROPERTIES):
            type_ = "SyntaxError" if subject == types.PATH else "TypeError"
            message = f"{subject} has no properties, so no .{expression.key}"
            raise self.fail(expression, "InvalidArgumentType", message, type=type_, hint=_property_hint(subject))
        if subject.name == "duration":
            if subject == _DIFFERENCE and expression.key in _COMPONENTS:
                total = {"days": "duration.inDays", "weeks": "duration.inDays"}.get(
                    expression.key,
                    "duration.inMonths" if expression.key in ("years", "quarters", "months") else "duration.inSeconds",
                )
                self.warn(
                    expression,
                    "DurationComponent",
                    f".{expression.key} of a difference is what is left within its component, not the total; "
                    f"use {total}(…).{expression.key} for the total",
                )
            return types.INTEGER
        return types.ANY

    def _unary(self, expression: tree.Unary, scope: Scope, context: Context) -> Type:
        if expression.operator == "NOT":
            found = self.type_of(expression.operand, scope, context)
            self._want(expression.operand, found, _BOOLEAN, "NOT")
            return types.BOOLEAN
        found = self.type_of(expression.operand, scope, context.value)
        self._want(expression.operand, found, types.NUMBERS | {"duration"}, f"unary {expression.operator}")
        return found

    def _binary(self, expression: tree.Binary, scope: Scope, context: Context) -> Type:
        operator = expression.operator
        if operator in ("AND", "OR", "XOR"):
            for operand in (expression.left, expression.right):
                self._want(operand, self.type_of(operand, scope, context), _BOOLEAN, operator)
            return types.BOOLEAN
        left = self.type_of(expression.left, scope, context.value)
        right = self.type_of(expression.right, scope, context.value)
        match operator:
            case "IN":
                self._want(expression.right, right, _LIST, "IN")
                return types.BOOLEAN
            case "=~":
                self._regular_expression(expression.right)
                return types.BOOLEAN
            case "STARTS WITH" | "ENDS WITH" | "CONTAINS":
                return types.BOOLEAN
            case _:
                return self._arithmetic(expression, left, right)

    def _regular_expression(self, pattern: Expression) -> None:
        if not isinstance(pattern, tree.Literal) or not isinstance(pattern.value, str):
            return
        from drasi.values.errors import EvaluationError
        from drasi.values.patterns import compile_pattern

        try:
            compile_pattern(pattern.value)
        except EvaluationError as error:
            message, hint = error.message, error.hint
            raise self.fail(pattern, "InvalidArgumentValue", message, hint=hint, type="TypeError") from None

    def _arithmetic(self, expression: tree.Binary, left: Type, right: Type) -> Type:
        operator = expression.operator
        if operator == "/" and _whole(expression.left) and _whole(expression.right):
            self.warn(
                expression,
                "IntegerDivision",
                "the quotient of two integers is cut off to an integer: 7 / 2 is 3; write 7 / 2.0 for 3.5",
            )
        found = arithmetic_type(operator, left, right)
        if found is None:
            known = [str(type_) for type_ in (left, right) if type_ != types.ANY]
            message = f"{operator} does not {'combine' if len(known) > 1 else 'take'} {' and '.join(known)}"
            raise self.fail(expression, "InvalidArgumentType", message, hint=_arithmetic_hint(operator, left, right))
        return found

    def _index(self, expression: tree.Index, scope: Scope, context: Context) -> Type:
        subject = self.type_of(expression.subject, scope, context)
        index = self.type_of(expression.index, scope, context)
        if certainly_not(subject, types.ELEMENTS | {"list", "map"}):
            message = f"{subject} has no items, so no […]"
            raise self.fail(expression, "InvalidArgumentType", message, type="TypeError")
        if subject.name == "list" and certainly_not(index, _INTEGER):
            message = f"a list's index is an integer, this is {index}"
            raise self.fail(expression.index, "InvalidArgumentType", message, type="TypeError")
        return (subject.item or types.ANY) if subject.name == "list" else types.ANY

    def _slice(self, expression: tree.Slice, scope: Scope, context: Context) -> Type:
        subject = self.type_of(expression.subject, scope, context)
        if certainly_not(subject, _LIST):
            raise self.fail(expression, "InvalidArgumentType", f"{subject} has no items to slice", type="TypeError")
        for bound in (expression.start, expression.stop):
            if bound is not None and certainly_not(found := self.type_of(bound, scope, context), _INTEGER):
                message = f"a slice's bound is an integer, this is {found}"
                raise self.fail(bound, "InvalidArgumentType", message, type="TypeError")
        return subject if subject.name == "list" else types.LIST

    def _map_projection(self, expression: tree.MapProjection, scope: Scope, context: Context) -> Type:
        subject = self.type_of(expression.subject, scope, context)
        self._want(expression.subject, subject, types.ELEMENTS | {"map"}, "a map projection")
        for _, value in expression.items:
            if value is not None:
                self.type_of(value, scope, context)
        return types.MAP

    def _case(self, expression: tree.Case, scope: Scope, context: Context) -> Type:
        if expression.subject is not None:
            self.type_of(expression.subject, scope, context.value)
        results: list[Type] = []
        for condition, result in expression.branches:
            if expression.subject is None:
                self.condition(condition, scope, context, "WHEN")
            else:
                self.type_of(condition, scope, context.value)
            results.append(self.type_of(result, scope, context))
        if expression.default is not None:
            results.append(self.type_of(expression.default, scope, context))
        return unite(results)

    # --- functions ----------------------------------------------------------------------------------------------------

    def _call(self, call: tree.FunctionCall, scope: Scope, context: Context) -> Type:
        written = call.written or call.name
        function = functions.FUNCTIONS.get(call.name)
        if function is None:
            raise self._unknown_function(call, written)
        if call.star and call.name != "count":
            raise self.fail(call, "UnexpectedSyntax", f"only count takes *, not {written}", hint=f"{written}(expression)")
        if call.distinct and not function.aggregate:
            raise self.fail(call, "UnexpectedSyntax", f"DISTINCT belongs to aggregates, {written} is none")
        count = len(call.arguments)
        if not call.star and (count < function.minimum or (function.maximum is not None and count > function.maximum)):
            message = f"{written} takes {function.arity} argument{'' if function.arity == '1' else 's'}, not {count}"
            raise self.fail(call, "InvalidNumberOfArguments", message)
        if function.stateful and context.no_state:
            hint = "compute it in a WITH before"
            message = f"{written} remembers something per row, so it cannot stand {context.no_state}"
            raise self.fail(call, "InvalidAggregation", message, hint=hint)
        if function.stateful and context.state_sees is not None:
            self._sees_only(call, context.state_sees, scope, written)
        if function.aggregate:
            return self._aggregate(call, function, scope, context)
        if call.name == "exists":
            return self._exists(call, scope, context)
        found = [self.type_of(argument, scope, context.value) for argument in call.arguments]
        self._check_arguments(call, function, found)
        return self._result(call, function, found)

    def _unknown_function(self, call: tree.FunctionCall, written: str) -> QueryError:
        hint = _LEGACY.get(written.lower(), "")
        if not hint and (close := nearest(written, functions.FUNCTIONS)):
            hint = f"did you mean {close}?"
        return self.fail(call, "UnknownFunction", f"there is no function {written}", hint=hint)

    def _sees_only(self, call: tree.FunctionCall, variable: str, scope: Scope, written: str) -> None:
        for node in descendants(call):
            if isinstance(node, tree.Variable) and node.name != variable and node.name in scope:
                hint = "put the condition in the MATCH's own WHERE"
                message = f"inside a pattern {written} sees only {variable or 'the element itself'}, not {node.name}"
                raise self.fail(node, "UndefinedVariable", message, hint=hint)

    def _aggregate(self, call: tree.FunctionCall, function: functions.Function, scope: Scope, context: Context) -> Type:
        written = call.written or call.name
        if context.no_aggregates == "in an aggregate":
            hint = "aggregate in two steps: WITH the inner one AS a name, then the outer one over it"
            raise self.fail(call, "NestedAggregation", f"{written} stands inside another aggregate", hint=hint)
        if context.no_aggregates:
            hint = "compute it in a WITH before and use its name here"
            message = f"{written} aggregates rows, it cannot stand {context.no_aggregates}"
            raise self.fail(call, "InvalidAggregation", message, hint=hint)
        inner = replace(context, no_aggregates="in an aggregate", no_state="in an aggregate", predicate=False)
        arguments = call.arguments
        found: list[Type] = []
        if function.wraps_aggregate:
            wrapped = arguments[-1]
            if not (isinstance(wrapped, tree.FunctionCall) and functions.is_aggregate(wrapped.name)):
                hint = f"{written}({'duration, ' if len(arguments) > 1 else ''}sum(x))"
                raise self.fail(wrapped, "InvalidAggregation", f"{written} takes one aggregate call", hint=hint)
            for argument in arguments[:-1]:
                self.type_of(argument, scope, inner)
            return self.type_of(wrapped, scope, context)
        for argument in arguments:
            for node in descendants(argument):
                if isinstance(node, tree.FunctionCall) and node.name in _PER_CALL:
                    message = f"{node.written} has another value at every call, {written} would aggregate nothing that lasts"
                    raise self.fail(node, "NonConstantExpression", message, hint="compute it in a WITH before")
            found.append(self.type_of(argument, scope, inner))
        self._check_arguments(call, function, found)
        return self._result(call, function, found)

    def _exists(self, call: tree.FunctionCall, scope: Scope, context: Context) -> Type:
        argument = call.arguments[0]
        if not isinstance(argument, tree.PatternPredicate | tree.Property | tree.Index):
            hint = "write x IS NOT NULL for other expressions"
            raise self.fail(argument, "InvalidArgumentType", "exists takes a property or a pattern", hint=hint)
        self.type_of(argument, scope, context.condition)
        return types.BOOLEAN

    def _check_arguments(self, call: tree.FunctionCall, function: functions.Function, found: list[Type]) -> None:
        for index, (argument, type_) in enumerate(zip(call.arguments, found, strict=True)):
            accepted = function.accepted(index)
            if accepted and certainly_not(type_, accepted):
                message = f"{call.written or call.name} takes {_names(accepted)}, this is {type_}"
                raise self.fail(argument, "InvalidArgumentType", message)
        if call.name == "cast" and isinstance(name := call.arguments[1], tree.Literal) and isinstance(name.value, str):
            self._cast_type(name, name.value)

    def _cast_type(self, at: Tree, name: str) -> Type:
        found = CAST_TYPES.get(name.upper())
        if found is None:
            hint = "STRING, INTEGER, INT, FLOAT, BOOLEAN, BOOL"
            raise self.fail(at, "InvalidArgumentValue", f"cast knows no type {name}", hint=hint, type="TypeError")
        return found

    def _result(self, call: tree.FunctionCall, function: functions.Function, found: list[Type]) -> Type:
        match call.name:
            case "coalesce":
                return unite(found)
            case "nullIf" | "min" | "max" | "reverse" | "abs" | "drasi.future" | "drasi.last":
                return found[0]
            case "head" | "last":
                return found[0].item or types.ANY
            case "tail" | "coll.distinct":
                return found[0] if found[0].name == "list" else types.LIST
            case "collect":
                return list_of(found[0])
            case "sum":
                return found[0] if found[0] in (types.INTEGER, types.FLOAT) else types.ANY
            case "avg":
                return types.FLOAT if found[0].name in types.NUMBERS else types.ANY
            case "drasi.getVersionByTimestamp":
                return found[0]
            case "drasi.getVersionsByTimeRange":
                return list_of(found[0])
            case "duration.between":
                return _DIFFERENCE
            case _:
                return function.result


def arithmetic_type(operator: str, left: Type, right: Type) -> Type | None:
    """The type of ``left operator right``; None when no two such values go together."""
    if types.NULL in (left, right):
        return types.NULL
    if operator == "+" and "list" in (left.name, right.name):
        return left if left == right else types.LIST
    if left == right == types.ANY:
        return types.ANY
    if types.ANY in (left, right):
        known = right if left == types.ANY else left
        return None if not _takes(operator, known) else types.ANY
    if left.name in types.NUMBERS and right.name in types.NUMBERS:
        if operator == "^" or types.FLOAT in (left, right):
            return types.FLOAT
        return types.INTEGER if left == right == types.INTEGER else types.NUMBER
    if operator == "+" and "string" in (left.name, right.name):
        return types.STRING if {left.name, right.name} <= types.NUMBERS | {"string"} else None
    return _duration_arithmetic(operator, left, right)


def _takes(operator: str, known: Type) -> bool:
    """Whether an operand of this type can stand beside one of an unknown type."""
    if known.name in types.NUMBERS or (operator in "+-*/" and known.name == "duration"):
        return True
    if operator == "+":
        # Anything can be added to a list.
        return True
    return operator == "-" and known.name in types.TEMPORALS


def _duration_arithmetic(operator: str, left: Type, right: Type) -> Type | None:
    temporal = types.TEMPORALS
    if operator in "+-" and left.name in temporal and right.name == "duration":
        return types.DURATION if left.name == "duration" else left
    if operator == "+" and left.name == "duration" and right.name in temporal:
        return right
    if operator in "*/" and left.name == "duration" and right.name in types.NUMBERS:
        return types.DURATION
    if operator == "*" and left.name in types.NUMBERS and right.name == "duration":
        return types.DURATION
    return None


def _whole(expression: Expression) -> bool:
    """Whether Drasi would divide this integer exactly: an integer literal or a toInteger result."""
    match expression:
        case tree.Literal(value=value):
            return isinstance(value, int) and not isinstance(value, bool)
        case tree.FunctionCall(name=name):
            return name in ("toInteger", "toIntegerOrNull")
        case tree.Cast(type=type_):
            return type_ in ("INTEGER", "INT")
        case _:
            return False


def _literal_type(value: object) -> Type:
    match value:
        case None:
            return types.NULL
        case bool():
            return types.BOOLEAN
        case int():
            return types.INTEGER
        case float():
            return types.FLOAT
        case _:
            return types.STRING


def _names(accepted: frozenset[str]) -> str:
    names = sorted(accepted - {"integer", "float"} if "number" in accepted else accepted)
    return " or ".join(f"an {name}" if name[0] in "aeiou" else f"a {name}" for name in names)


def _property_hint(subject: Type) -> str:
    if subject == types.PATH:
        return "use nodes(p), relationships(p), length(p)"
    if subject.name == "list":
        return "take an item first: list[0], or [x IN list | x.key]"
    return ""


def _arithmetic_hint(operator: str, left: Type, right: Type) -> str:
    if operator == "-" and left.name in types.TEMPORALS and right.name in types.TEMPORALS:
        return "the time between two instants is duration.between(earlier, later)"
    if operator == "+" and "string" in (left.name, right.name):
        return "make it text first: toString(x)"
    return ""
