"""The value of an expression in one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from drasi.language import tree
from tests.oracle import functions
from tests.oracle.graph import Element, Graph
from tests.oracle.operators import (
    BINARY,
    NO_BOUND,
    comparison,
    item_of,
    negation,
    property_of,
    signed,
    slice_of,
    truth,
)
from tests.oracle.values import Bag, Raised, Value, equals, type_error


@dataclass(frozen=True)
class Scope:
    """What an expression sees. ``known``: expressions whose values are settled (aggregates and keys of a group); a Raised
    among them is raised when it is asked for."""

    graph: Graph
    variables: Mapping[str, Value]
    parameters: Mapping[str, Value] = field(default_factory=dict)
    known: Mapping[tree.Expression, Value] = field(default_factory=dict)

    def having(self, **variables: Value) -> Scope:
        return replace(self, variables={**self.variables, **variables})


def fits(labels: tree.LabelExpression | None, element: Element) -> bool:
    match labels:
        case None:
            return True
        case tree.Label():
            return labels.name in element.labels
        case tree.AnyLabel():
            return bool(element.labels)
        case tree.NotLabel():
            return not fits(labels.operand, element)
        case tree.LabelAnd():
            return all(fits(operand, element) for operand in labels.operands)
        case tree.LabelOr():
            return any(fits(operand, element) for operand in labels.operands)


def conjuncts(expression: tree.Expression | None) -> list[tree.Expression]:
    """The operands of the ANDs at the top."""
    match expression:
        case None:
            return []
        case tree.Binary(operator="AND"):
            return conjuncts(expression.left) + conjuncts(expression.right)
    return [expression]


def evaluate(expression: tree.Expression, scope: Scope) -> Value:
    if scope.known and expression in scope.known:
        value = scope.known[expression]
        if isinstance(value, Raised):
            raise value
        return value
    match expression:
        case tree.Literal():
            return expression.value
        case tree.Parameter():
            return scope.parameters[expression.name]
        case tree.Variable():
            return scope.variables[expression.name]
        case tree.ListLiteral():
            return [evaluate(item, scope) for item in expression.items]
        case tree.MapLiteral():
            return {name: evaluate(item, scope) for name, item in expression.entries}
        case tree.Property():
            return property_of(evaluate(expression.subject, scope), expression.key)
        case tree.Index():
            return item_of(evaluate(expression.subject, scope), evaluate(expression.index, scope))
        case tree.Slice():
            bounds = [NO_BOUND if bound is None else evaluate(bound, scope) for bound in (expression.start, expression.stop)]
            return slice_of(evaluate(expression.subject, scope), *bounds)
        case tree.MapProjection():
            return projected(expression, scope)
        case tree.Unary():
            return unary(expression, scope)
        case tree.Binary(operator="AND" | "OR"):
            return logical(expression, scope)
        case tree.Binary():
            return BINARY[expression.operator](evaluate(expression.left, scope), evaluate(expression.right, scope))
        case tree.Comparison():
            return chain(expression, scope)
        case tree.IsNull():
            return (evaluate(expression.operand, scope) is None) is not expression.negated
        case tree.HasLabels():
            return has_labels(evaluate(expression.subject, scope), expression.labels)
        case tree.Case():
            return case(expression, scope)
        case tree.Cast():
            return functions.call("cast", [evaluate(expression.operand, scope), expression.type])
        case tree.FunctionCall():
            return function(expression, scope)
        case tree.ListComprehension() | tree.Quantifier() | tree.Reduce():
            return loop(expression, scope)
    raise NotImplementedError(type(expression).__name__)


def projected(expression: tree.MapProjection, scope: Scope) -> Value:
    subject = evaluate(expression.subject, scope)
    if subject is None:
        return None
    result: dict[str, Value] = {}
    for name, value in expression.items:
        result.update(functions.properties(subject) if value is None else {name: evaluate(value, scope)})
    return result


def unary(expression: tree.Unary, scope: Scope) -> Value:
    value = evaluate(expression.operand, scope)
    return negation(value) if expression.operator == "NOT" else signed(expression.operator, value)


def logical(expression: tree.Binary, scope: Scope) -> Value:
    decisive = expression.operator == "OR"
    left = truth(evaluate(expression.left, scope))
    if left is decisive:
        return left
    right = truth(evaluate(expression.right, scope))
    return right if right is decisive or left is not None else None


def chain(expression: tree.Comparison, scope: Scope) -> Value:
    left = evaluate(expression.first, scope)
    result: bool | None = True
    for operator, operand in expression.rest:
        right = evaluate(operand, scope)
        link = comparison(operator, left, right)
        if link is False:
            return False
        result = None if link is None else result
        left = right
    return result


def has_labels(subject: Value, labels: tree.LabelExpression) -> bool | None:
    if subject is None:
        return None
    if not isinstance(subject, Element):
        raise type_error("labels of something that is no element")
    return fits(labels, replace(subject, labels=subject.labels[:1]) if subject.is_relation else subject)


def case(expression: tree.Case, scope: Scope) -> Value:
    subject = None if expression.subject is None else evaluate(expression.subject, scope)
    for condition, value in expression.branches:
        tested = evaluate(condition, scope)
        if truth(tested) if expression.subject is None else equals(subject, tested):
            return evaluate(value, scope)
    return None if expression.default is None else evaluate(expression.default, scope)


def function(expression: tree.FunctionCall, scope: Scope) -> Value:
    match expression.name.lower():
        case "coalesce":
            return next((value for item in expression.arguments if (value := evaluate(item, scope)) is not None), None)
        case "exists":
            return evaluate(expression.arguments[0], scope) is not None
        case "startnode" | "endnode":
            relation = evaluate(expression.arguments[0], scope)
            if relation is None:
                return None
            if not isinstance(relation, Element) or relation.start is None or relation.end is None:
                raise type_error("not a relation")
            return scope.graph.elements[relation.start if expression.name.lower() == "startnode" else relation.end]
    return functions.call(expression.name, [evaluate(argument, scope) for argument in expression.arguments])


def passing(expression: tree.ListComprehension | tree.Reduce, items: list[Any], scope: Scope) -> list[Any]:
    where = expression.where
    return [item for item in items if where is None or truth(evaluate(where, scope.having(**{expression.variable: item})))]


def loop(expression: tree.ListComprehension | tree.Quantifier | tree.Reduce, scope: Scope) -> Value:
    items = evaluate(expression.items, scope)
    if items is None:
        return None
    if not isinstance(items, list):
        raise type_error("not a list")
    if isinstance(expression, tree.Reduce):
        total = evaluate(expression.initial, scope)
        for item in items:
            inner = scope.having(**{expression.accumulator: total, expression.variable: item})
            if expression.where is None or truth(evaluate(expression.where, inner)):
                total = evaluate(expression.projection, inner)
        return total
    if isinstance(expression, tree.ListComprehension):
        kept = passing(expression, items, scope)
        projection = expression.projection
        result = kept if projection is None else [evaluate(projection, scope.having(**{expression.variable: i})) for i in kept]
        return Bag(result) if isinstance(items, Bag) else result
    return quantified(expression, items, scope)


def quantified(expression: tree.Quantifier, items: list[Any], scope: Scope) -> bool | None:
    results = [truth(evaluate(expression.where, scope.having(**{expression.variable: item}))) for item in items]
    yes, unknown = results.count(True), results.count(None)
    match expression.kind:
        case "all":
            return False if False in results else None if unknown else True
        case "any":
            return True if yes else None if unknown else False
        case "none":
            return False if yes else None if unknown else True
        case "single":
            return False if yes > 1 else None if unknown else yes == 1
