"""Text → pieces → tree: the parser of templates, with line and column in every error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from drasi.errors import DrasiError
from drasi.templates.functions import HELPERS
from drasi.templates.tree import Call, Each, Expression, If, Literal_, Node, Output, Path, Text, With

MAX_DEPTH = 32
MAX_TEXT = 1024 * 1024

_BLOCKS = ("if", "unless", "each", "with")
_IDENTIFIER = r"[^\s!\"#%&'()*+,./;<=>@\[\\\]^`{|}~]+"
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<close>~?\}}\}}(?P<third>\}})?)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>-?\d+(?:\.\d+)?(?=[\s)~}}]))
    |(?P<up>\.\.)
    |(?P<segment>\[[^\]]*\])
    |(?P<punctuation>[()./@])
    |(?P<name>{_IDENTIFIER})""",
    re.VERBOSE | re.DOTALL,
)
_JSON_OUTSIDE = re.compile(r"(?:[\s{}\[\]:,+\-.\d]|(?<=\d)[eE]|true|false|null)*")


class TemplateError(DrasiError):
    """A template that cannot be read (``InvalidTemplate``).

    Attributes:
        line, column: Place in the template, from 1.
        excerpt: That line with a caret below the place.
    """

    code: ClassVar[str] = "InvalidTemplate"

    def __init__(self, message: str, text: str, position: int, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.line = text.count("\n", 0, position) + 1
        start = text.rfind("\n", 0, position) + 1
        self.column = position - start + 1
        line = text[start:].split("\n", 1)[0].rstrip("\r")
        number = f"{self.line:>5}"
        blank = "".join("\t" if character == "\t" else " " for character in line[: self.column - 1])
        self.excerpt = f"{number} | {line}\n{'':>5} | {blank}^"

    def __str__(self) -> str:
        return f"{self.message} at line {self.line}, column {self.column}"


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    position: int


@dataclass(slots=True)
class _Tag:
    """``{{…}}``. ``kind``: what its first character or word says."""

    kind: Literal["output", "raw", "open", "close", "else", "comment"]
    tokens: list[_Token]
    position: int
    trim_left: bool = False
    trim_right: bool = False


def parse_nodes(text: str, *, parameters: bool) -> tuple[tuple[Node, ...], bool]:
    """Parses ``text``.

    Returns:
        The nodes, and whether the template is written as JSON (then its texts know where strings are open).
    """
    if len(text) > MAX_TEXT:
        raise TemplateError(f"the template has more than {MAX_TEXT} characters", text, 0)
    texts, tags = _split(text)
    _strip(texts, tags)
    parser = _Parser(text, texts, tags, parameters)
    nodes = parser.nodes(0, None)
    json_text = _written_as_json(nodes)
    return (_with_strings(nodes) if json_text else nodes), json_text


def _split(text: str) -> tuple[list[str], list[_Tag]]:
    """Cuts into texts and the tags between them: always one text more than tags."""
    texts: list[str] = []
    tags: list[_Tag] = []
    literal = ""
    position = 0
    while True:
        start = text.find("{{", position)
        if start < 0:
            texts.append(literal + text[position:])
            return texts, tags
        before = text[position:start]
        if before.endswith("\\\\"):
            before = before[:-1]
        elif before.endswith("\\"):
            literal += before[:-1] + "{{"
            position = start + 2
            continue
        texts.append(literal + before)
        literal = ""
        tag, position = _tag(text, start)
        tags.append(tag)


def _tag(text: str, start: int) -> tuple[_Tag, int]:
    position = start + 2
    if text.startswith("{{{{", start):
        raise TemplateError("raw blocks are not supported", text, start)
    triple = text.startswith("{", position)
    if triple:
        position += 1
    trim_left = text.startswith("~", position)
    if trim_left:
        position += 1
    sign = text[position : position + 1]
    if sign == "!" and not triple:
        return _comment(text, start, position, trim_left)
    kind: Literal["output", "raw", "open", "close", "else", "comment"] = "raw" if triple else "output"
    if not triple and sign and sign in "#/^&>*":
        if sign == ">":
            raise TemplateError("partials are not supported", text, start)
        if sign == "*":
            raise TemplateError("decorators are not supported", text, start)
        kind = {"#": "open", "/": "close", "^": "else", "&": "raw"}[sign]  # type: ignore[assignment]
        position += 1
        if sign == "#" and text.startswith((">", "*"), position):
            raise TemplateError("partials and decorators are not supported", text, start)
    tokens: list[_Token] = []
    while True:
        match = _TOKEN.match(text, position)
        if match is None:
            if position >= len(text):
                raise TemplateError("'{{' is not closed", text, start)
            if text[position] in "\"'":
                raise TemplateError("the text in quotes is not closed", text, position)
            hint = "named arguments and block parameters are not supported" if text[position] in "=|" else ""
            raise TemplateError(f"'{text[position]}' is not expected here", text, position, hint=hint)
        found = match.lastgroup or ""
        if match["close"] is not None:
            end = match["close"]
            if triple:
                if not match["third"]:
                    raise TemplateError("'{{{' needs '}}}'", text, position)
                position = match.end()
            else:
                position += len(end) - (1 if match["third"] else 0)
            break
        if found != "space":
            tokens.append(_Token(found, match[0], position))
        position = match.end()
    if kind == "output" and tokens and tokens[0].kind == "name" and tokens[0].text == "else":
        kind = "else"
        tokens = tokens[1:]
    return _Tag(kind, tokens, start, trim_left, end.startswith("~")), position


def _comment(text: str, start: int, position: int, trim_left: bool) -> tuple[_Tag, int]:
    close = "--" if text.startswith("!--", position) else ""
    end = re.compile(rf"{close}(~?)\}}\}}").search(text, position + 1 + len(close))
    if end is None:
        raise TemplateError("the comment is not closed", text, start)
    return _Tag("comment", [], start, trim_left, bool(end[1])), end.end()


def _strip(texts: list[str], tags: list[_Tag]) -> None:
    """Takes away what ``~`` asks for, and the line of a block tag or comment that stands alone on it."""
    original = list(texts)
    for index, tag in enumerate(tags):
        if tag.kind in ("open", "close", "else", "comment"):
            line_start = original[index].rpartition("\n")
            line_end = original[index + 1].partition("\n")
            at_start = not line_start[2].strip(" \t") and bool(line_start[1] or index == 0)
            at_end = not line_end[0].strip(" \t\r") and bool(line_end[1] or index + 1 == len(tags))
            if at_start and at_end:
                texts[index] = texts[index][: len(texts[index]) - len(line_start[2])]
                texts[index + 1] = original[index + 1][len(line_end[0]) + len(line_end[1]) :]
    for index, tag in enumerate(tags):
        if tag.trim_left:
            texts[index] = texts[index].rstrip()
        if tag.trim_right:
            texts[index + 1] = texts[index + 1].lstrip()


class _Parser:
    def __init__(self, text: str, texts: list[str], tags: list[_Tag], parameters: bool) -> None:
        self.text = text
        self.texts = texts
        self.tags = tags
        self.parameters = parameters
        self.index = 0

    def error(self, message: str, position: int, hint: str = "") -> TemplateError:
        return TemplateError(message, self.text, position, hint=hint)

    def nodes(self, depth: int, block: tuple[str, int] | None) -> tuple[Node, ...]:
        """Up to the ``else`` or close tag of ``block`` (name, position), which is left for the caller; else up to the end."""
        if depth > MAX_DEPTH:
            raise self.error(f"blocks are nested deeper than {MAX_DEPTH}", block[1] if block else 0)
        found: list[Node] = []
        while True:
            if self.texts[self.index]:
                found.append(Text(self.texts[self.index]))
            if self.index == len(self.tags):
                if block is not None:
                    raise self.error(f"'{{{{#{block[0]}}}}}' is not closed", block[1])
                return tuple(found)
            tag = self.tags[self.index]
            if tag.kind in ("else", "close"):
                if block is None:
                    word = "else" if tag.kind == "else" else "/" + " ".join(token.text for token in tag.tokens)
                    raise self.error(f"'{{{{{word}}}}}' without an open block", tag.position)
                return tuple(found)
            self.index += 1
            if tag.kind == "open":
                found.append(self.block(tag, depth))
            elif tag.kind != "comment":
                found.append(self.output(tag))

    def output(self, tag: _Tag) -> Output:
        reader = _Expressions(self, tag)
        expression = reader.whole()
        bound = isinstance(expression, Call) and expression.name == "param"
        return Output(expression, tag.kind == "raw", bound)

    def block(self, tag: _Tag, depth: int) -> Node:
        if not tag.tokens or tag.tokens[0].kind != "name" or tag.tokens[0].text not in _BLOCKS:
            word = tag.tokens[0].text if tag.tokens else ""
            raise self.error(
                f"there is no block '#{word}'", tag.position, f"blocks are {', '.join('#' + name for name in _BLOCKS)}"
            )
        name = tag.tokens[0].text
        node = self.branches(name, _Expressions(self, tag, 1).single(name), tag, depth)
        close = self.tags[self.index]
        closed = close.tokens[0].text if len(close.tokens) == 1 else ""
        if close.kind != "close" or closed != name:
            raise self.error(f"'{{{{/{name}}}}}' is expected", close.position)
        self.index += 1
        return node

    def branches(self, name: str, subject: Expression, tag: _Tag, depth: int) -> Node:
        """Body and else part; the close tag is left for the caller."""
        body = self.nodes(depth + 1, (name, tag.position))
        otherwise: tuple[Node, ...] = ()
        following = self.tags[self.index]
        if following.kind == "else":
            self.index += 1
            if following.tokens:
                word = following.tokens[0].text
                if following.tokens[0].kind != "name" or word not in _BLOCKS:
                    raise self.error("after 'else' only 'if', 'unless', 'each' and 'with' may follow", following.tokens[0].position)
                condition = _Expressions(self, following, 1).single(word)
                otherwise = (self.branches(word, condition, tag, depth + 1),)
            else:
                otherwise = self.nodes(depth + 1, (name, tag.position))
                if self.tags[self.index].kind == "else":
                    raise self.error("a second 'else'", self.tags[self.index].position)
        if name == "each":
            return Each(subject, body, otherwise)
        if name == "with":
            return With(subject, body, otherwise)
        return If(subject, name == "unless", body, otherwise)


class _Expressions:
    """Reads the tokens of one tag."""

    def __init__(self, parser: _Parser, tag: _Tag, start: int = 0) -> None:
        self.parser = parser
        self.tag = tag
        self.tokens = tag.tokens
        self.at = start

    def peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def single(self, block: str) -> Expression:
        """The one argument of a block."""
        if self.peek() is None:
            raise self.parser.error(f"#{block} needs a value", self.tag.position)
        expression = self.argument(0)
        extra = self.peek()
        if extra is not None:
            raise self.parser.error(f"#{block} takes one value", extra.position, "write a helper call in parentheses: (eq a b)")
        return expression

    def whole(self) -> Expression:
        if self.peek() is None:
            raise self.parser.error("nothing between '{{' and '}}'", self.tag.position)
        expression = self.call_or_path(0)
        extra = self.peek()
        if extra is not None:
            raise self.parser.error(f"'{extra.text}' is not expected here", extra.position)
        return expression

    def call_or_path(self, depth: int, in_parentheses: bool = False) -> Expression:
        """A helper with its arguments, or a value."""
        token = self.peek()
        assert token is not None
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
        ends = following is None or (in_parentheses and following.text == ")")
        simple = token.kind == "name" and not (following is not None and _continues(token, following))
        if not simple:
            value = self.argument(depth)
            if in_parentheses and not isinstance(value, Call):
                raise self.parser.error("a helper's name is expected after '('", token.position)
            return value
        helper = HELPERS.get(token.text)
        # A column may be called 'count' or 'max': only helpers without arguments are called without arguments.
        if ends and not in_parentheses and (helper is None or helper.least > 0):
            return self.argument(depth)
        if helper is None or (token.text == "param" and not self.parser.parameters):
            raise self.parser.error(f"there is no helper '{token.text}'", token.position, _nearest(token.text, HELPERS))
        self.at += 1
        arguments: list[Expression] = []
        while (token_ := self.peek()) is not None and token_.text != ")":
            arguments.append(self.argument(depth))
        least, most = helper.least, helper.most
        if len(arguments) < least or (most is not None and len(arguments) > most):
            takes = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
            raise self.parser.error(f"{token.text} takes {takes} argument(s), not {len(arguments)}", token.position)
        return Call(token.text, tuple(arguments))

    def argument(self, depth: int) -> Expression:
        token = self.peek()
        if token is None:
            raise self.parser.error("a value is expected", self.tag.position)
        if depth > MAX_DEPTH:
            raise self.parser.error(f"expressions are nested deeper than {MAX_DEPTH}", token.position)
        if token.text == "(" and token.kind == "punctuation":
            self.at += 1
            if self.peek() is None:
                raise self.parser.error("'(' is not closed", token.position)
            inner = self.call_or_path(depth + 1, in_parentheses=True)
            close = self.peek()
            if close is None or close.text != ")":
                raise self.parser.error("'(' is not closed", token.position)
            self.at += 1
            return inner
        if token.kind == "string":
            self.at += 1
            return Literal_(re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL))
        if token.kind == "number":
            self.at += 1
            return Literal_(float(token.text) if "." in token.text else int(token.text))
        if token.kind == "name" and token.text in _CONSTANTS:
            self.at += 1
            return Literal_(_CONSTANTS[token.text])
        return self.path()

    def path(self) -> Path:
        first = self.tokens[self.at]
        root = ""
        if first.text == "@":
            root = "@"
            self.at += 1
        up = 0
        while (token := self.peek()) is not None and token.kind == "up":
            up += 1
            self.at += 1
            if not self.take("/"):
                return self.checked(Path(root, up, self.rest(())), first)
        token = self.peek()
        if token is None:
            if up:
                return self.checked(Path(root, up, ()), first)
            raise self.parser.error("a name is expected", first.position)
        if token.text == "." and token.kind == "punctuation":
            self.at += 1
            parts = self.part() if self.take("/") else ()
            return self.checked(Path(root, up, self.rest(parts)), first)
        if token.kind == "name" and token.text == "this" and not root:
            self.at += 1
            return self.checked(Path(root, up, self.rest(())), first)
        return self.checked(Path(root, up, self.rest(self.part())), first)

    def checked(self, path: Path, first: _Token) -> Path:
        if len(path.parts) + path.up > 2 * MAX_DEPTH:
            raise self.parser.error(f"the path has more than {2 * MAX_DEPTH} parts", first.position)
        return path

    def take(self, mark: str) -> bool:
        """A separator that touches what follows: ``a .b`` are two arguments."""
        token = self.peek()
        if token is None or token.kind != "punctuation" or token.text != mark:
            return False
        self.at += 1
        return True

    def rest(self, parts: tuple[str | int, ...]) -> tuple[str | int, ...]:
        while (token := self.peek()) is not None:
            if not _continues(self.tokens[self.at - 1], token):
                break
            if token.kind == "punctuation":
                self.at += 1
            parts += self.part()
        return parts

    def part(self) -> tuple[str | int, ...]:
        token = self.peek()
        if token is None or token.kind not in ("name", "segment", "number"):
            at = token.position if token is not None else self.tokens[-1].position
            raise self.parser.error("a name is expected", at)
        self.at += 1
        if token.kind != "segment":
            return (token.text,)
        inner = token.text[1:-1].strip()
        if len(inner) > 1 and inner[0] in "\"'" and inner[-1] == inner[0]:
            return (inner[1:-1],)
        if inner.isdecimal():
            return (int(inner),)
        if not inner:
            raise self.parser.error("a name or an index is expected between '[' and ']'", token.position)
        return (inner,)


