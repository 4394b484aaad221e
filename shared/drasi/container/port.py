"""What a container asks of the sources: parts of their snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from drasi.errors import DrasiError
from drasi.messages.changes import Element


class SourceMissing(DrasiError):
    """The source is not there yet. The query waits for it."""

    code = "MissingSource"
    retryable = True


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """One body of ``/acquire-stream``: header, elements, end (wire.md section 4).

    Attributes:
        elements: At most some thousands; a reader asks the source with a ``limit``.
        position: The position the part was read at (per partition, where the source has several); None or empty: it has none.
        ts_ns: When it was read, by the origin's clock.
        cursor: Where the next part begins; None: this was the last one.
        marked: Whether the source publishes a marker on its change topic behind the last part. A kind without a stream does not.
        total: Elements of the whole snapshot, if the source knows.
    """

    elements: Sequence[Element]
    position: str | Mapping[str, str] | None
    ts_ns: int
    cursor: str | None = None
    marked: bool = True
    total: int | None = None


class SnapshotReader(Protocol):
    """Reads the snapshots of sources, wherever they run (in this process, or over HTTP)."""

    async def read(self, source: str, nodes: frozenset[str], relations: frozenset[str], cursor: str | None) -> SnapshotPart:
        """The part after ``cursor`` (None: the first) of the elements with one of these labels; both empty: everything.

        Behind the last part (``cursor`` None in the answer) the source publishes its marker.

        Raises:
            SourceMissing: There is no source of this name. Asked again later.
            Exception: Anything else is shown as progress and tried again, for ever.
        """
        ...
