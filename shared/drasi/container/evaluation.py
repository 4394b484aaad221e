"""The engine as the state machine sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from drasi.engine.changes import Delete, Insert, Update
from drasi.engine.engine import Engine as Engine_
from drasi.engine.engine import module_of
from drasi.engine.events import encode_event
from drasi.engine.graph import RelationRecord
from drasi.plan.compiled import compile_query
from drasi.plan.explain import explain
from drasi.values import Node, Relation, to_json


class Compiled(Protocol):
    """A query text, ready to run."""

    @property
    def node_labels(self) -> frozenset[str] | None: ...
    @property
    def relation_types(self) -> frozenset[str] | None: ...


class RowError(Protocol):
    @property
    def type(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def elements(self) -> Any: ...


Results = list[tuple[str, Any]]
"""Per query whose answer changed, its name and its difference."""


class Engine(Protocol):
    """One graph, many queries. Deterministic; ``clock`` is the greatest time it was told, in ms."""

    clock: int

    @property
    def CHUNKS(self) -> int: ...  # noqa: N802
    @property
    def failed(self) -> dict[str, Exception]: ...

    def __len__(self) -> int: ...
    def add(self, name: str, compiled: Any) -> Any: ...
    def remove(self, name: str) -> None: ...
    def names(self) -> Sequence[str]: ...
    def apply(self, change: Any) -> Results: ...
    def apply_transaction(self, changes: Sequence[Any]) -> Results: ...
    def advance(self, to_ms: int) -> Results: ...
    def rows(self, name: str) -> list[Any]: ...
    def errors(self, name: str) -> Sequence[RowError]: ...
    def elements(self, source: str | None = None) -> Iterable[Any]: ...
    def knows(self, source: str, id: str) -> bool: ...  # noqa: A002
    def dump(self, chunk: int) -> bytes: ...
    def chunk_of(self, source: str, id: str) -> int: ...  # noqa: A002
    def load(self, data: bytes) -> None: ...
    def memory(self) -> bytes: ...
    def restore_memory(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The engine's parts, bound in one place: the state machine is also tested with an engine that breaks."""

    engine: Callable[[], Engine]
    compile: Callable[..., Any]
    encode_event: Callable[[Any, str, int, bytes | None], bytes]
    to_json: Callable[[Any], str]
    node: Callable[..., Any]
    relation: Callable[..., Any]
    insert: Callable[[Any], Any]
    update: Callable[[Any], Any]
    delete: type[Any]
    is_relation: Callable[[Any], bool]
    explain: Callable[[Any], str]


def default_evaluation() -> Evaluation:
    """This release's engine."""
    return Evaluation(
        engine=Engine_,
        compile=compile_query,
        encode_event=encode_event,
        to_json=to_json,
        node=Node,
        relation=Relation,
        insert=Insert,
        update=Update,
        delete=Delete,
        is_relation=lambda element: isinstance(element, RelationRecord),
        explain=lambda compiled: explain(compiled.plan) + "\n" + module_of(compiled).source,
    )
