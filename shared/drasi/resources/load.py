"""Text of manifests to documents: YAML or JSON, several to a text, each value with its line and column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from drasi.resources.problems import Path, Problem, caret

# What a manifest of a person never has; aliases inside aliases reach it quickly.
MOST_VALUES = 200_000

_STRING = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
# A date or base64 text in a manifest is meant as the text that stands there.
_AS_TEXT = {_STRING, "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:binary"}
_PLAIN = _AS_TEXT | {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null", "value")}


class Document:
    """One document of a text.

    Attributes:
        number: From 1, within its text.
        data: Mappings, lists and scalars; None when the document could not be read.
        file: The name of the file for messages; empty if there is none.
        places, keys: Line and column of each value, and of its name.
        error: Why it could not be read.
    """

    def __init__(self, number: int, data: Any, text: str = "", file: str = "", error: Problem | None = None) -> None:
        self.number = number
        self.data = data
        self.text = text
        self.file = file
        self.error = error
        self.places: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, tuple[int, int]] = {}

    def place(self, path: Path, *, key: bool = False) -> tuple[int, int] | None:
        """Line and column (from 1) of the value at ``path`` (``key``: of its name); if it is absent, of what is around it."""
        for end in range(len(path), -1, -1):
            found = (self.keys if key else self.places).get(path[:end]) or self.places.get(path[:end])
            if found is not None:
                return found
        return None

    def excerpt(self, line: int, column: int) -> str:
        return caret(self.text, line, column)


class _Unreadable(Exception):
    def __init__(self, detail: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.line = line
        self.column = column


def load(text: str, file: str = "") -> list[Document]:
    """Reads every document of ``text``; empty ones are left out.

    A document that cannot be read has ``error`` (InvalidYaml); what follows it cannot be read either.
    """
    if text.lstrip()[:1] in ("{", "["):
        found = _load_json(text, file)
        if found is not None:
            return found
    return list(_load_yaml(text, file))


def from_data(data: Any, number: int = 1, file: str = "") -> Document:
    """A document that somebody already read, without places."""
    return Document(number, data, "", file)


def _failure(number: int, text: str, file: str, error: _Unreadable) -> Document:
    excerpt = caret(text, error.line, error.column or 1) if error.line else None
    problem = Problem(
        path="",
        code="InvalidYaml",
        message=f"cannot read document {number}: {error.detail}",
        line=error.line,
        column=error.column,
        excerpt=excerpt or None,
    )
    return Document(number, None, text, file, problem)


def _load_json(text: str, file: str) -> list[Document] | None:
    """The documents of a JSON text (one object, or a list of them); None if it is no JSON."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _Unreadable(f"key '{twice}' is there twice")
        return members

    try:
        data = json.loads(text, object_pairs_hook=unique)
    except _Unreadable as error:
        return [_failure(1, text, file, error)]
    except (ValueError, RecursionError):
        return None
    placed = list(_load_yaml(text, file))
    # YAML reads nearly all JSON, and then knows the places; where the two differ JSON is right.
    if len(placed) == 1 and placed[0].error is None:
        placed[0].data = data
        whole = placed[0]
    else:
        whole = Document(1, data, text, file)
    if not isinstance(data, list):
        return [whole]
    return [_part(whole, number, item) for number, item in enumerate(data, 1)]


def _part(whole: Document, number: int, item: Any) -> Document:
    document = Document(number, item, whole.text, whole.file)
    for source, target in ((whole.places, document.places), (whole.keys, document.keys)):
        target.update({path[1:]: place for path, place in source.items() if path[:1] == (number - 1,)})
    return document


def _load_yaml(text: str, file: str) -> Iterator[Document]:
    yaml = YAML(typ="safe", pure=True)
    number = 0
    try:
        for node in yaml.compose_all(text):
            number += 1
            if node is None or (isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:null"):
                continue
            document = Document(number, None, text, file)
            try:
                document.data = _Reader(yaml, document).value(node, ())
            except _Unreadable as error:
                yield _failure(number, text, file, error)
                continue
            yield document
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        detail = " ".join(part for part in (error.problem, error.context) if part) or "no YAML"
        place = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
        yield _failure(number + 1, text, file, _Unreadable(detail, *place))
    except RecursionError:
        yield _failure(number + 1, text, file, _Unreadable("it is nested too deeply to be read"))
    except (YAMLError, ValueError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        yield _failure(number + 1, text, file, _Unreadable(detail))


class _Reader:
    def __init__(self, yaml: YAML, document: Document) -> None:
        self._constructor = yaml.constructor
        self._document = document
        self._above: set[int] = set()
        self._count = 0

    def value(self, node: Node, path: Path) -> Any:
        self._count += 1
        mark = node.start_mark
        if self._count > MOST_VALUES:
            raise self._at(node, f"more than {MOST_VALUES} values")
        self._document.places.setdefault(path, (mark.line + 1, mark.column + 1))
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self._above:
            raise self._at(node, "an alias inside its own anchor")
        self._above.add(id(node))
        if isinstance(node, SequenceNode):
            found: Any = [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        elif isinstance(node, MappingNode):
            found = self._mapping(node, path)
        else:
            raise self._at(node, "unexpected content")
        self._above.discard(id(node))
        return found

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        members: dict[str, Any] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged.extend(value_node.value if isinstance(value_node, SequenceNode) else [value_node])
                continue
            if not isinstance(key_node, ScalarNode):
                raise self._at(key_node, "a key must be a text")
            key = str(key_node.value)
            if key in members:
                raise self._at(key_node, f"key '{key}' is there twice")
            self._document.keys[*path, key] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            members[key] = self.value(value_node, (*path, key))
        for other in merged:
            if not isinstance(other, MappingNode):
                raise self._at(other, "'<<' takes a mapping")
            for key, value in self._mapping(other, path).items():
                members.setdefault(key, value)
        return members

    def _scalar(self, node: ScalarNode) -> Any:
        tag = str(node.tag)
        if tag in _AS_TEXT:
            return str(node.value)
        if tag not in _PLAIN:
            raise self._at(node, f"unknown tag '{tag}'")
        try:
            return self._constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError) as error:
            raise self._at(node, f"cannot read '{node.value}'") from error

    def _at(self, node: Node, detail: str) -> _Unreadable:
        return _Unreadable(detail, node.start_mark.line + 1, node.start_mark.column + 1)
