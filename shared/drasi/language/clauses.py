"""Clauses and queries of Cypher (language.md section 2)."""

from __future__ import annotations

from msgspec.structs import replace

from drasi.language import tree
from drasi.language.cursor import WRITING
from drasi.language.names import column_name
from drasi.language.patterns import PatternParser

_SUBQUERY_LEVELS = 4
"""What a subquery counts in levels of nesting: its clauses and patterns lie between two expressions."""


class ClauseParser(PatternParser):
    """Parses Cypher queries."""

    inside_subquery = False
    """Inside EXISTS { … }, COUNT { … }, COLLECT { … }."""

    return_required = True
    """EXISTS and COUNT take a query without RETURN."""

    def query(self) -> tree.Query:
        """Single queries joined by UNION."""
        pos = self.token.pos
        parts = [self.single_query()]
        all_: bool | None = None
        while self.at_word("UNION"):
            union = self.advance()
            this = self.accept_word("ALL")
            if not this:
                self.accept_word("DISTINCT")
            if all_ not in (None, this):
                hint = "use one of them throughout, or put one in a subquery: CALL { … }"
                raise self.fail(union.pos, "InvalidClauseComposition", "UNION and UNION ALL are mixed", hint=hint)
            all_ = this
            parts.append(self.single_query())
        return tree.Query(tuple(parts), all_ or False, pos=pos)

    def single_query(self) -> tree.SingleQuery:
        pos = self.token.pos
        clauses: list[tree.Clause] = []
        while (clause := self.clause(clauses)) is not None:
            clauses.append(clause)
            if isinstance(clause, tree.Projection) and clause.final:
                break
        return tree.SingleQuery(self.closed(clauses), pos=pos)

    def closed(self, clauses: list[tree.Clause]) -> tuple[tree.Clause, ...]:
        """The clauses of a whole query: a last WITH is its RETURN, a CALL of a procedure may stand alone."""
        if not clauses:
            raise self.unexpected(
                "a clause expected", hint="a query begins with MATCH, OPTIONAL MATCH, UNWIND, WITH, CALL or RETURN"
            )
        last = clauses[-1]
        if isinstance(last, tree.Projection):
            if not last.final:
                clauses[-1] = replace(last, final=True)
        elif self.return_required and not (len(clauses) == 1 and isinstance(last, tree.CallProcedure)):
            raise self.unexpected("RETURN expected", hint="a query ends in RETURN")
        return tuple(clauses)

    def clause(self, before: list[tree.Clause]) -> tree.Clause | None:
        """The clause that begins here, or None when none does."""
        match self.token.upper:
            case "MATCH":
                return self.match()
            case "OPTIONAL" if self.peek().upper == "MATCH":
                return self.match()
            case "OPTIONAL" if self.peek().upper == "CALL":
                return self._call()
            case "CALL":
                return self._call()
            case "UNWIND":
                return self._unwind()
            case "WITH" | "RETURN":
                return self.projection(final=self.token.upper == "RETURN")
            case "WHERE" if before:
                pos = self.advance().pos
                return tree.Filter(self.expression(), pos=pos)
            case word if word in WRITING:
                detail = "InvalidClauseComposition" if self.inside_subquery else "UnexpectedSyntax"
                raise self.fail(self.token.pos, detail, f"{word} writes to the graph", hint="a continuous query only reads")
            case _:
                return None

    # --- reading ------------------------------------------------------------------------------------------------------

    def match(self) -> tree.Match:
        pos = self.token.pos
        optional = self.accept_word("OPTIONAL")
        self.expect_word("MATCH")
        patterns = self.pattern_list()
        where = self.expression() if self.accept_word("WHERE") else None
        return tree.Match(patterns, where, optional, pos=pos)

    def _unwind(self) -> tree.Unwind:
        pos = self.advance().pos
        items = self.expression()
        self.expect_word("AS", "after the list")
        return tree.Unwind(items, self.variable(), pos=pos)

    def _call(self) -> tree.Clause:
        pos = self.token.pos
        optional = self.accept_word("OPTIONAL")
        self.expect_word("CALL")
        imports: tuple[str, ...] | None = None
        if self.at("("):
            imports = self._imports()
        if self.at("{"):
            return tree.CallSubquery(self._braced(), imports, optional, pos=pos)
        if optional or imports is not None:
            raise self.unexpected("'{' expected")
        return self._procedure(pos)

    def _imports(self) -> tuple[str, ...]:
        self.expect("(")
        if self.accept("*"):
            self.expect(")")
            return ("*",)
        names: list[str] = []
        while not self.at(")"):
            names.append(self.variable())
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(names)

    def _procedure(self, pos: int) -> tree.CallProcedure:
        parts = [self.name("a procedure's name")]
        while self.accept("."):
            parts.append(self.name("a procedure's name"))
        arguments: tuple[tree.Expression, ...] | None = None
        if self.accept("("):
            arguments = tuple(self.arguments())
        yields: list[tuple[str, str]] | None = None
        where: tree.Expression | None = None
        if self.at_word("YIELD"):
            self.advance()
            star = self.token
            if self.accept("*"):
                if self.token.kind != "end":
                    hint = "name the results: YIELD a, b"
                    raise self.fail(star.pos, "UnexpectedSyntax", "YIELD * is for a CALL that stands alone", hint=hint)
            else:
                yields = [self._yielded()]
                while self.accept(","):
                    yields.append(self._yielded())
            where = self.expression() if self.accept_word("WHERE") else None
        return tree.CallProcedure(".".join(parts), arguments, None if yields is None else tuple(yields), where, pos=pos)

    def _yielded(self) -> tuple[str, str]:
        name = self.variable("a result's name")
        return name, self.variable() if self.accept_word("AS") else name

    # --- projections --------------------------------------------------------------------------------------------------

    def projection(self, *, final: bool) -> tree.Projection:
        pos = self.advance().pos
        distinct = self.accept_word("DISTINCT")
        star, items = self.items()
        order_by = self.order_by()
        skip = self.expression() if self.accept_word("SKIP") or self.accept_word("OFFSET") else None
        limit = self.expression() if self.accept_word("LIMIT") else None
        where = self.expression() if not final and self.accept_word("WHERE") else None
        return tree.Projection(items, distinct, star, None, order_by, skip, limit, where, final=final, pos=pos)

    def items(self) -> tuple[bool, tuple[tree.Item, ...]]:
        """``*``, or ``e [AS a], …``, or both."""
        star = self.accept("*")
        if star and not self.accept(","):
            return True, ()
        items = [self.item()]
        while self.accept(","):
            items.append(self.item())
        return star, tuple(items)

    def item(self) -> tree.Item:
        first = self.token
        expression = self.expression()
        text = self.text[first.pos : self.tokens[self.index - 1].end]
        if self.accept_word("AS"):
            name = self.name("an alias")
            return tree.Item(expression, name, True, text, pos=first.pos)
        name = column_name(expression, text, self.column_names)
        return tree.Item(expression, name, isinstance(expression, tree.Variable), text, pos=first.pos)

    def order_by(self) -> tuple[tree.SortKey, ...]:
        if not self.at_word("ORDER", "BY"):
            return ()
        self.index += 2
        keys = [self._sort_key()]
        while self.accept(","):
            keys.append(self._sort_key())
        return tuple(keys)

    def _sort_key(self) -> tree.SortKey:
        pos = self.token.pos
        expression = self.expression()
        descending = self.accept_word("DESC") or self.accept_word("DESCENDING")
        if not descending:
            _ = self.accept_word("ASC") or self.accept_word("ASCENDING")
        return tree.SortKey(expression, descending, pos=pos)

    # --- subqueries ---------------------------------------------------------------------------------------------------

    def _braced(self) -> tree.Query:
        self.expect("{")
        self.descend(_SUBQUERY_LEVELS)
        outer = self.bar_ends, self.return_required
        self.bar_ends, self.return_required = False, True
        query = self.query()
        self.bar_ends, self.return_required = outer
        self.depth -= _SUBQUERY_LEVELS
        self.expect("}", "to close the subquery")
        return query

    def braced_query(self, *, return_required: bool) -> tree.Query:
        pos = self.expect("{").pos
        self.descend(_SUBQUERY_LEVELS)
        outer = self.bar_ends, self.inside_subquery, self.return_required
        self.bar_ends, self.inside_subquery, self.return_required = False, True, return_required
        if self.at("(") or (self.at_variable() and self.at("=", 1)):
            patterns = self.pattern_list()
            where = self.expression() if self.accept_word("WHERE") else None
            query = _only(tree.Match(patterns, where, pos=patterns[0].pos), pos)
        else:
            query = self.query()
        self.bar_ends, self.inside_subquery, self.return_required = outer
        self.depth -= _SUBQUERY_LEVELS
        self.expect("}", "to close the subquery")
        return query


def _only(match: tree.Match, pos: int) -> tree.Query:
    return tree.Query((tree.SingleQuery((match,), pos=pos),), pos=pos)
