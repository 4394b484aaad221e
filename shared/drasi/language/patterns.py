"""Patterns (language.md section 3.1): nodes, relations, paths, label expressions."""

from __future__ import annotations

import re
from typing import Literal as OneOf

from drasi.errors import QueryError
from drasi.language import tree
from drasi.language.expressions import ExpressionParser

_FAR = 1_000_000


class PatternParser(ExpressionParser):
    """Parses patterns."""

    def pattern_list(self) -> tuple[tree.PathPattern, ...]:
        patterns = [self.pattern_part()]
        while self.accept(","):
            patterns.append(self.pattern_part())
        return tuple(patterns)

    def pattern_part(self) -> tree.PathPattern:
        """One of the comma patterns of a MATCH."""
        pos = self.token.pos
        variable: str | None = None
        if self.at_variable() and self.at("=", 1):
            variable = self.variable()
            self.expect("=")
        if self.at_word("SHORTESTPATH") or self.at_word("ALLSHORTESTPATHS"):
            path = self.shortest_path()
            return tree.PathPattern(variable, path.nodes, path.relations, path.shortest, pos=pos)
        return self._path(variable, pos)

    def path_pattern(self) -> tree.PathPattern:
        pos = self.token.pos
        variable: str | None = None
        if self.at_name() and self.at("=", 1):
            variable = self.variable()
            self.expect("=")
        return self._path(variable, pos)

    def shortest_path(self) -> tree.PathPattern:
        token = self.advance()
        self.expect("(")
        path = self._path(None, token.pos)
        self.expect(")")
        if len(path.relations) != 1:
            raise self.fail(
                token.pos,
                "UnexpectedSyntax",
                f"{token.text} takes one relation between two nodes",
                hint=f"{token.text}((a)-[*]-(b))",
            )
        kind: OneOf["one", "all"] = "one" if token.upper == "SHORTESTPATH" else "all"
        return tree.PathPattern(None, path.nodes, path.relations, kind, pos=token.pos)

    def _path(self, variable: str | None, pos: int) -> tree.PathPattern:
        nodes = [self._node()]
        relations: list[tree.RelationPattern] = []
        while self._at_arrow():
            relations.append(self._relation())
            nodes.append(self._node())
        return tree.PathPattern(variable, tuple(nodes), tuple(relations), pos=pos)

    # --- nodes --------------------------------------------------------------------------------------------------------

    def _node(self) -> tree.NodePattern:
        if not self.at("("):
            raise self.unexpected("a node pattern expected", hint="(n), (n:Label), (:Label {key: value})")
        pos = self.advance().pos
        self.descend()
        outer, self.bar_ends = self.bar_ends, False
        variable = self.variable() if self.at_variable() else None
        labels = self.label_expression() if self.accept(":") else None
        properties = self._properties()
        where = self.expression() if self.accept_word("WHERE") else None
        self.bar_ends = outer
        self.depth -= 1
        self.expect(")", "to close the node pattern")
        return tree.NodePattern(variable, labels, properties, where, pos=pos)

    def _properties(self) -> tree.Expression | None:
        if self.at("{"):
            return self.map_literal()
        token = self.token
        if token.kind == "parameter":
            self.advance()
            return tree.Parameter(token.text, pos=token.pos)
        return None

    # --- relations ----------------------------------------------------------------------------------------------------

    def _at_arrow(self) -> bool:
        if self.at("-"):
            return self.at("[", 1) or self.at("-", 1) or self.at(">", 1)
        return self.at("<") and self.at("-", 1)

    def _relation(self) -> tree.RelationPattern:
        pos = self.token.pos
        incoming = self.accept("<")
        self.expect("-")
        variable: str | None = None
        types: tuple[str, ...] = ()
        length: tree.Length | None = None
        properties: tree.Expression | None = None
        where: tree.Expression | None = None
        outgoing = False
        if self.accept("["):
            self.descend()
            outer, self.bar_ends = self.bar_ends, False
            variable = self.variable() if self.at_variable() else None
            types = self._types() if self.accept(":") else ()
            length = self._length() if self.at("*") else None
            properties = self._properties()
            where = self.expression() if self.accept_word("WHERE") else None
            self.bar_ends = outer
            self.depth -= 1
            if not self.at("]"):
                raise self._bad_relation()
            self.advance()
            self.expect("-", "after the relation")
            outgoing = self.accept(">")
        elif self.accept("-"):
            outgoing = self.accept(">")
        elif not incoming:
            # The short form ->; <- alone is the other one.
            self.expect(">")
            outgoing = True
        length = self._quantifier_after() or length
        direction: OneOf["out", "in", "both"] = "both" if incoming == outgoing else ("in" if incoming else "out")
        return tree.RelationPattern(variable, types, direction, length, properties, where, pos=pos)

    def _bad_relation(self) -> QueryError:
        token = self.token
        if token.kind == "integer" or self.at(".."):
            hint = "variable length is written -[:T*1..3]->"
        elif self.at(":") or self.at("&") or self.at("!"):
            hint = "a relation has one type; alternatives are -[:A|B]->"
        else:
            hint = "-[r:TYPE*1..3 {key: value}]->"
        if token.kind == "integer" or self.at("..") or self.at(":"):
            return self.fail(token.pos, "InvalidRelationshipPattern", "this is no relation pattern", hint=hint)
        return self.unexpected("']' expected to close the relation pattern", hint=hint)

    def _types(self) -> tuple[str, ...]:
        names = [self.name("a relation type")]
        while self.accept("|"):
            self.accept(":")
            names.append(self.name("a relation type"))
        return tuple(dict.fromkeys(names))

    def _length(self) -> tree.Length:
        pos = self.expect("*").pos
        minimum = self._bound()
        if self.accept(".."):
            return tree.Length(1 if minimum is None else minimum, self._bound(), pos=pos)
        return tree.Length(1, None, pos=pos) if minimum is None else tree.Length(minimum, minimum, pos=pos)

    def _bound(self) -> int | None:
        token = self.token
        if token.kind == "parameter":
            hint = "write the number itself: the shape of a pattern is fixed when the query is created"
            raise self.fail(token.pos, "InvalidParameterUse", "a parameter cannot stand for a length", hint=hint)
        if self.at("-") and self.peek().kind == "integer":
            raise self.fail(token.pos, "InvalidRelationshipPattern", "a length cannot be negative", hint="-[:T*1..3]->")
        if token.kind != "integer":
            return None
        self.advance()
        assert isinstance(token.value, int)
        return min(token.value, _FAR)

    def _quantifier_after(self) -> tree.Length | None:
        """GQL's ``+``, ``*``, ``{1,3}`` after a relation."""
        pos = self.token.pos
        if self.at("+") or self.at("*"):
            return tree.Length(0 if self.advance().text == "*" else 1, None, pos=pos)
        if not self.at("{"):
            return None
        self.advance()
        minimum = self._bound()
        maximum = self._bound() if self.accept(",") else minimum
        self.expect("}", "to close the length")
        return tree.Length(minimum or 0, maximum, pos=pos)

    # --- labels -------------------------------------------------------------------------------------------------------

    def label_expression(self) -> tree.LabelExpression:
        pos = self.token.pos
        operands = [self._label_and()]
        while not self.bar_ends and self.at("|"):
            self.advance()
            self.accept(":")
            operands.append(self._label_and())
        return operands[0] if len(operands) == 1 else tree.LabelOr(tuple(operands), pos=pos)

    def _label_and(self) -> tree.LabelExpression:
        pos = self.token.pos
        operands = [self._label()]
        while self.at("&") or (self.at(":") and self._label_follows(1)):
            self.advance()
            operands.append(self._label())
        return operands[0] if len(operands) == 1 else tree.LabelAnd(tuple(operands), pos=pos)

    def _label_follows(self, ahead: int) -> bool:
        return self.at_name(ahead) or self.at("!", ahead) or self.at("%", ahead) or self.at("(", ahead)

    def _label(self) -> tree.LabelExpression:
        pos = self.token.pos
        if self.accept("!"):
            self.descend()
            operand = self._label()
            self.depth -= 1
            return tree.NotLabel(operand, pos=pos)
        if self.accept("%"):
            return tree.AnyLabel(pos=pos)
        if self.accept("("):
            self.descend()
            outer, self.bar_ends = self.bar_ends, False
            inner = self.label_expression()
            self.bar_ends = outer
            self.depth -= 1
            self.expect(")", "to close the label expression")
            return inner
        return tree.Label(self.name("a label"), pos=pos)

    # --- patterns among expressions -----------------------------------------------------------------------------------

    def at_relation(self, index: int) -> bool:
        close = self.brackets.get(index)
        if close is None or not self._like_a_node(index, close):
            return False
        after = "".join(self._symbols(close + 1))
        if re.match(r"<?-\[", after):
            opening = close + (3 if after[0] == "<" else 2)
            end = self.brackets.get(opening)
            return end is not None and "".join(self._symbols(end + 1)).startswith("-")
        return re.match(r"(<?--[>(]|->\()", after) is not None

    def _like_a_node(self, index: int, close: int) -> bool:
        at = index + 1
        if at == close:
            return True
        token = self.tokens[at]
        if token.kind in ("name", "quoted"):
            at += 1
            if at == close:
                return True
            token = self.tokens[at]
        return (token.kind == "symbol" and token.text in (":", "{")) or token.upper == "WHERE" or token.kind == "parameter"

    def _symbols(self, index: int) -> list[str]:
        """The texts of the next few tokens, up to the first that is no symbol."""
        found: list[str] = []
        for token in self.tokens[index : index + 4]:
            if token.kind != "symbol":
                break
            found.append(token.text)
        return found
