"""The state as sections of a snapshot, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from drasi.container.chunks import Chunks
from drasi.container.deadletters import Letter
from drasi.container.entry import Derived
from drasi.container.group import Group
from drasi.container.machine import Machine
from drasi.container.query import Query, define, reason
from drasi.container.settings import Settings
from drasi.engine import Engine
from drasi.log.snapshots import Manifest, sparse

CORE = "core"


class _Core(msgspec.Struct):
    """All that is small."""

    number: int
    at_ns: int
    version: int
    next_number: int
    queries: list[Any]
    retired: dict[str, int]
    groups: list[Any]
    evaluated: dict[int, list[str]]
    watermarks: Any
    letters: list[Letter]
    letters_dropped: int
    uncarried: list[Derived]
    fragments: dict[str, tuple[bytes, list[bytes]]]
    latest: dict[str, tuple[int, int]]
    ahead: dict[str, int] = {}
    ordered: dict[str, tuple[int, list[str]]] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Core).decode


class Frozen:
    """A state as it was after one entry, though the machine goes on.

    Attributes:
        keep: Sections that the previous snapshot has already.
    """

    def __init__(self, machine: Machine, previous: Manifest | None) -> None:
        self.number = machine.number
        self.at_ns = machine.at_ns
        self.version = machine.version
        self.keep: list[str] = []
        self._ready: list[tuple[str, bytes]] = [(CORE, _core(machine))]
        self._takes: list[tuple[Chunks, int]] = []
        stored = previous.sections if previous is not None else {}
        rewrite = sparse(previous) if previous is not None else frozenset()
        self._chunks = _chunks_of(machine)
        for group in machine.groups.values():
            self._ready.append((f"memory/{group.number}", group.engine.memory()))
        for chunks in self._chunks:
            keep, take = chunks.begin(stored, rewrite)
            self.keep += keep
            self._takes += [(chunks, chunk) for chunk in take]

    def sections(self) -> Iterator[tuple[str, bytes]]:
        """What is to be written, one small piece of work at a time: other work may be done in between."""
        yield from self._ready
        for chunks, chunk in self._takes:
            yield chunks.section(chunk), chunks.take(chunk)

    def end(self, *, written: bool) -> None:
        for chunks in self._chunks:
            chunks.end(written=written)


def thaw(core: bytes, settings: Settings, engine: Callable[[], Engine] = Engine) -> Machine:
    """The machine of a snapshot; `load` its other sections, then `complete` it."""
    content = _decode(core)
    machine = Machine(settings, engine)
    machine.number = content.number
    machine.at_ns = content.at_ns
    machine.at_ms = content.at_ns // 1_000_000
    machine.version = content.version
    machine.next_number = content.next_number
    machine.retired = content.retired
    machine.latest = content.latest
    machine.ahead = content.ahead
    machine.ordered = content.ordered
    machine.fragments = content.fragments
    machine.watermarks.restore(content.watermarks)
    machine.letters.restore(content.letters, content.letters_dropped)
    machine.uncarried = {derived.key: derived for derived in content.uncarried}
    machine.uncarried_bytes = sum(derived.size for derived in content.uncarried)
    for plain in content.groups:
        group = Group.of(plain, engine())
        machine.groups[group.number] = group
    for plain in content.queries:
        query = Query.of(plain)
        machine.queries[query.id] = query
        if query.group is not None:
            machine.groups[query.group].queries[query.id] = query
            try:
                query.definition = define(query.spec)
            except Exception as error:
                query.state = "failed"
                query.error = reason(error)
    machine.index()
    machine.evaluated = content.evaluated
    return machine


def load(machine: Machine, section: str, data: bytes) -> None:
    kind, _, rest = section.partition("/")
    if kind == "graph":
        group = machine.groups.get(int(rest.partition("/")[0]))
        if group is not None:
            group.engine.load(data)
    elif kind == "memory":
        machine.memories[int(rest)] = data
    elif kind == "position":
        machine.watermarks.elements.load(int(rest), data)
    elif kind == "key":
        machine.watermarks.keys.load(int(rest), data)


def complete(machine: Machine) -> None:
    """All sections are loaded: the queries are evaluated over their graphs again."""
    machine.watermarks.restored()
    for group in machine.groups.values():
        for name in machine.evaluated.get(group.number, []):
            query = machine.queries[name]
            if query.definition is None or query.state != "running":
                continue
            try:
                group.engine.add(name, query.definition.compiled)
            except Exception as error:
                query.state = "failed"
                query.error = reason(error)
        memory = machine.memories.get(group.number)
        if memory is not None:
            group.engine.restore_memory(memory)
    machine.evaluated = {}
    machine.memories = {}
    for chunks in _chunks_of(machine):
        chunks.clean()


def _chunks_of(machine: Machine) -> list[Chunks]:
    return [
        *(group.chunks for group in machine.groups.values()),
        machine.watermarks.elements.chunks,
        machine.watermarks.keys.chunks,
    ]


def _core(machine: Machine) -> bytes:
    letters, dropped = machine.letters.plain()
    return _encode(
        _Core(
            number=machine.number,
            at_ns=machine.at_ns,
            version=machine.version,
            next_number=machine.next_number,
            queries=[query.plain() for query in machine.queries.values()],
            retired=machine.retired,
            groups=[group.plain() for group in machine.groups.values()],
            evaluated={number: list(group.engine.names()) for number, group in machine.groups.items()},
            watermarks=machine.watermarks.plain(),
            letters=letters,
            letters_dropped=dropped,
            # A snapshot counts when everything before it is published: then large events are documents.
            uncarried=[derived.inline(machine.settings.inline_bytes) for derived in machine.uncarried.values()],
            fragments=machine.fragments,
            latest=machine.latest,
            ahead=machine.ahead,
            ordered=machine.ordered,
        )
    )
