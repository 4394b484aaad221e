"""Messages of the slot become transactions of changes, in the order of their commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from drasi.messages.changes import SourceChange
from drasi.sources.port import Labels
from drasi.sources.postgresql import derived, pgoutput
from drasi.sources.postgresql.catalog import Catalog, read_types
from drasi.sources.postgresql.connection import Connection
from drasi.sources.postgresql.mapping import BadRow, NoKey, Shape, position_text
from drasi.sources.postgresql.types import Type, is_known
from drasi.sources.publisher import TRANSACTION_BYTES

_FRAME_BYTES = 250
"""What a change takes beside its values, at least, when it is published."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A row that cannot become a change."""

    position: str
    content: Mapping[str, Any]
    error: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is to be published now. ``end``: everything committed before it is in this chunk or earlier ones."""

    changes: list[SourceChange]
    letters: list[Letter]
    end: int
    split: bool


@dataclass(frozen=True, slots=True)
class _Step:
    message: pgoutput.Message
    shape: Shape | None
    size: int


class Assembly:
    """One reading of the slot.

    Args:
        source_id: The source's name.
        catalog: The tables to capture.
        decimals: How decimals are written.
        wanted: The labels that somebody wants.
        after: Transactions whose commit record begins before it are known.
        shift: What positions are higher than the log's places.
        columns: Per table the columns it ever had; kept up to date.

    Attributes:
        end: Everything committed before it has been taken in.
        behind: Rows were left out that do not have the columns of their table's key. They are older than the key, and read again
            because of it; unless the catalog is older.
    """

    def __init__(
        self,
        source_id: str,
        catalog: Catalog,
        *,
        decimals: str,
        wanted: Callable[[], Labels],
        after: int,
        columns: dict[str, list[str]],
        shift: int = 0,
    ) -> None:
        self._source_id = source_id
        self._tables = catalog.by_name()
        self._types: dict[int, Type] = dict(catalog.types)
        self._decimals = decimals
        self._wanted = wanted
        self._after = after
        self._columns = columns
        self._shapes: dict[int, Shape | None] = {}
        self._shift = shift
        self._begin: pgoutput.Begin | None = None
        self._index = 0
        self._open: list[SourceChange] = []
        self._open_letters: list[Letter] = []
        self._open_bytes = 0
        self._parts = 0
        self._complete: list[SourceChange] = []
        self._letters: list[Letter] = []
        self._split = False
        self._skipping = False
        self.end = after
        self.behind = False

    @property
    def waiting(self) -> int:
        """How many changes ``take`` would give."""
        return len(self._complete)

    def take(self) -> Chunk:
        """The transactions that are complete, and parts of one that is too large to wait for its end."""
        chunk = Chunk(self._complete, self._letters, self.end, self._split)
        self._complete, self._letters, self._split = [], [], False
        return chunk

    async def read(self, connection: Connection, page: Sequence[bytes]) -> None:
        """Takes the next messages in."""
        steps = [step for data in page if (step := await self._decoded(connection, data)) is not None]
        lacking: dict[Shape, list[pgoutput.Change]] = {}
        for step in steps:
            if step.shape is not None and isinstance(step.message, pgoutput.Change) and derived.needs(step.shape, step.message):
                lacking.setdefault(step.shape, []).append(step.message)
        for shape, changes in lacking.items():
            await derived.complete(connection, shape, changes)
        wanted = self._wanted()
        for step in steps:
            self._take_in(step, wanted)

    async def _decoded(self, connection: Connection, data: bytes) -> _Step | None:
        message = pgoutput.decode(data)
        if message is None:
            return None
        if isinstance(message, pgoutput.Table):
            await self._describe(connection, message)
            return None
        if isinstance(message, pgoutput.Begin):
            self._skipping = message.lsn < self._after
        shape = self._shapes.get(message.table) if isinstance(message, pgoutput.Change) and not self._skipping else None
        return _Step(message, shape, len(data))

    async def _describe(self, connection: Connection, described: pgoutput.Table) -> None:
        name = (described.schema, described.name)
        table = self._tables.get(name)
        self._shapes[described.id] = None
        if table is None:
            return
        streamed = [(column.name, column.type, column.modifier) for column in described.columns]
        present = {column.name for column in described.columns}
        computed = [column for column in table.columns if column.generated is not None and column.name not in present]
        everything = [*streamed, *((column.name, column.type, column.modifier) for column in computed)]
        unknown = {oid for _, oid, _ in everything if oid not in self._types and not is_known(oid)}
        if unknown:
            self._types |= {oid: Type() for oid in unknown} | await read_types(connection, unknown)
        seen = self._columns.setdefault(".".join(name), [])
        names = [column for column, _, _ in everything]
        seen += [column for column in names if column not in seen]
        try:
            self._shapes[described.id] = Shape(
                self._source_id,
                table,
                everything,
                self._types,
                decimals=self._decimals,
                computed=[column.name for column in computed],
                gone=[column for column in seen if column not in names],
            )
        except NoKey:
            self.behind = True

    def _take_in(self, step: _Step, wanted: Labels) -> None:
        message = step.message
        if isinstance(message, pgoutput.Begin):
            self._begin = replace(message, shift=self._shift) if message.lsn >= self._after else None
            self._index = 0
            self._parts = 0
        elif isinstance(message, pgoutput.Commit):
            self._complete += self._open
            self._letters += self._open_letters
            self._open, self._open_letters, self._open_bytes = [], [], 0
            self.end = max(self.end, message.end)
            self._begin = None
        elif self._begin is not None:
            if isinstance(message, pgoutput.Change):
                self._change(self._begin, message, step.shape, wanted)
                # At least so much of it: base64 is shorter than hex, and of a row before nothing is published.
                self._open_bytes += int(step.size * (0.6 if message.old is None else 0.3))
            elif isinstance(message, pgoutput.Truncate):
                self._truncate(self._begin, message, wanted)
            if self._open_bytes + _FRAME_BYTES * len(self._open) > (TRANSACTION_BYTES // 4 if self._parts else TRANSACTION_BYTES):
                # It is certain that it cannot be published whole; what follows comes in parts that can.
                self._part(self._begin)

    def _change(self, begin: pgoutput.Begin, message: pgoutput.Change, shape: Shape | None, wanted: Labels) -> None:
        if shape is None:
            return
        try:
            changes = shape.changes(message, begin, self._index, wanted)
        except BadRow as error:
            self._letter(begin, message.op, ".".join(shape.table.full), str(error))
        else:
            if self._parts:
                for change in changes:
                    change.payload.source.tx = f"{begin.xid}.{self._parts + 1}"
            self._open += changes
        self._index += shape.width

    def _truncate(self, begin: pgoutput.Begin, message: pgoutput.Truncate, wanted: Labels) -> None:
        for number in message.tables:
            shape = self._shapes.get(number)
            if shape is not None:
                change = shape.truncation(begin, self._index, wanted)
                self._index += shape.width
                if change is not None:
                    self._open.append(change)

    def _part(self, begin: pgoutput.Begin) -> None:
        """What is there of a transaction goes on alone, as a transaction of its own."""
        self._complete += self._open
        self._open, self._open_bytes = [], 0
        self._parts += 1
        self._split = True

    def _letter(self, begin: pgoutput.Begin, op: str, table: str, error: str) -> None:
        self._open_letters.append(Letter(position_text(begin.lsn + begin.shift, self._index), {"op": op, "table": table}, error))
