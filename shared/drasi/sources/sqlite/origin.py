"""The database as the source sees it. Everything here blocks, and runs on the source's own thread."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from drasi.errors import DrasiError
from drasi.messages.changes import SourceChange
from drasi.sources.port import Labels, OriginUnavailable
from drasi.sources.relational import Problem, Wanted
from drasi.sources.sqlite import capture
from drasi.sources.sqlite.catalog import PREFIX, read_catalog
from drasi.sources.sqlite.mapping import Captured, Mapping, NullKey, Shape

_BUSY_S = 5.0
_POLL_ROWS = 10_000
_POLL_BYTES = 4_000_000


class PositionLost(DrasiError):
    """The database is not the one whose changes were read, or has been set back."""

    code = "PositionLost"


class OriginInUse(DrasiError):
    """Another source watches the database."""

    code = "OriginInUse"


class CannotCapture(DrasiError):
    """A table that is asked for by name cannot be watched."""

    code = "NoPrimaryKey"


class Replaced(Exception):
    """Another file stands at the path."""


class Position(msgspec.Struct, frozen=True):
    """What the source's state remembers.

    Attributes:
        position: Everything captured up to this number is published.
        token: Of the database (kept in it): another database has another one.
        marks: What the database may hold as its mark. The mark changes with every publication, so that a copy from before is
            recognised: the next mark is noted here first, then in the database.
        digest: Of the captured row ``position``. A database that still has an older mark must still have that row.
    """

    position: int
    token: str
    marks: list[str]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Installed:
    """The database is being captured; ``lost`` says why what was read before no longer counts (None: it does)."""

    position: Position
    lost: str | None
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class Letter:
    """A captured row that cannot become a change."""

    number: int
    content: dict[str, Any]
    error: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll read: whole transactions, unless ``more`` says that the rest of them follows."""

    last: int
    digest: str
    changes: list[SourceChange]
    letters: list[Letter]
    more: bool
    problems: list[Problem] | None


@dataclass(frozen=True, slots=True)
class Configuration:
    source_id: str
    path: Path
    wanted: Wanted
    decimals: str = "float"
    page_size: int = 1_000
    stop_when_lost: bool = False


def connect(path: Path) -> sqlite3.Connection:
    """Opens a database that is there; makes none."""
    uri = f"file:{urllib.parse.quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def unavailable(path: Path, error: Exception) -> OriginUnavailable:
    text = str(error)
    if not path.exists():
        return OriginUnavailable(f"there is no database at {path}", hint="create it, or set the property path right")
    if "locked" in text or "busy" in text:
        return OriginUnavailable(f"{path} is locked by another program: {text}", hint="end the transaction that holds it")
    if "full" in text:
        return OriginUnavailable(f"{path} cannot be written: {text}", hint="free some space on its disk")
    return OriginUnavailable(f"cannot read {path}: {text}", hint="see that it is a SQLite database this process may write")


