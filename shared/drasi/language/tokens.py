"""Query text to tokens, the same for Cypher and GQL (openCypher 9, lexical part).

Arrows are not tokens: ``<-[``, ``-->`` are put together by the pattern parser from ``<``, ``-``, ``>``, because the same
characters are operators in expressions (``a<-1``).
"""

from __future__ import annotations

import math
import re
from typing import Literal as OneOf

import msgspec

from drasi.language.place import error_at

Kind = OneOf["name", "quoted", "integer", "float", "string", "parameter", "symbol", "malformed", "end"]

_BLANK = re.compile(r"(?:[\s\u180e\u200b\ufeff]|//[^\r\n]*|/\*.*?\*/)+", re.DOTALL)
_NAME = re.compile(r"[^\W\d]\w*")
_PARAMETER_NAME = re.compile(r"\w+")
_QUOTED = re.compile(r"`((?:[^`]|``)*)`")
_NUMBER = re.compile(r"(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_RADIX = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+")
_SYMBOL = re.compile(r"<=|>=|<>|!=|=~|\+=|\.\.|[-+*/%^=<>()\[\]{},.:;|&!]")
_PLAIN_STRING = {"'": re.compile(r"[^'\\]*"), '"': re.compile(r'[^"\\]*')}
_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_OPEN = {"(": ")", "[": "]", "{": "}"}
_CLOSE = {close: opening for opening, close in _OPEN.items()}


class Token(msgspec.Struct, frozen=True):
    """One token.

    Attributes:
        kind: ``quoted`` is a name in backticks, which is never a keyword.
        text: The name, symbol, or the literal as written.
        value: Of a literal; of a ``malformed`` number what to do about it.
        upper: ``text`` in capitals for a bare name, else empty: what keywords are compared with.
        pos, end: Offsets in the query text.
    """

    kind: Kind
    text: str
    value: int | float | str | None
    upper: str
    pos: int
    end: int


def tokenize(text: str) -> list[Token]:
    """All tokens of ``text``, closed by one of kind ``end``.

    Raises:
        QueryError: A character, number or string that is none.
    """
    tokens: list[Token] = []
    pos = 0
    while True:
        if blank := _BLANK.match(text, pos):
            pos = blank.end()
        if pos == len(text):
            tokens.append(Token("end", "", None, "", pos, pos))
            return tokens
        token = _token(text, pos)
        tokens.append(token)
        pos = token.end


def matching_brackets(tokens: list[Token]) -> dict[int, int]:
    """For the index of every opening bracket that is closed, the index of its closing one."""
    found: dict[int, int] = {}
    open_: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind != "symbol":
            continue
        if token.text in _OPEN:
            open_.append(index)
        elif token.text in _CLOSE and open_ and tokens[open_[-1]].text == _CLOSE[token.text]:
            found[open_.pop()] = index
    return found


def _token(text: str, pos: int) -> Token:
    character = text[pos]
    if found := _NAME.match(text, pos):
        name = found.group()
        return Token("name", name, None, name.upper(), pos, found.end())
    if character == "`":
        name, end = _quoted(text, pos)
        return Token("quoted", name, None, "", pos, end)
    if character in "0123456789" or (character == "." and text[pos + 1 : pos + 2] in tuple("0123456789")):
        return _number(text, pos)
    if character in "'\"":
        return _string(text, pos)
    if character == "$":
        return _parameter(text, pos)
    if found := _SYMBOL.match(text, pos):
        if text.startswith("/*", pos):
            raise error_at(text, pos, "UnexpectedSyntax", "this comment is not closed", hint="end it with */")
        return Token("symbol", found.group(), None, "", pos, found.end())
    if ord(character) > 127:
        raise error_at(
            text,
            pos,
            "InvalidUnicodeCharacter",
            f"the character {character!r} (U+{ord(character):04X}) has no meaning here",
            hint=_ascii_hint(character),
        )
    raise error_at(text, pos, "UnexpectedSyntax", f"the character {character!r} has no meaning here")


def _ascii_hint(character: str) -> str:
    plain = {"–": "-", "—": "-", "−": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "≤": "<=", "≥": ">=", "≠": "<>"}.get(character)
    return f"write {plain}" if plain else "put names with special characters in backticks"


