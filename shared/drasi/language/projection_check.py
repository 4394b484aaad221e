"""Checks of WITH and RETURN: columns, grouping, order, limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from drasi.language import tree
from drasi.language.aggregation import (
    aggregates,
    aggregates_rows,
    beside_aggregates,
    conjunction,
    conjuncts,
    is_aggregate_call,
    is_simple,
    rewriting,
    variables,
)
from drasi.language.pattern_check import PatternChecker
from drasi.language.scope import Context, Scope
from drasi.language.tree import Expression
from drasi.language.types import Type, certainly_not
from drasi.language.walk import descendants, map_children

_INTEGER = frozenset({"integer"})


class Projected(msgspec.Struct, frozen=True):
    """A projection's normal form (two where a WHERE reads what the columns leave out), its columns, and what is left of
    its WHERE for the groups of the next one."""

    clauses: tuple[tree.Clause, ...]
    columns: dict[str, Type]
    having: list[Expression]


class ProjectionChecker(PatternChecker):
    """Checks projections."""

    def __init__(self, text: str, parameters: Mapping[str, Any] | None, language: str) -> None:
        super().__init__(text, parameters, language)
        self.groups_of_match: set[int] = set()
        """Places of conditions with aggregates that stand in the WHERE of a MATCH."""

    def projection(
        self, clause: tree.Projection, scope: Scope, outer: Scope, context: Context, having: list[Expression]
    ) -> Projected:
        """Checks a WITH or RETURN.

        Args:
            clause: The projection.
            scope: The variables before it.
            outer: Those of ``scope`` that lie outside the subquery it stands in.
            context: Its place.
            having: Conditions over groups from the WHEREs before it.
        """
        items = self._items(clause, scope, outer)
        columns = {item.name: self.type_of(item.expression, scope, context) for item in items}
        for condition in having:
            self.condition(condition, scope, context)
        self._refuse_groups_of_single_rows(items, scope, outer, having)
        group_by = self._group_keys(clause, items, scope, context)
        self._check_grouping(items, having, group_by, scope)
        grouped = bool(having) or group_by is not None or any(aggregates_rows(item.expression) for item in items)
        collapsed = grouped or clause.distinct
        order_by = self._order(clause, items, columns, scope, outer, context, grouped)
        for bound, word in ((clause.skip, "SKIP"), (clause.limit, "LIMIT")):
            if bound is not None:
                self._bound(bound, word, scope, context)
        where, next_having = self._where(clause, items, columns, scope, outer, context, collapsed)
        self._check_names(clause, items, scope)
        self.names_seen.update(columns)
        made = replace(
            clause,
            items=items,
            star=False,
            order_by=order_by,
            where=where,
            having=conjunction(having),
            **self._normal_groups(items, group_by, clause.distinct),
        )
        return Projected(self._visible(made, columns, scope, outer), columns, next_having)

    # --- columns ------------------------------------------------------------------------------------------------------

    def _items(self, clause: tree.Projection, scope: Scope, outer: Scope) -> tuple[tree.Item, ...]:
        if not clause.star:
            return clause.items
        # Inside EXISTS, COUNT and COLLECT the surroundings count only where nothing else is in scope.
        names = [name for name in scope if name not in outer] or list(scope)
        if not names and not clause.items and clause.final:
            hint = "give the pattern's elements names, or write expressions"
            raise self.fail(clause, "NoVariablesInScope", "RETURN * needs variables in scope", hint=hint)
        written = tuple(tree.Item(tree.Variable(name, pos=clause.pos), name, True, name, pos=clause.pos) for name in names)
        return written + clause.items

    def _check_names(self, clause: tree.Projection, items: tuple[tree.Item, ...], scope: Scope) -> None:
        seen: set[str] = set()
        for item in items:
            if item.name in seen:
                if self.language == "gql" and clause.star and item.name in scope:
                    raise self.fail(item, "VariableAlreadyBound", f"{item.name} is bound already", hint="LET a new name")
                hint = "give one of them another name with AS"
                raise self.fail(item, "ColumnNameConflict", f"two columns have the name {item.name}", hint=hint)
            seen.add(item.name)
        for item in items:
            if not clause.final and not item.aliased:
                hint = f"{item.text} AS name"
                raise self.fail(item, "NoExpressionAlias", "an expression that is no variable needs a name here", hint=hint)

    # --- grouping -----------------------------------------------------------------------------------------------------

    def _refuse_groups_of_single_rows(
        self, items: tuple[tree.Item, ...], scope: Scope, outer: Scope, having: list[Expression]
    ) -> None:
        """An aggregate in a MATCH's WHERE whose groups would be the single rows of the MATCH is a mistake (and the TCK's)."""
        kept = {item.expression.name for item in items if isinstance(item.expression, tree.Variable)}
        if any(aggregates_rows(item.expression) for item in items) or not kept >= {name for name in scope if name not in outer}:
            return
        for condition in having:
            if condition.pos in self.groups_of_match:
                call = next(aggregates(condition))
                message = f"{call.written or call.name} in the WHERE of a MATCH has only single rows to aggregate here"
                hint = "aggregate in a WITH first: WITH key, count(*) AS n WHERE n > 1"
                raise self.fail(call, "InvalidAggregation", message, hint=hint)

    def _group_keys(
        self, clause: tree.Projection, items: tuple[tree.Item, ...], scope: Scope, context: Context
    ) -> tuple[Expression, ...] | None:
        """GQL's explicit keys as expressions over the rows: a column's name stands for its expression."""
        if clause.group_by is None:
            return None
        named = {item.name: item.expression for item in items}
        keys: list[Expression] = []
        for key in clause.group_by:
            expression = named[key.name] if isinstance(key, tree.Variable) and key.name in named and key.name not in scope else key
            self.type_of(expression, scope, replace(context, no_aggregates="in GROUP BY"))
            keys.append(expression)
        for item in items:
            if not aggregates_rows(item.expression) and item.expression not in keys:
                message = f"{item.text} is neither aggregated nor a key of the GROUP BY"
                hint = f"GROUP BY {item.text}, or aggregate it"
                raise self.fail(item, "AmbiguousAggregationExpression", message, hint=hint)
        return tuple(dict.fromkeys(keys))

    def _normal_groups(
        self, items: tuple[tree.Item, ...], group_by: tuple[Expression, ...] | None, distinct: bool
    ) -> dict[str, Any]:
        """GROUP BY in terms of Cypher where it can be: its keys are all returned."""
        if group_by is None:
            return {"group_by": None, "distinct": distinct}
        plain = {item.expression for item in items if not aggregates_rows(item.expression)}
        if plain != set(group_by):
            return {"group_by": group_by, "distinct": distinct}
        if len(plain) == len({item.expression for item in items}):
            # Groups without aggregates: each value once.
            return {"group_by": None, "distinct": True}
        return {"group_by": None, "distinct": distinct}

    def _check_grouping(
        self,
        items: tuple[tree.Item, ...],
        having: list[Expression],
        group_by: tuple[Expression, ...] | None,
        scope: Scope,
    ) -> None:
        plain = [item.expression for item in items if not aggregates_rows(item.expression)]
        keys = {key for key in (plain if group_by is None else group_by) if is_simple(key)}
        for item in items:
            if aggregates_rows(item.expression):
                self._refuse_beside(item.expression, item.text, keys, scope)
        for condition in having:
            self._refuse_beside(condition, "", keys, scope)

    def _refuse_beside(self, expression: Expression, text: str, keys: Collection[Expression], scope: Scope) -> None:
        offending = beside_aggregates(expression, keys, scope)
        if not offending:
            return
        call = next(aggregates(expression))
        message = f"this stands beside {call.written or call.name} in one expression, but the rows are not grouped by it"
        hint = rewriting(self.text, expression, text, offending) if text else ""
        raise self.fail(
            offending[0],
            "AmbiguousAggregationExpression",
            message,
            hint=hint or "make it a column of its own, then combine in a second step",
        )

    # --- order and limits ---------------------------------------------------------------------------------------------

    def _order(
        self,
        clause: tree.Projection,
        items: tuple[tree.Item, ...],
        columns: dict[str, Type],
        scope: Scope,
        outer: Scope,
        context: Context,
        grouped: bool,
    ) -> tuple[tree.SortKey, ...]:
        if not clause.order_by:
            return ()
        if not (grouped or clause.distinct):
            inside = replace(context, no_aggregates="in the ORDER BY of a projection that does not aggregate")
            for key in clause.order_by:
                self.type_of(key.expression, {**scope, **columns}, inside)
            return clause.order_by
        by_expression = {item.expression: item.name for item in items}
        keys: list[tree.SortKey] = []
        for key in clause.order_by:
            expression = self._over_columns(key.expression, by_expression, aggregates_rows(key.expression), top=True)
            self.type_of(expression, {**outer, **columns}, replace(context, no_aggregates="in ORDER BY"))
            keys.append(replace(key, expression=expression))
        return tuple(keys)

    def _over_columns(
        self, expression: Expression, columns: Mapping[Expression, str], beside: bool, *, top: bool = False
    ) -> Expression:
        """A sort key over collapsed rows, with the columns' names in the place of their expressions."""
        if (name := columns.get(expression)) is not None:
            if beside and not top and not is_simple(expression) and not is_aggregate_call(expression) and _reads(expression):
                hint = "sort by the column's name: give it one with AS and write that instead"
                message = "an expression beside an aggregate names columns, it does not compute them again"
                raise self.fail(expression, "AmbiguousAggregationExpression", message, hint=hint)
            return tree.Variable(name, pos=expression.pos)
        if is_aggregate_call(expression):
            for node in descendants(expression):
                if isinstance(node, tree.Variable) and node.name not in columns.values():
                    raise self.undefined(node, node.name, columns.values())
            hint = "make it a column and sort by its name"
            raise self.fail(expression, "InvalidAggregation", "this aggregate is no column of the projection", hint=hint)
        return map_children(
            expression, lambda child: self._over_columns(child, columns, beside) if isinstance(child, tree.Expression) else child
        )

    def _bound(self, bound: Expression, word: str, scope: Scope, context: Context) -> None:
        for node in descendants(bound):
            if isinstance(node, tree.Variable | tree.PatternPredicate | tree.PatternComprehension | tree.Subquery):
                hint = "it is a number or a parameter, the same for all rows"
                raise self.fail(bound, "NonConstantExpression", f"{word} depends on rows", hint=hint)
        found = self.type_of(bound, {}, replace(context, no_aggregates=f"in {word}"))
        value: object = None
        phase = "compile time"
        if isinstance(bound, tree.Literal):
            value = bound.value
        elif isinstance(bound, tree.Parameter) and self.parameters is not None:
            value, phase = self.parameters[bound.name], "runtime"
        known = isinstance(bound, tree.Literal) or phase == "runtime"
        if certainly_not(found, _INTEGER) or (known and (isinstance(value, bool) or not isinstance(value, int))):
            error = self.fail(bound, "InvalidArgumentType", f"{word} takes an integer")
        elif isinstance(value, int) and value < 0:
            error = self.fail(bound, "NegativeIntegerArgument", f"{word} takes an integer that is not negative")
        else:
            return
        error.phase = phase
        raise error

    # --- WHERE --------------------------------------------------------------------------------------------------------

    def _where(
        self,
        clause: tree.Projection,
        items: tuple[tree.Item, ...],
        columns: dict[str, Type],
        scope: Scope,
        outer: Scope,
        context: Context,
        collapsed: bool,
    ) -> tuple[Expression | None, list[Expression]]:
        """The WHERE of a WITH: what filters its rows, and what filters the groups of the next projection."""
        if clause.where is None:
            return None, []
        visible = {**outer, **columns} if collapsed else {**scope, **columns}
        by_expression = {item.expression: item.name for item in items}
        rows: list[Expression] = []
        groups: list[Expression] = []
        for condition in conjuncts(clause.where):
            if aggregates_rows(condition):
                groups.append(condition)
            else:
                seen = self._over_columns(condition, by_expression, False) if collapsed else condition
                self.condition(seen, visible, context)
                rows.append(seen)
        if groups and clause.final:
            call = next(aggregates(groups[0]))
            hint = "give the aggregate a name in this WITH and use that"
            message = f"there is no projection after this WHERE whose groups {call.written or call.name} could filter"
            raise self.fail(call, "InvalidAggregation", message, hint=hint)
        return conjunction(rows), groups

    def _visible(self, made: tree.Projection, columns: dict[str, Type], scope: Scope, outer: Scope) -> tuple[tree.Clause, ...]:
        """A WHERE may read variables that the columns leave out: they are carried one step further, then dropped."""
        if made.where is None:
            return (made,)
        hidden = sorted(name for name in variables(made.where) if name not in columns and name in scope and name not in outer)
        if not hidden:
            return (made,)
        carried = tuple(tree.Item(tree.Variable(name, pos=made.pos), name, True, name, pos=made.pos) for name in hidden)
        kept = tuple(
            tree.Item(tree.Variable(item.name, pos=item.pos), item.name, True, item.text, pos=item.pos) for item in made.items
        )
        return (
            replace(made, items=made.items + carried, final=False),
            tree.Projection(kept, final=made.final, pos=made.pos),
        )


def _reads(expression: Expression) -> bool:
    """Whether an expression depends on the row at all."""
    return any(isinstance(node, tree.Variable) for node in descendants(expression))