class Origin:
    """One database being captured."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] = (0, 0)
        self._token = ""
        self._schema_version = -1
        self._data_version = -1
        self._has_more = False
        self._mappings: dict[int, Mapping] = {}

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def install(self, stored: Position | None) -> Installed:
        """Opens the database and makes sure that its changes are captured.

        Raises:
            DrasiError: It is not there, locked, in use, cannot be captured, or lost its position and the source is to stop then.
        """
        self.close()
        path = self._configuration.path
        try:
            status = os.stat(path)
            self._file = (status.st_dev, status.st_ino)
            self._connection = connect(path)
            with _Transaction(self._connection):
                installed = self._install(self._connection, stored)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise unavailable(path, error) from error
        except DrasiError:
            self.close()
            raise
        self._token = installed.position.token
        self._data_version = -1
        return installed

    def poll(self, stored: Position, wanted: Callable[[], Labels], now_ns: int) -> Batch | None:
        """What was captured behind the stored position; None: nothing.

        ``wanted`` is asked when the transaction that reads has begun: a reader who registers and then takes a snapshot misses no
        change behind it.

        Raises:
            Replaced: Another database stands at the path, or an earlier state of this one.
            OriginUnavailable: Try again later.
        """
        connection = self._connection
        assert connection is not None
        after = stored.position
        path = self._configuration.path
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) != self._file:
                raise Replaced
            [version] = connection.execute("PRAGMA data_version").fetchone()
            if version == self._data_version and not self._has_more:
                return None
            problems = None
            with _Transaction(connection, "BEGIN"):
                altered = _schema_version(connection) != self._schema_version
            if altered:
                with _Transaction(connection):
                    problems = self._renew(connection, announce=True)
            with _Transaction(connection, "BEGIN"):
                if _schema_version(connection) != self._schema_version:
                    self._data_version = -1  # altered again meanwhile: at the next poll
                    return None
                self._check(connection, stored)
                batch = self._read(connection, after, wanted(), now_ns, problems)
        except OSError as error:
            raise unavailable(path, error) from error
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error
        self._data_version = version
        self._has_more = batch.more
        return batch if batch.last > after or batch.problems is not None else None

    def settle(self, stored: Position) -> None:
        """Removes what is published, and notes the newest mark.

        Raises:
            Replaced: An earlier state of the database stands there meanwhile.
            OriginUnavailable: Nothing was changed; what was published is removed with the next.
        """
        connection = self._connection
        assert connection is not None
        try:
            with _Transaction(connection):
                self._check(connection, stored)
                # The newest row stays: its number is where the next one goes on.
                connection.execute(
                    "DELETE FROM _drasi_changes WHERE id <= ? AND id < (SELECT max(id) FROM _drasi_changes)", (stored.position,)
                )
                connection.execute("DELETE FROM _drasi_displaced")
                connection.execute("UPDATE _drasi_source SET mark = ?", (stored.marks[-1],))
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def remove(self) -> None:
        """Takes tables and triggers out of the database, if it is there and ours."""
        path = self._configuration.path
        self.close()
        if not path.exists():
            return
        try:
            connection = connect(path)
            try:
                with _Transaction(connection):
                    if capture.is_installed(connection) and _owner(connection)[0] == self._configuration.source_id:
                        capture.remove_all(connection)
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            raise unavailable(path, error) from error

    def interrupt(self) -> None:
        """Ends a statement under way; may be called from any thread."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
                connection.interrupt()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _install(self, connection: sqlite3.Connection, stored: Position | None) -> Installed:
        lost = self._lost(connection, stored)
        if lost is not None and stored is not None and self._configuration.stop_when_lost:
            raise PositionLost(lost, hint="restore the database, or set onPositionLost: rebootstrap to go on from its state now")
        if not capture.is_complete(connection):
            capture.remove_all(connection)
        capture.create_tables(connection)
        if stored is not None and lost is None:
            return Installed(stored, None, self._renew(connection, announce=True))
        token, mark = secrets.token_hex(8), secrets.token_hex(4)
        connection.execute("DELETE FROM _drasi_source")
        connection.execute("INSERT INTO _drasi_source VALUES (?, ?, ?)", (self._configuration.source_id, token, mark))
        # Numbers go on behind everything that was ever published, or containers would take new changes for old ones: also behind
        # a batch that was published just before a crash and is not in the state.
        [highest] = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM _drasi_changes").fetchone()
        first = max(highest, stored.position + 1 + _POLL_ROWS if stored is not None else 1)
        connection.execute("DELETE FROM _drasi_changes")
        connection.execute("INSERT INTO _drasi_changes (id, op) VALUES (?, '-')", (first,))
        problems = self._renew(connection, announce=False)
        return Installed(Position(first, token, [mark]), lost, problems)

    def _lost(self, connection: sqlite3.Connection, stored: Position | None) -> str | None:
        path = self._configuration.path
        if not capture.is_installed(connection):
            return f"{path} is another database than the one whose changes were read" if stored is not None else None
        owner, token, mark = _owner(connection)
        if owner != self._configuration.source_id:
            raise OriginInUse(
                f"{path} is watched by source {owner}", hint=f"delete source {owner} first, or add its tables to one source"
            )
        if stored is None:
            return f"the state of source {owner} was lost; {path} had been watched before"
        if token != stored.token:
            return f"{path} is another database than the one whose changes were read"
        if not capture.is_complete(connection):
            return f"somebody dropped tables named {PREFIX}… from {path}"
        if _is_set_back(connection, stored, mark):
            return f"{path} has been set back to an earlier state"
        return None

    def _renew(self, connection: sqlite3.Connection, *, announce: bool) -> list[Problem]:
        if not capture.is_complete(connection):
            raise Replaced
        tables, problems = read_catalog(connection, self._configuration.wanted)
        if self._configuration.wanted.tables:
            for problem in problems:
                if problem.code == "NoPrimaryKey":
                    raise CannotCapture(problem.text)
        capture.renew(connection, tables, announce=announce)
        self._mappings = {number: self._mapping(shape) for number, shape in capture.shapes(connection).items()}
        self._schema_version = _schema_version(connection)
        return problems

    def _mapping(self, shape: Shape) -> Mapping:
        return Mapping(self._configuration.source_id, shape, decimals=self._configuration.decimals)

    def _failure(self, error: sqlite3.Error) -> Exception:
        if ("no such table" in str(error) and PREFIX in str(error)) or "malformed" in str(error):
            return Replaced()
        return unavailable(self._configuration.path, error)

    def _check(self, connection: sqlite3.Connection, stored: Position) -> None:
        """Programs can restore a copy into the file while it is watched (``.restore``)."""
        _, token, mark = _owner(connection)
        if token != self._token or _is_set_back(connection, stored, mark):
            raise Replaced

    def _read(
        self, connection: sqlite3.Connection, after: int, wanted: Labels, now_ns: int, problems: list[Problem] | None
    ) -> Batch:
        names = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info('_drasi_changes') ORDER BY cid")]
        k, v = ([place for place, name in enumerate(names) if name[0] == letter and name[1:].isdigit()] for letter in "kv")
        changes: list[SourceChange] = []
        letters: list[Letter] = []
        last = after
        newest: tuple[Any, ...] = ()
        size = 0
        count = 0
        more = False
        rows = connection.execute("SELECT * FROM _drasi_changes WHERE id > ? ORDER BY id", (after,))
        for row in rows:
            if count >= _POLL_ROWS or size >= _POLL_BYTES:
                more = True
                break
            number, at, shape, op = row[:4]
            count += 1
            size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
            last, newest = number, row
            if op == "-":
                continue
            mapping = self._mappings[shape]
            old_key = tuple(row[place] for place in k[: len(mapping.table.key)])
            captured = Captured(number, at, op, old_key, tuple(row[place] for place in v[: len(mapping.table.columns)]))
            try:
                changes += mapping.changes(captured, wanted)
            except NullKey as error:
                letters.append(Letter(number, {"op": op, "table": mapping.table.name}, str(error)))
        rows.close()
        tx = str(last)
        for change in changes:
            change.reactivatorStart_ns = now_ns
            change.payload.source.tx = tx
        return Batch(last, _digest(newest), changes, letters, more, problems)


