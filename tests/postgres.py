"""A PostgreSQL of the tests' own: a cluster in a temporary folder, and databases in it."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

SETTINGS = {
    "wal_level": "logical",
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "max_replication_slots": "40",
    "max_wal_senders": "40",
    "max_connections": "120",
    "max_prepared_transactions": "10",
    "shared_buffers": "32MB",
    "max_wal_size": "512MB",
    "autovacuum": "off",
}


@dataclass
class Server:
    """A running server. Its superuser is ``drasi``, with the password ``s3cret``."""

    folder: Path
    programs: Path
    user: str | None
    port: int
    host: str = "127.0.0.1"
    superuser: str = "drasi"
    password: str = "s3cret"
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def run(self, program: str, *arguments: str) -> None:
        # Not Popen's ``user``: it forks, and the fork of a process in which gRPC runs crashes.
        become = ["setpriv", "--reuid", self.user, "--regid", "nogroup", "--clear-groups"] if self.user is not None else []
        with open(self.folder / "programs.log", "ab") as out:
            done = subprocess.run(
                [*become, str(self.programs / program), *arguments], cwd=self.folder, stdout=out, stderr=out, check=False
            )
        assert done.returncode == 0, f"{program} ended with {done.returncode}: {(self.folder / 'programs.log').read_text()}"

    def start(self, **settings: str) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in {**SETTINGS, "port": str(self.port), **settings}.items())
        options += f" -c unix_socket_directories={self.folder}"
        self.run(
            "pg_ctl",
            "start",
            "-w",
            "-t",
            "60",
            "-D",
            str(self.folder / "data"),
            "-l",
            str(self.folder / "server.log"),
            "-o",
            options,
        )

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "-w", "-t", "60", "-m", "immediate", "-D", str(self.folder / "data"))

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=self.host, port=self.port, user=self.superuser, password=self.password, dbname=database, autocommit=True
        )

    def new_database(self) -> str:
        name = f"world{next(self.numbers)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            slots = connection.execute(
                "SELECT slot_name, active_pid, pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = %s",
                [name],
            ).fetchall()
            for slot, _, _ in slots:
                connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running(**settings: str) -> Iterator[Server]:
    """A server of its own, gone with the block; skips the test where there is no PostgreSQL, except with CI=true."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = next((folder for folder in folders if (folder / "initdb").exists()), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no PostgreSQL (initdb) here; install the package postgresql")
        pytest.skip("there is no PostgreSQL (initdb) here; install the package postgresql to run this")
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="drasi-postgres-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Server(folder, found, user, port)
        password = folder / "password"
        password.write_text(server.password)
        password.chmod(0o644)
        log = folder / "programs.log"
        log.touch()
        server.run(
            "initdb",
            "-D",
            str(folder / "data"),
            "-U",
            server.superuser,
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        server.start(**settings)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for the whole session."""
    with running() as server:
        yield server
