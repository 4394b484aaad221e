"""Checks of patterns: what their variables may be, and what they bind."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from drasi.language import tree, types
from drasi.language.expression_check import ExpressionChecker
from drasi.language.scope import Context, Scope
from drasi.language.types import Type, certainly_not, list_of

_NODE = frozenset({"node"})
_RELATION = frozenset({"relation"})
_LIST = frozenset({"list"})


class PatternChecker(ExpressionChecker):
    """Binds patterns."""

    def bind(self, patterns: Sequence[tree.PathPattern], scope: Scope, context: Context, *, introduce: bool = True) -> Scope:
        """The scope with the patterns' variables.

        Args:
            patterns: All patterns of one clause: no relation occurs twice in them.
            scope: What is bound before.
            context: The place of the patterns.
            introduce: Whether new variables may be bound.
        """
        bound = dict(scope)
        relations: set[str] = set()
        for pattern in patterns:
            for index, node in enumerate(pattern.nodes):
                self._bind_node(node, bound, introduce)
                if index < len(pattern.relations):
                    self._bind_relation(pattern.relations[index], bound, relations, introduce)
            if pattern.variable is not None:
                if pattern.variable in bound:
                    raise self.fail(
                        pattern,
                        "VariableAlreadyBound",
                        f"{pattern.variable} is bound already, so it cannot name this path",
                        hint="give the path a name of its own",
                    )
                self._name(pattern.variable, types.PATH, bound)
        for pattern in patterns:
            for part in pattern.elements:
                self._conditions(part, scope, bound, context)
        return bound

    def pattern_scope(self, pattern: tree.PathPattern, scope: Scope, context: Context) -> Scope:
        return self.bind([pattern], scope, context)

    def pattern_predicate(self, predicate: tree.PatternPredicate, scope: Scope, context: Context) -> None:
        self.bind([predicate.pattern], scope, context.value.looping("in a pattern"), introduce=False)

    def _name(self, name: str, type_: Type, bound: Scope) -> None:
        bound[name] = type_
        self.names_seen.add(name)

    def _bind_node(self, node: tree.NodePattern, bound: Scope, introduce: bool) -> None:
        name = node.variable
        if name is None:
            return
        if name not in bound:
            if not introduce:
                raise self.undefined(node, name, bound)
            self._name(name, types.NODE, bound)
        elif certainly_not(bound[name], _NODE):
            raise self.fail(node, "VariableTypeConflict", f"{name} is {bound[name]}, here it is used as a node")

    def _bind_relation(self, relation: tree.RelationPattern, bound: Scope, here: set[str], introduce: bool) -> None:
        name = relation.variable
        if name is None:
            return
        type_ = types.RELATION if relation.length is None else list_of(types.RELATION)
        if name not in bound:
            if not introduce:
                raise self.undefined(relation, name, bound)
            self._name(name, type_, bound)
        else:
            known = bound[name]
            if certainly_not(known, _RELATION if relation.length is None else _LIST) or (
                relation.length is not None and known.item is not None and certainly_not(known.item, _RELATION)
            ):
                wanted = "a relation" if relation.length is None else "a list of relations"
                raise self.fail(relation, "VariableTypeConflict", f"{name} is {known}, here it is used as {wanted}")
            if name in here:
                hint = "give each relation its own name; within one MATCH no relation occurs twice"
                message = f"the relation {name} is bound twice in one MATCH"
                raise self.fail(relation, "RelationshipUniquenessViolation", message, hint=hint)
        here.add(name)

    def _conditions(self, part: tree.NodePattern | tree.RelationPattern, before: Scope, bound: Scope, context: Context) -> None:
        inside = replace(context.value, no_aggregates=context.no_aggregates or "in a pattern", state_sees=part.variable or "")
        if isinstance(part.properties, tree.Parameter):
            hint = f"name the properties: {{key: ${part.properties.name}.key}}"
            raise self.fail(
                part.properties, "InvalidParameterUse", "a parameter cannot stand for a pattern's properties", hint=hint
            )
        if part.properties is not None:
            self.type_of(part.properties, bound, inside)
        if part.where is None:
            return
        scope = dict(before)
        if part.variable is not None:
            each = isinstance(part, tree.RelationPattern) and part.length is not None
            scope[part.variable] = types.RELATION if each else bound[part.variable]
        self.condition(part.where, scope, inside, "a pattern's WHERE")