def _quoted(text: str, pos: int) -> tuple[str, int]:
    found = _QUOTED.match(text, pos)
    if found is None:
        raise error_at(text, pos, "UnexpectedSyntax", "this quoted name is not closed", hint="end it with `")
    return found.group(1).replace("``", "`"), found.end()


def _number(text: str, pos: int) -> Token:
    found = _RADIX.match(text, pos) or _NUMBER.match(text, pos)
    assert found is not None
    end = found.end()
    written = found.group()
    bad_tail = _NAME.match(text, end)
    leading_zero = re.fullmatch(r"0\d+", written)
    if bad_tail or leading_zero or text[end : end + 1].isdigit():
        whole = text[pos : bad_tail.end() if bad_tail else end]
        if leading_zero:
            hint = "a decimal number does not begin with 0; octal is 0o17, hexadecimal 0x1F"
        else:
            hint = "numbers are 12, 0x1F, 0o17, 1.5, 6.02E-23; names do not begin with a digit unless they are in backticks"
        # Where no number may stand the parser has more to say than that this is none.
        return Token("malformed", whole, hint, "", pos, pos + len(whole))
    if written[:2] in ("0x", "0X", "0o", "0O"):
        return Token("integer", written, int(written[2:], 16 if written[1] in "xX" else 8), "", pos, end)
    if written.isdigit():
        # Python refuses to read integers of more than 4300 digits; they are far beyond int64 anyway.
        return Token("integer", written, int(written) if len(written) < 100 else 10**100, "", pos, end)
    value = float(written)
    if math.isinf(value):
        raise error_at(text, pos, "FloatingPointOverflow", f"{written} is too large for a float")
    return Token("float", written, value, "", pos, end)


def _string(text: str, pos: int) -> Token:
    quote = text[pos]
    plain = _PLAIN_STRING[quote]
    parts: list[str] = []
    at = pos + 1
    while True:
        run = plain.match(text, at)
        assert run is not None
        parts.append(run.group())
        at = run.end()
        if at >= len(text):
            raise error_at(text, pos, "UnexpectedSyntax", "this string is not closed", hint=f"end it with {quote}")
        if text[at] == quote:
            return Token("string", text[pos : at + 1], "".join(parts), "", pos, at + 1)
        character, at = _escape(text, at)
        parts.append(character)


def _escape(text: str, pos: int) -> tuple[str, int]:
    letter = text[pos + 1 : pos + 2]
    if letter in _ESCAPES:
        return _ESCAPES[letter], pos + 2
    if letter in ("u", "U"):
        length = 4 if letter == "u" else 8
        digits = text[pos + 2 : pos + 2 + length]
        if not re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", digits):
            message = f"\\{letter} needs {length} hexadecimal digits"
            raise error_at(text, pos, "InvalidUnicodeLiteral", message)
        code = int(digits, 16)
        end = pos + 2 + length
        # Java-style pairs: \uD83D\uDE00 is one character.
        if 0xD800 <= code < 0xDC00 and re.match(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}", text[end : end + 6]):
            low = int(text[end + 2 : end + 6], 16)
            return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), end + 6
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise error_at(text, pos, "InvalidUnicodeLiteral", f"U+{code:04X} is no character")
        return chr(code), end
    if not letter:
        raise error_at(text, pos, "UnexpectedSyntax", "this string is not closed")
    message = f"\\{letter} is no escape"
    raise error_at(text, pos, "InvalidUnicodeLiteral", message, hint=r"escapes are \\ \' \" \b \f \n \r \t \uXXXX \UXXXXXXXX")


def _parameter(text: str, pos: int) -> Token:
    after = pos + 1
    if text[after : after + 1] == "`":
        name, end = _quoted(text, after)
        return Token("parameter", name, None, "", pos, end)
    found = _PARAMETER_NAME.match(text, after)
    if found is None:
        raise error_at(text, pos, "UnexpectedSyntax", "a parameter's name must follow $", hint="$name, $`a name`, $0")
    return Token("parameter", found.group(), None, "", pos, found.end())
