"""Just enough reading of CREATE statements: names of foreign keys, terms of unique indexes, neither of which SQLite tells."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
      | (?P<text>'(?:[^']|'')*')
      | (?P<word>[^\W\d][\w$]*)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        if self.kind != "quoted":
            return self.text
        quote = self.text[-1]
        inner = self.text[1:-1]
        return inner if quote == "]" else inner.replace(quote * 2, quote)


@dataclass(frozen=True, slots=True)
class IndexTerms:
    """The terms of an index as written, and the condition of a partial one (empty: none)."""

    terms: tuple[str, ...]
    where: str


def foreign_key_names(create_table: str) -> list[str | None]:
    """Per REFERENCES clause, in the order of the statement, the name of its constraint."""
    tokens = _tokens(create_table)
    names: list[str | None] = []
    pending: str | None = None
    for index, token in enumerate(tokens):
        if token.word == "CONSTRAINT" and index + 1 < len(tokens):
            pending = tokens[index + 1].name
        elif token.word in ("PRIMARY", "UNIQUE", "CHECK", "NOT", "DEFAULT", "COLLATE", "GENERATED"):
            pending = None
        elif token.word == "REFERENCES":
            names.append(pending)
            pending = None
    return names


def index_terms(create_index: str) -> IndexTerms:
    tokens = _tokens(create_index)
    opening = next(index for index, token in enumerate(tokens) if token.text == "(")
    terms: list[list[_Token]] = [[]]
    depth = 1
    index = opening + 1
    while depth:
        token = tokens[index]
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 1 and token.text == ",":
            terms.append([])
        elif depth:
            terms[-1].append(token)
        index += 1
    for term in terms:
        if term[-1].word in ("ASC", "DESC"):
            term.pop()
    where = create_index[tokens[index].end :].strip().rstrip(";") if index < len(tokens) and tokens[index].word == "WHERE" else ""
    return IndexTerms(tuple(create_index[term[0].start : term[-1].end] for term in terms), where)


def names_in(expression: str) -> set[str]:
    """Every name that occurs in an expression, in lower case."""
    return {token.name.lower() for token in _tokens(expression) if token.kind in ("word", "quoted")}


def _tokens(text: str) -> list[_Token]:
    found = [_Token(match.lastgroup or "", match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
    return [token for token in found if token.kind != "blank"]
