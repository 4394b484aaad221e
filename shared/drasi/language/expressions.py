"""Expressions (language.md section 7), by precedence climbing: few frames per level of nesting."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal as OneOf
from typing import cast

from drasi.language import functions, tree
from drasi.language.cursor import Cursor
from drasi.language.tokens import Token
from drasi.language.tree import Expression

_OR, _XOR, _AND, _NOT, _COMPARE, _TEST, _ADD, _MULTIPLY, _POWER = range(1, 10)

_COMPARISONS: dict[str, tree.ComparisonOperator] = {
    "=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="
}  # fmt: skip
_ARITHMETIC = {"+": _ADD, "-": _ADD, "*": _MULTIPLY, "/": _MULTIPLY, "%": _MULTIPLY, "^": _POWER}
_LOGIC = {"OR": _OR, "XOR": _XOR, "AND": _AND}
_QUANTIFIERS = ("ALL", "ANY", "NONE", "SINGLE")
_LARGEST = 2**63 - 1


class ExpressionParser(Cursor):
    """Parses expressions; patterns and subqueries inside them are the business of the classes below."""

    bar_ends = False
    """Inside ``[x IN l WHERE … | …]`` a bar ends the condition, so it joins no labels there."""

    @abstractmethod
    def path_pattern(self) -> tree.PathPattern:
        """``[p =] (…)-[…]-(…)…``."""

    @abstractmethod
    def at_relation(self, index: int) -> bool:
        """Whether the tokens from ``index`` on are a node pattern followed by a relation."""

    @abstractmethod
    def label_expression(self) -> tree.LabelExpression:
        """``A:B|C`` after its first colon."""

    @abstractmethod
    def braced_query(self, *, return_required: bool) -> tree.Query:
        """A pattern or a query in braces."""

    # --- operators ----------------------------------------------------------------------------------------------------

    def expression(self, weakest: int = _OR) -> Expression:
        """An expression of operators that bind at least as ``weakest``."""
        left = self._negation() if weakest <= _NOT and self.at_word("NOT") else self._unary()
        while True:
            token = self.token
            if token.kind == "symbol":
                if (level := _ARITHMETIC.get(token.text)) and level >= weakest:
                    self.advance()
                    right = self.expression(level + 1)
                    left = tree.Binary(cast("tree.BinaryOperator", token.text), left, right, pos=left.pos)
                elif token.text in _COMPARISONS and weakest <= _COMPARE:
                    left = self._comparison(left)
                elif token.text == "=~" and weakest <= _TEST:
                    self.advance()
                    left = tree.Binary("=~", left, self.expression(_ADD), pos=left.pos)
                else:
                    return left
            elif (level := _LOGIC.get(token.upper)) and level >= weakest:
                left = self._logic(left, cast("OneOf['OR', 'XOR', 'AND']", token.upper), level)
            else:
                tested = self._test(left) if weakest <= _TEST and token.kind == "name" else None
                if tested is None:
                    return left
                left = tested

    def _negation(self) -> Expression:
        token = self.advance()
        self.descend()
        operand = self.expression(_NOT)
        self.depth -= 1
        return tree.Unary("NOT", operand, pos=token.pos)

    def _comparison(self, first: Expression) -> Expression:
        rest: list[tuple[tree.ComparisonOperator, Expression]] = []
        while self.token.kind == "symbol" and (operator := _COMPARISONS.get(self.token.text)):
            self.advance()
            rest.append((operator, self.expression(_TEST)))
        return tree.Comparison(first, tuple(rest), pos=first.pos)

    def _logic(self, first: Expression, operator: OneOf["OR", "XOR", "AND"], level: int) -> Expression:
        operands = [first]
        while self.accept_word(operator):
            operands.append(self.expression(level + 1))
        return _balanced(operator, operands)

    def _test(self, left: Expression) -> Expression | None:
        """``IN``, ``STARTS WITH``, ``IS NULL`` …, or None when none of them follows."""
        match self.token.upper:
            case "IN":
                operator: tree.BinaryOperator = "IN"
                self.advance()
            case "STARTS" if self.peek().upper == "WITH":
                operator = "STARTS WITH"
                self.index += 2
            case "ENDS" if self.peek().upper == "WITH":
                operator = "ENDS WITH"
                self.index += 2
            case "CONTAINS":
                operator = "CONTAINS"
                self.advance()
            case "IS":
                self.advance()
                negated = self.accept_word("NOT")
                self.expect_word("NULL")
                return tree.IsNull(left, negated, pos=left.pos)
            case _:
                return None
        return tree.Binary(operator, left, self.expression(_ADD), pos=left.pos)

    def _unary(self) -> Expression:
        token = self.token
        if token.kind != "symbol" or token.text not in ("+", "-"):
            return self._postfix()
        self.advance()
        number = self.token
        if token.text == "-" and number.kind == "integer" and number.value == _LARGEST + 1:
            # The least integer: its digits alone would be too large.
            self.advance()
            return tree.Literal(-_LARGEST - 1, pos=token.pos)
        self.descend()
        operand = self._unary()
        self.depth -= 1
        if number.kind in ("integer", "float") and isinstance(operand, tree.Literal):
            value = cast("int | float", operand.value)
            return tree.Literal(-value if token.text == "-" else value, pos=token.pos)
        return tree.Unary("-" if token.text == "-" else "+", operand, pos=token.pos)

    # --- access -------------------------------------------------------------------------------------------------------

    def _postfix(self) -> Expression:
        subject = self._atom()
        while self.token.kind == "symbol":
            match self.token.text:
                case ".":
                    self.advance()
                    subject = tree.Property(subject, self.name("a property's name"), pos=subject.pos)
                case "[":
                    subject = self._index(subject)
                case ":" if self.at_name(1) or self.at("!", 1) or self.at("%", 1) or self.at("(", 1):
                    self.advance()
                    subject = tree.HasLabels(subject, self.label_expression(), pos=subject.pos)
                case "{" if isinstance(subject, tree.Variable):
                    subject = self._map_projection(subject)
                case _:
                    break
        return subject

    def _index(self, subject: Expression) -> Expression:
        self.expect("[")
        start = None if self.at("..") else self._nested()
        if self.accept(".."):
            stop = None if self.at("]") else self._nested()
            self.expect("]")
            return tree.Slice(subject, start, stop, pos=subject.pos)
        self.expect("]")
        assert start is not None
        return tree.Index(subject, start, pos=subject.pos)

    def _map_projection(self, subject: tree.Variable) -> Expression:
        self.expect("{")
        items: list[tuple[str, Expression | None]] = []
        while not self.at("}"):
            pos = self.token.pos
            if self.accept("."):
                if self.accept("*"):
                    items.append(("*", None))
                else:
                    key = self.name("a property's name")
                    items.append((key, tree.Property(subject, key, pos=pos)))
            elif self.at_name() and self.at(":", 1):
                key = self.advance().text
                self.advance()
                items.append((key, self._nested()))
            else:
                name = self.variable("a variable, .property, .* or key: value")
                items.append((name, tree.Variable(name, pos=pos)))
            if not self.accept(","):
                break
        self.expect("}", "to close the map projection")
        return tree.MapProjection(subject, tuple(items), pos=subject.pos)

    # --- atoms --------------------------------------------------------------------------------------------------------

    def _nested(self) -> Expression:
        """An expression in brackets of its own, in which a bar means what it says."""
        outer, self.bar_ends = self.bar_ends, False
        self.descend()
        expression = self.expression()
        self.depth -= 1
        self.bar_ends = outer
        return expression

    def _before_bar(self) -> Expression:
        outer, self.bar_ends = self.bar_ends, True
        self.descend()
        expression = self.expression()
        self.depth -= 1
        self.bar_ends = outer
        return expression

    def _atom(self) -> Expression:
        token = self.token
        match token.kind:
            case "integer":
                self.advance()
                if cast("int", token.value) > _LARGEST:
                    hint = "integers have 64 bits; write it with a decimal point for a float"
                    raise self.fail(token.pos, "IntegerOverflow", f"{token.text} is too large for an integer", hint=hint)
                return tree.Literal(token.value, pos=token.pos)
            case "float" | "string":
                self.advance()
                return tree.Literal(token.value, pos=token.pos)
            case "malformed":
                hint = cast("str", token.value)
                raise self.fail(token.pos, "InvalidNumberLiteral", f"{token.text} is no number", hint=hint)
            case "parameter":
                self.advance()
                return tree.Parameter(token.text, pos=token.pos)
            case "name":
                return self._named(token)
            case "quoted":
                return self._variable_or_call(token)
            case "symbol":
                return self._bracketed(token)
            case _:
                raise self.unexpected("an expression expected")

    def _bracketed(self, token: Token) -> Expression:
        match token.text:
            case "(":
                if self.at_relation(self.index):
                    return tree.PatternPredicate(self.path_pattern(), pos=token.pos)
                self.advance()
                inner = self._nested()
                self.expect(")")
                return inner
            case "[":
                return self._list()
            case "{":
                return self.map_literal()
            case _:
                raise self.unexpected("an expression expected")

    def map_literal(self) -> tree.MapLiteral:
        pos = self.expect("{").pos
        entries: list[tuple[str, Expression]] = []
        while not self.at("}"):
            key = self.name("a key")
            self.expect(":", "after the key")
            entries.append((key, self._nested()))
            if not self.accept(","):
                break
        self.expect("}", "to close the map")
        return tree.MapLiteral(tuple(entries), pos=pos)

    def _list(self) -> Expression:
        pos = self.expect("[").pos
        named = self.at_name() and self.at("=", 1) and self.at("(", 2) and self.at_relation(self.index + 2)
        if (named or (self.at("(") and self.at_relation(self.index))) and (found := self._pattern_comprehension(pos)):
            return found
        items: list[Expression] = []
        if not self.at("]"):
            bare = self.at_variable() and self.peek().upper == "IN"
            first = self._before_bar() if bare else self._nested()
            if bare and isinstance(first, tree.Binary) and first.operator == "IN" and not self.at(","):
                return self._comprehension(first, "]", pos)
            items.append(first)
            while self.accept(","):
                items.append(self._nested())
        self.expect("]", "to close the list")
        return tree.ListLiteral(tuple(items), pos=pos)

    def _pattern_comprehension(self, pos: int) -> Expression | None:
        start = self.index
        pattern = self.path_pattern()
        if not (self.at_word("WHERE") or self.at("|")):
            # A list that begins with a pattern as a predicate.
            self.index = start
            return None
        where = self._before_bar() if self.accept_word("WHERE") else None
        self.expect("|", "before what the list holds")
        projection = self._nested()
        self.expect("]", "to close the list")
        return tree.PatternComprehension(pattern, where, projection, pos=pos)

    def _comprehension(self, source: tree.Binary, close: str, pos: int) -> Expression:
        """The rest of ``x IN l [WHERE p] [| e]``, of which ``x IN l`` is ``source``."""
        assert isinstance(source.left, tree.Variable)
        where = self._before_bar() if self.accept_word("WHERE") else None
        projection = self._nested() if self.accept("|") else None
        self.expect(close, "to close the list comprehension")
        return tree.ListComprehension(source.left.name, source.right, where, projection, pos=pos)

    # --- what begins with a name --------------------------------------------------------------------------------------

    def _named(self, token: Token) -> Expression:
        word = token.upper
        if word in ("TRUE", "FALSE", "NULL") and not self._call_follows():
            self.advance()
            return tree.Literal({"TRUE": True, "FALSE": False, "NULL": None}[word], pos=token.pos)
        if word == "CASE":
            return self._case()
        if self.at("{", 1) and word in ("EXISTS", "COUNT", "COLLECT") and self._subquery_follows(word):
            self.advance()
            kind = cast("OneOf['exists', 'count', 'collect']", word.lower())
            return tree.Subquery(kind, self.braced_query(return_required=kind == "collect"), pos=token.pos)
        if self.at("(", 1):
            if word in _QUANTIFIERS and self.at_variable(2) and self.peek(3).upper == "IN":
                return self._quantifier()
            if word == "REDUCE" and self.at_variable(2) and self.at("=", 3):
                return self._reduce()
            if word == "CAST":
                return self._cast()
        return self._variable_or_call(token)

    def _subquery_follows(self, word: str) -> bool:
        """Whether ``COUNT {`` begins a subquery, and not a map projection of a variable named count."""
        if word == "EXISTS":
            return True
        first, second = self.peek(2), self.peek(3)
        if first.kind == "symbol":
            return first.text == "("
        return not (second.kind == "symbol" and second.text in (":", ",", "}"))

    def _case(self) -> Expression:
        pos = self.advance().pos
        subject = None if self.at_word("WHEN") else self._nested()
        branches: list[tuple[Expression, Expression]] = []
        while self.accept_word("WHEN"):
            condition = self._nested()
            self.expect_word("THEN")
            branches.append((condition, self._nested()))
        if not branches:
            raise self.unexpected("WHEN expected")
        default = self._nested() if self.accept_word("ELSE") else None
        self.expect_word("END", "to close the CASE")
        return tree.Case(subject, tuple(branches), default, pos=pos)

    def _quantifier(self) -> Expression:
        token = self.advance()
        self.expect("(")
        variable = self.variable()
        self.expect_word("IN")
        items = self._nested()
        self.expect_word("WHERE", f"in {token.text}(…)")
        where = self._nested()
        self.expect(")")
        kind = cast("OneOf['all', 'any', 'none', 'single']", token.text.lower())
        return tree.Quantifier(kind, variable, items, where, pos=token.pos)

    def _reduce(self) -> Expression:
        pos = self.advance().pos
        self.expect("(")
        accumulator = self.variable()
        self.expect("=")
        initial = self._nested()
        self.expect(",", "before the list to reduce")
        variable = self.variable()
        self.expect_word("IN")
        items = self._before_bar()
        where = self._before_bar() if self.accept_word("WHERE") else None
        self.expect("|", "before what is computed for each item")
        projection = self._nested()
        self.expect(")")
        return tree.Reduce(accumulator, initial, variable, items, where, projection, pos=pos)

    def _cast(self) -> Expression:
        token = self.token
        start = self.index
        self.index += 2
        if not self.at(")"):
            operand = self._nested()
            if self.accept_word("AS"):
                type_ = self.name("a type").upper()
                self.expect(")")
                return tree.Cast(operand, type_, pos=token.pos)
            if not self.at(","):
                raise self.unexpected("AS and a type expected", hint="CAST(value AS INTEGER), or cast(value, 'INTEGER')")
            self.advance()
            arguments = [operand, *self.arguments()]
            return tree.FunctionCall("cast", tuple(arguments), written=token.text, pos=token.pos)
        self.index = start
        return self._variable_or_call(token)

    def _call_follows(self) -> bool:
        """Whether ``name(`` or ``name.name(`` stands here."""
        ahead = 1
        while self.at(".", ahead) and self.at_name(ahead + 1):
            ahead += 2
        return self.at("(", ahead)

    def _variable_or_call(self, token: Token) -> Expression:
        if not self._call_follows():
            return tree.Variable(self.variable("an expression"), pos=token.pos)
        parts = [self.advance().text]
        while self.accept("."):
            parts.append(self.advance().text)
        written = ".".join(parts)
        name = functions.canonical(written, self.language) or written
        self.expect("(")
        if self.accept("*"):
            self.expect(")")
            return tree.FunctionCall(name, (), star=True, written=written, pos=token.pos)
        distinct = self.accept_word("DISTINCT")
        return tree.FunctionCall(name, tuple(self.arguments()), distinct, written=written, pos=token.pos)

    def arguments(self) -> Sequence[Expression]:
        """The arguments of a call up to its closing parenthesis; ``x IN l WHERE p | e`` alone is a list comprehension."""
        if self.accept(")"):
            return ()
        pos = self.token.pos
        bare = self.at_variable() and self.peek().upper == "IN"
        first = self._before_bar() if bare else self._nested()
        if bare and isinstance(first, tree.Binary) and first.operator == "IN" and (self.at_word("WHERE") or self.at("|")):
            return (self._comprehension(first, ")", pos),)
        arguments = [first]
        while self.accept(","):
            arguments.append(self._nested())
        self.expect(")", "to close the call")
        return arguments


def _balanced(operator: OneOf["OR", "XOR", "AND"], operands: Sequence[Expression]) -> Expression:
    """The operands joined as a tree of logarithmic depth: the order of evaluation is that of the chain."""
    if len(operands) == 1:
        return operands[0]
    half = len(operands) // 2
    left, right = _balanced(operator, operands[:half]), _balanced(operator, operands[half:])
    return tree.Binary(operator, left, right, pos=operands[0].pos)
