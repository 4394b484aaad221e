"""GQL's statements (language.md section 9) as the same tree that Cypher gives."""

from __future__ import annotations

from msgspec.structs import replace

from drasi.language import tree
from drasi.language.clauses import ClauseParser
from drasi.language.cursor import WRITING


class GqlParser(ClauseParser):
    """Parses GQL queries; expressions, patterns and subqueries are those of Cypher."""

    def query(self) -> tree.Query:
        pos = self.token.pos
        clauses: list[tree.Clause] = []
        while True:
            while not self.at_word("RETURN"):
                found = self._statement()
                if not found:
                    if not self.return_required and clauses and self.at("}"):
                        return tree.Query((tree.SingleQuery(tuple(clauses), pos=pos),), pos=pos)
                    raise self._no_statement(clauses)
                clauses.extend(found)
            last = self._return()
            clauses.append(last)
            if not self.accept_word("NEXT"):
                break
            clauses[-1] = replace(last, final=False)
        return tree.Query((tree.SingleQuery(tuple(clauses), pos=pos),), pos=pos)

    def _no_statement(self, before: list[tree.Clause]) -> Exception:
        if self.token.upper in WRITING:
            return self.fail(
                self.token.pos, "UnexpectedSyntax", f"{self.token.upper} writes to the graph", hint="a continuous query only reads"
            )
        hints = {
            "WITH": "GQL writes YIELD, LET or FILTER for WITH",
            "WHERE": "GQL writes FILTER for a WHERE of its own",
            "UNION": "UNION is Cypher's",
            "UNWIND": "UNWIND is Cypher's",
        }
        expected = "MATCH, LET, FILTER, YIELD or RETURN" if before else "MATCH"
        return self.unexpected(f"{expected} expected", hint=hints.get(self.token.upper, ""))

    def _statement(self) -> list[tree.Clause]:
        pos = self.token.pos
        if self.at_word("MATCH") or self.at_word("OPTIONAL", "MATCH"):
            return [self.match()]
        if self.accept_word("FILTER"):
            self.accept_word("WHERE")
            return [tree.Filter(self.expression(), pos=pos)]
        if self.accept_word("YIELD"):
            star, items = self.items()
            return [tree.Projection(items, star=star, pos=pos)]
        if self.accept_word("LET"):
            # One after the other: a later definition sees the earlier ones.
            found = [self._definition()]
            while self.accept(","):
                found.append(self._definition())
            return found
        return []

    def _definition(self) -> tree.Clause:
        pos = self.token.pos
        name = self.variable()
        self.expect("=")
        first = self.token.pos
        expression = self.expression()
        text = self.text[first : self.tokens[self.index - 1].end]
        return tree.Projection((tree.Item(expression, name, True, text, pos=pos),), star=True, pos=pos)

    def _return(self) -> tree.Projection:
        pos = self.advance().pos
        distinct = self.accept_word("DISTINCT")
        star, items = self.items()
        group_by = self._group_by()
        order_by = self.order_by()
        skip = self.expression() if self.accept_word("OFFSET") or self.accept_word("SKIP") else None
        limit = self.expression() if self.accept_word("LIMIT") else None
        return tree.Projection(items, distinct, star, group_by, order_by, skip, limit, final=True, pos=pos)

    def _group_by(self) -> tuple[tree.Expression, ...] | None:
        if not self.at_word("GROUP", "BY"):
            return None
        self.index += 2
        if self.at("(") and self.at(")", 1):
            self.index += 2
            return ()
        keys = [self.expression()]
        while self.accept(","):
            keys.append(self.expression())
        return tuple(keys)
