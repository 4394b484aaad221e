"""Checks of clauses and queries: scopes from clause to clause, and the normal form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from drasi.language import tree, types
from drasi.language.aggregation import aggregates_rows, conjunction, conjuncts
from drasi.language.procedure_check import ProcedureChecker
from drasi.language.procedures import Signature
from drasi.language.scope import Context, Scope
from drasi.language.tree import Expression, Tree
from drasi.language.types import Type, certainly_not
from drasi.language.walk import rewrite

_LIST = frozenset({"list"})
_NOTHING = frozenset[str]()


class QueryChecker(ProcedureChecker):
    """Checks whole queries."""

    def __init__(
        self,
        text: str,
        parameters: Mapping[str, Any] | None,
        language: str,
        procedures: Mapping[str, Signature],
    ) -> None:
        super().__init__(text, parameters, language, procedures)
        self._inner: dict[int, tree.Query] = {}
        """The normal forms of the subqueries in expressions, by their place."""
        self._done: dict[int, tree.Query] = {}

    def check(self, query: tree.Query) -> tuple[tree.Query, tuple[str, ...]]:
        """The normal form of a query and the names of its columns."""
        checked, columns = self._query(query, {}, {}, Context())
        return self._normal(checked), tuple(columns or ())

    # --- queries ------------------------------------------------------------------------------------------------------

    def _query(self, query: tree.Query, start: Scope, outer: Scope, context: Context) -> tuple[tree.Query, dict[str, Type] | None]:
        """Checks a query.

        Args:
            query: The query.
            start: What its first clause sees.
            outer: What all its clauses see besides: the surroundings of EXISTS, COUNT, COLLECT.
            context: Its place.

        Returns:
            The normal form, and the columns with their types; None when it has no RETURN.
        """
        parts: list[tree.SingleQuery] = []
        columns: dict[str, Type] | None = None
        for index, part in enumerate(query.parts):
            checked, found = self._single(part, start, outer, context, alone=len(query.parts) == 1)
            parts.append(checked)
            if index and list(found or ()) != list(columns or ()):
                names = ", ".join(columns or ()), ", ".join(found or ())
                message = f"the parts of a UNION have the columns ({names[0]}) and ({names[1]})"
                hint = "give them the same names in the same order with AS"
                raise self.fail(part.clauses[-1], "DifferentColumnsInUnion", message, hint=hint)
            if index and columns is not None and found is not None:
                columns = {name: types.unite([columns[name], found[name]]) for name in columns}
            elif not index:
                columns = found
        return replace(query, parts=tuple(parts)), columns

    def _single(
        self, single: tree.SingleQuery, start: Scope, outer: Scope, context: Context, *, alone: bool
    ) -> tuple[tree.SingleQuery, dict[str, Type] | None]:
        scope: Scope = {**outer, **start}
        clauses: list[tree.Clause] = []
        # Conditions over groups, waiting for the projection that makes the groups.
        having: list[Expression] = []
        columns: dict[str, Type] | None = None
        for clause in single.clauses:
            columns = None
            match clause:
                case tree.Match():
                    scope, checked = self._match(clause, scope, context, having)
                    clauses.append(checked)
                case tree.Filter(where=where):
                    if rest := self._filter(where, scope, context, having):
                        _add_filter(clauses, replace(clause, where=rest))
                case tree.Unwind():
                    scope = self._unwind(clause, scope, context)
                    clauses.append(clause)
                case tree.Projection():
                    made = self.projection(clause, scope, outer, context, having)
                    clauses.extend(made.clauses)
                    columns = made.columns
                    scope = {**outer, **columns}
                    having = made.having
                case tree.CallSubquery():
                    scope, subquery = self._call_subquery(clause, scope, context)
                    clauses.append(subquery)
                case tree.CallProcedure():
                    standalone = alone and len(single.clauses) == 1
                    scope, called = self.call_procedure(clause, scope, context, standalone=standalone)
                    clauses.extend(called)
                    if standalone:
                        columns = {name: scope[name] for name in scope if name not in outer}
        if having:
            message = "a condition over groups needs a WITH or RETURN after it"
            raise self.fail(having[0], "InvalidAggregation", message)
        return replace(single, clauses=tuple(clauses)), columns

    # --- clauses ------------------------------------------------------------------------------------------------------

    def _match(self, clause: tree.Match, scope: Scope, context: Context, having: list[Expression]) -> tuple[Scope, tree.Match]:
        place = "in OPTIONAL MATCH" if clause.optional else "in MATCH"
        inside = replace(context, no_aggregates=place)
        bound = self.bind(clause.patterns, scope, inside)
        if clause.where is None:
            return bound, clause
        return bound, replace(clause, where=self._filter(clause.where, bound, context, having, of_match=True))

    def _filter(
        self, where: Expression, scope: Scope, context: Context, having: list[Expression], *, of_match: bool = False
    ) -> Expression | None:
        """The part of a WHERE that filters rows; the rest goes to ``having``."""
        rows: list[Expression] = []
        groups: list[Expression] = []
        for condition in conjuncts(where):
            (groups if aggregates_rows(condition) else rows).append(condition)
        if not groups:
            self.condition(where, scope, context)
            return where
        for condition in rows:
            self.condition(condition, scope, context)
        if of_match:
            self.groups_of_match.update(condition.pos for condition in groups)
        having.extend(groups)
        return conjunction(rows)

    def _unwind(self, clause: tree.Unwind, scope: Scope, context: Context) -> Scope:
        found = self.type_of(clause.items, scope, replace(context, no_aggregates="in UNWIND"))
        if certainly_not(found, _LIST):
            message = f"UNWIND takes a list, this is {found}"
            raise self.fail(clause.items, "InvalidArgumentType", message, hint="put it in brackets: [x]")
        if clause.variable in scope:
            raise self.fail(clause, "VariableAlreadyBound", f"{clause.variable} is bound already")
        self.names_seen.add(clause.variable)
        return {**scope, clause.variable: found.item or types.ANY}

    # --- subqueries ---------------------------------------------------------------------------------------------------

    def _call_subquery(self, clause: tree.CallSubquery, scope: Scope, context: Context) -> tuple[Scope, tree.CallSubquery]:
        if clause.imports is None:
            parts: list[tree.SingleQuery] = []
            columns: dict[str, Type] | None = None
            # Each part of a UNION imports for itself.
            for index, part in enumerate(clause.query.parts):
                imported = _imported(part, scope)
                single, found = self._single(part, imported, {}, context, alone=False)
                if index and list(found or ()) != list(columns or ()):
                    message = "the parts of a UNION have different columns"
                    raise self.fail(part.clauses[-1], "DifferentColumnsInUnion", message)
                parts.append(single)
                columns = found if columns is None else columns
            query = replace(clause.query, parts=tuple(parts))
        else:
            names = list(scope) if clause.imports == ("*",) else list(clause.imports)
            for name in names:
                if name not in scope:
                    raise self.undefined(clause, name, scope)
            query, columns = self._query(clause.query, {}, {name: scope[name] for name in names}, context)
        for name in columns or ():
            if name in scope:
                message = f"the subquery's column {name} is bound already outside"
                raise self.fail(clause, "VariableAlreadyBound", message, hint="return it AS another name")
        self.names_seen.update(columns or ())
        return {**scope, **(columns or {})}, replace(clause, query=query)

    def subquery(self, subquery: tree.Subquery, scope: Scope, context: Context) -> Type:
        word = f"{subquery.kind.upper()} {{ … }}"
        inside = Context(no_state=context.no_state or f"in {word}")
        query, columns = self._query(subquery.query, {}, scope, inside)
        self._inner[subquery.query.pos] = query
        if subquery.kind == "exists":
            return types.BOOLEAN
        if subquery.kind == "count":
            return types.INTEGER
        if columns is None or len(columns) != 1:
            message = f"{word} needs exactly one column, this has {len(columns or ())}"
            raise self.fail(subquery, "UnexpectedSyntax", message, hint="end it in RETURN with one item")
        return types.list_of(next(iter(columns.values())))

    # --- normal form --------------------------------------------------------------------------------------------------

    def _normal(self, query: tree.Query) -> tree.Query:
        return rewrite(query, self._normalise)

    def _normalise(self, node: Tree) -> Tree:
        match node:
            case tree.Subquery(query=query):
                pos = query.pos
                if pos not in self._done:
                    self._done[pos] = self._normal(self._inner[pos])
                return replace(node, query=self._done[pos])
            case tree.FunctionCall(name="exists", arguments=(tree.PatternPredicate() as predicate,)):
                return predicate
            case tree.FunctionCall(name="exists", arguments=(operand,)):
                return tree.IsNull(operand, True, pos=node.pos)
            case _:
                return node


def _add_filter(clauses: list[tree.Clause], added: tree.Filter) -> None:
    """Adds a WHERE of its own: one more condition of the clause before it where that says the same."""
    last = clauses[-1] if clauses else None
    if isinstance(last, tree.Projection) or (isinstance(last, tree.Match) and not last.optional):
        before = conjuncts(last.where) if last.where is not None else []
        clauses[-1] = replace(last, where=conjunction([*before, *conjuncts(added.where)]))
    else:
        clauses.append(added)


def _imported(part: tree.SingleQuery, scope: Scope) -> Scope:
    """What a subquery without parentheses sees: all, if its first clause is a WITH of variables; else nothing."""
    first = part.clauses[0]
    if isinstance(first, tree.Projection) and not first.final and _only_variables(first.items, first.star):
        return scope
    return {}


def _only_variables(items: Sequence[tree.Item], star: bool) -> bool:
    return (star or bool(items)) and all(isinstance(item.expression, tree.Variable) for item in items)
