from __future__ import annotations

import pytest

from drasi.errors import QueryError
from drasi.language.tokens import matching_brackets, tokenize


def texts(text: str) -> list[str]:
    return [token.text for token in tokenize(text)[:-1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e9", 1e9),
        ("6.02E-23", 6.02e-23),
        ("'it''s'", "it"),
        (r"'\\ \' \" \b \f \n \r \t'", "\\ ' \" \b \f \n \r \t"),
        (r"'\u00e9\U0001F600'", "é😀"),
        (r"'\uD83D\uDE00'", "😀"),
        ("'two\nlines'", "two\nlines"),
        ("\"a 'b'\"", "a 'b'"),
    ],
)
def test_literals(text: str, value: object) -> None:
    found = tokenize(text)[0].value
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("1e400", "FloatingPointOverflow"),
        (r"'\u12'", "InvalidUnicodeLiteral"),
        (r"'\U00110000'", "InvalidUnicodeLiteral"),
        (r"'\ud800'", "InvalidUnicodeLiteral"),
        (r"'\q'", "InvalidUnicodeLiteral"),
        ("'open", "UnexpectedSyntax"),
        ("'open\\", "UnexpectedSyntax"),
        ("`open", "UnexpectedSyntax"),
        ("/* open", "UnexpectedSyntax"),
        ("$ x", "UnexpectedSyntax"),
        ("#", "UnexpectedSyntax"),
        ("a — b", "InvalidUnicodeCharacter"),
    ],
)
def test_what_is_no_token(text: str, detail: str) -> None:
    with pytest.raises(QueryError) as caught:
        tokenize(text)
    assert (caught.value.type, caught.value.detail) == ("SyntaxError", detail)


@pytest.mark.parametrize("text", ["12x", "0x", "0xZ", "0o8", "012", "1.5e", "1e5x", "1²"])
def test_malformed_numbers_are_told_where_a_value_stands(text: str) -> None:
    assert tokenize(text)[0].kind == "malformed"


def test_names_quoted_names_and_parameters() -> None:
    tokens = tokenize("größe `a``b c` $p $0 $`x y`")[:-1]
    assert [(token.kind, token.text) for token in tokens] == [
        ("name", "größe"),
        ("quoted", "a`b c"),
        ("parameter", "p"),
        ("parameter", "0"),
        ("parameter", "x y"),
    ]


def test_blanks_and_comments_stand_between_tokens() -> None:
    assert texts("a// to the end\r\n/* and\nso */ . \u00a0b\u2003(") == ["a", ".", "b", "("]


def test_a_range_is_no_float() -> None:
    assert texts("1..3") == ["1", "..", "3"]
    assert texts("[..2]") == ["[", "..", "2", "]"]


def test_positions_are_offsets_in_the_text() -> None:
    tokens = tokenize(" ab <> 'x'")
    assert [(token.pos, token.end) for token in tokens] == [(1, 3), (4, 6), (7, 10), (10, 10)]


def test_brackets_that_do_not_fit_have_no_match() -> None:
    assert matching_brackets(tokenize("([]){")) == {0: 3, 1: 2}
    assert matching_brackets(tokenize("(]")) == {}