_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None, "undefined": None}


def _continues(token: _Token, following: _Token) -> bool:
    """Whether a path goes on: ``a.b`` is one value, ``a .`` are two."""
    touches = token.position + len(token.text) == following.position
    return touches and (following.kind == "segment" or (following.kind == "punctuation" and following.text in "./"))


def _nearest(word: str, names: Iterable[str]) -> str:
    import difflib  # only for a message

    close = difflib.get_close_matches(word, list(names), 1)
    return f"did you mean '{close[0]}'?" if close else ""


def _written_as_json(nodes: Sequence[Node]) -> bool:
    """Whether the literal text begins like JSON and is made of JSON's tokens, whatever the values are."""
    first = next((node for node in nodes if not (isinstance(node, Text) and not node.text.strip())), None)
    while isinstance(first, If | Each | With):
        inner = first.then if isinstance(first, If) else first.body
        first = next((node for node in inner if not (isinstance(node, Text) and not node.text.strip())), None)
    if not isinstance(first, Text) or first.text.lstrip()[:1] not in ("{", "[", '"'):
        return False
    outside: list[str] = []
    if _scan(nodes, False, outside) is not False:
        return False
    return _JSON_OUTSIDE.fullmatch("".join(outside)) is not None


def _scan(nodes: Sequence[Node], inside: bool, outside: list[str]) -> bool | None:
    """Collects the text outside strings; answers whether a string is open at the end, None if branches disagree."""
    state: bool | None = inside
    for node in nodes:
        assert state is not None
        match node:
            case Text():
                state = _through(node.text, state, outside)
            case Output():
                if not state:
                    outside.append(" ")
            case If() | Each() | With():
                body = node.then if isinstance(node, If) else node.body
                ends = {_scan(body, state, outside), _scan(node.otherwise, state, outside)}
                if len(ends) != 1 or (isinstance(node, Each) and ends != {state}):
                    return None
                state = ends.pop()
        if state is None:
            return None
    return state


def _through(text: str, inside: bool, outside: list[str] | None = None) -> bool:
    position = 0
    while position < len(text):
        if inside:
            while position < len(text) and text[position] != '"':
                position += 2 if text[position] == "\\" else 1
            if position < len(text):
                inside = False
            position += 1
        else:
            quote = text.find('"', position)
            end = quote if quote >= 0 else len(text)
            if outside is not None:
                outside.append(text[position:end])
            inside = quote >= 0
            position = end + 1
    return inside


def _with_strings(nodes: Sequence[Node]) -> tuple[Node, ...]:
    found: list[Node] = []
    for node in nodes:
        match node:
            case Text():
                found.append(Text(node.text, _through(node.text, False), _through(node.text, True)))
            case If():
                found.append(If(node.condition, node.negated, _with_strings(node.then), _with_strings(node.otherwise)))
            case Each():
                found.append(Each(node.subject, _with_strings(node.body), _with_strings(node.otherwise)))
            case With():
                found.append(With(node.subject, _with_strings(node.body), _with_strings(node.otherwise)))
            case Output():
                found.append(node)
    return tuple(found)