class _Transaction:
    """``with`` block of one transaction: committed at its end, rolled back by an exception."""

    def __init__(self, connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> None:
        self._connection = connection
        self._begin = begin

    def __enter__(self) -> None:
        self._connection.execute(self._begin)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not self._connection.in_transaction:
            return
        if error is not None:
            self._connection.execute("ROLLBACK")
            return
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._connection.execute("ROLLBACK")
            raise


def _is_set_back(connection: sqlite3.Connection, stored: Position, mark: str) -> bool:
    """Whether the database is from before what was published last."""
    if mark not in stored.marks:
        return True
    [highest] = connection.execute("SELECT coalesce(max(id), 0) FROM _drasi_changes").fetchone()
    if highest < stored.position:
        return True
    if mark == stored.marks[-1]:
        return False
    row = connection.execute("SELECT * FROM _drasi_changes WHERE id = ?", (stored.position,)).fetchone()
    return row is None or _digest(row) != stored.digest


def _schema_version(connection: sqlite3.Connection) -> int:
    [version] = connection.execute("PRAGMA schema_version").fetchone()
    return int(version)


def _digest(row: tuple[Any, ...]) -> str:
    """Of a captured row; columns that the change table gets later do not count."""
    return hashlib.blake2b(repr([value for value in row if value is not None]).encode(), digest_size=8).hexdigest()


def _owner(connection: sqlite3.Connection) -> tuple[str, str, str]:
    row = connection.execute("SELECT source, token, mark FROM _drasi_source").fetchone()
    return row if row is not None else ("", "", "")
