"""A cursor over tokens: what all parts of the parser share."""

from __future__ import annotations

from drasi.errors import QueryError
from drasi.language.place import error_at, nearest
from drasi.language.tokens import Token, matching_brackets, tokenize

DEEPEST = 64
"""Levels of nesting a text may have: the parser and every consumer of the tree recurse over them, several frames a level."""

# Names that begin or join clauses and operators. They may be property keys, labels, types and map keys, and in backticks
# anything; as variables they would make a text read differently than it looks.
RESERVED = frozenset({
    "AND", "AS", "CASE", "CONTAINS", "CREATE", "DELETE", "DETACH", "DISTINCT", "ELSE", "ENDS", "FALSE", "FOREACH", "IN", "IS",
    "MATCH", "MERGE", "NOT", "NULL", "OPTIONAL", "OR", "REMOVE", "RETURN", "STARTS", "THEN", "TRUE", "UNION", "UNWIND", "WHEN",
    "WHERE", "WITH", "XOR", "YIELD",
})  # fmt: skip

WRITING = frozenset(["CREATE", "MERGE", "SET", "DELETE", "DETACH", "REMOVE", "FOREACH", "LOAD"])

CLAUSES = (
    "MATCH", "OPTIONAL MATCH", "WHERE", "WITH", "RETURN", "UNWIND", "CALL", "UNION", "ORDER BY", "SKIP", "LIMIT", "YIELD"
)  # fmt: skip


class Cursor:
    """Tokens of one text and a place in them."""

    def __init__(self, text: str, language: str, column_names: str) -> None:
        self.text = text
        self.language = language
        self.column_names = column_names
        self.tokens = tokenize(text)
        self.brackets = matching_brackets(self.tokens)
        self.index = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def peek(self, ahead: int = 1) -> Token:
        return self.tokens[min(self.index + ahead, len(self.tokens) - 1)]

    def advance(self) -> Token:
        token = self.tokens[self.index]
        if token.kind != "end":
            self.index += 1
        return token

    # --- symbols and keywords -----------------------------------------------------------------------------------------

    def at(self, symbol: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token.kind == "symbol" and token.text == symbol

    def accept(self, symbol: str) -> bool:
        if self.at(symbol):
            self.index += 1
            return True
        return False

    def expect(self, symbol: str, where: str = "") -> Token:
        if not self.at(symbol):
            raise self.unexpected(f"{symbol!r} expected{where and ' ' + where}")
        return self.advance()

    def at_word(self, *words: str) -> bool:
        """Whether these keywords stand here, one after the other."""
        return all(self.peek(ahead).upper == word for ahead, word in enumerate(words))

    def accept_word(self, *words: str) -> bool:
        if self.at_word(*words):
            self.index += len(words)
            return True
        return False

    def expect_word(self, word: str, where: str = "") -> Token:
        if not self.at_word(word):
            raise self.unexpected(f"{word} expected{where and ' ' + where}")
        return self.advance()

    # --- names --------------------------------------------------------------------------------------------------------

    def at_name(self, ahead: int = 0) -> bool:
        return self.peek(ahead).kind in ("name", "quoted")

    def at_variable(self, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token.kind == "quoted" or (token.kind == "name" and token.upper not in RESERVED)

    def name(self, what: str) -> str:
        """Any name, keywords included: a property key, label, type or map key."""
        if not self.at_name():
            raise self.unexpected(f"{what} expected")
        return self.advance().text

    def variable(self, what: str = "a variable") -> str:
        if not self.at_variable():
            hint = f"put it in backticks: `{self.token.text}`" if self.token.upper in RESERVED else ""
            raise self.unexpected(f"{what} expected", hint=hint)
        return self.advance().text

    # --- errors -------------------------------------------------------------------------------------------------------

    def fail(self, pos: int, detail: str, message: str, *, hint: str = "") -> QueryError:
        return error_at(self.text, pos, detail, message, hint=hint)

    def unexpected(self, message: str, *, hint: str = "") -> QueryError:
        token = self.token
        if token.upper in WRITING:
            return self.fail(
                token.pos, "UnexpectedSyntax", f"{token.upper} is not allowed here", hint="a continuous query only reads"
            )
        found = "the end of the text" if token.kind == "end" else repr(token.text)
        if token.kind == "name" and (close := nearest(token.text, CLAUSES)) and close != token.upper:
            hint = f"did you mean {close}?"
        return self.fail(token.pos, "UnexpectedSyntax", f"{message}, found {found}", hint=hint)

    def descend(self, levels: int = 1) -> None:
        """Enters a nested construct; ``self.depth -= levels`` leaves it."""
        self.depth += levels
        if self.depth > DEEPEST:
            raise self.fail(
                self.token.pos,
                "UnexpectedSyntax",
                f"this is nested more than {DEEPEST} levels deep",
                hint="give parts of it names with WITH … AS name",
            )
