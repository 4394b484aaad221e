"""Values replaced by who says what was there before: compare and set, by content."""

from __future__ import annotations

from drasi.firestore.cells import Cell, Cells, Changed


class ComparedCells:
    """Cells of one writer, mostly: a write that follows one's own write or reading costs one commit and no read."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._known: dict[str, Cell] = {}

    async def get(self, path: str) -> bytes | None:
        cell = await self._cells.get(path)
        if cell is None:
            self._known.pop(path, None)
            return None
        self._known[path] = cell
        return cell.data

    async def put(self, path: str, data: bytes, *, expected: bytes | None) -> None:
        """Raises Changed if something else than ``expected`` (None: nothing) is stored, ValueTooLarge, FirestoreUnavailable."""
        while True:
            over = self._known.get(path)
            if (None if over is None else over.data) != expected:
                if await self.get(path) != expected:
                    raise Changed(f"{path} is not what was read")
                continue
            try:
                self._known[path] = await self._cells.put(path, data, over=over)
            except Changed:
                # Somebody else wrote; perhaps the same content again.
                if await self.get(path) != expected:
                    raise
            except BaseException:
                self._known.pop(path, None)
                raise
            else:
                return

    def forget(self, path: str | None = None) -> None:
        """What is known is not so any more: of one path, or of all."""
        if path is None:
            self._known.clear()
        else:
            self._known.pop(path, None)
