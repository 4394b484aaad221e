"""``drasi run`` as a process: how it starts, what it refuses, how it stops."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from drasi.embedded.lock import FILE
from tests.embedded.owner import owner
from tests.embedded.waiting import until

MANIFESTS = """
apiVersion: v1
kind: Source
name: shop
spec:
  kind: SQLite
  properties: {path: shop.db, tables: [Item], pollIntervalMs: 20}
---
apiVersion: v1
kind: ContinuousQuery
name: cheap
spec:
  sources: {subscriptions: [{id: shop}]}
  query: MATCH (i:Item) WHERE i.price < 10 RETURN i.name AS name, 100 / i.stock AS share
"""

EXAMPLE = """
import sqlite3

def setup(state):
    with sqlite3.connect(state / "shop.db") as database:
        database.execute("CREATE TABLE IF NOT EXISTS Item (id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER)")

def reset(state):
    (state / "shop.db").unlink(missing_ok=True)
"""


def directory_of(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "shop.yaml").write_text(MANIFESTS)
    (directory / "example.py").write_text(EXAMPLE)
    return directory


@contextmanager
def run(directory: Path, state: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "drasi", "run", str(directory), "--state", str(state), "--port", "0", *options]
    with log_of(state).open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def log_of(state: Path) -> Path:
    """What the last process over this state directory printed."""
    return state.with_suffix(".log")


def _ended(state: Path, process: subprocess.Popen[str]) -> str:
    """Waits for the end of a process; what it printed."""
    process.wait(30)
    return log_of(state).read_text()


def client_of(state: Path, process: subprocess.Popen[str], *, token: str | None = None) -> httpx.Client:
    """A client of the process, once it listens, with its owner's token if no other is given."""
    port = 0

    def listens() -> bool:
        nonlocal port
        try:
            holder = json.loads((state / FILE).read_text())
        except (FileNotFoundError, ValueError):
            return False
        port = holder["port"] if holder["pid"] == process.pid else 0
        assert process.poll() is None, log_of(state).read_text()
        return bool(port)

    until(listens, "it listens", 30)
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, headers=owner(state) if token is None else {})


def _rows(client: httpx.Client) -> list[dict[str, object]]:
    answer = client.get("/queries/cheap")
    return [item["data"] for item in answer.json()[1:]] if answer.status_code == 200 else []


def _sql(state: Path, statement: str) -> None:
    connection = sqlite3.connect(state / "shop.db", timeout=10)
    with connection:
        connection.execute(statement)
    connection.close()


def test_it_prints_where_it_is_and_stops_cleanly(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with run(directory, state) as process, client_of(state, process) as client:
        _sql(state, "INSERT INTO Item VALUES (1, 'pear', 2.5, 4)")
        until(lambda: _rows(client) == [{"name": "pear", "share": 25}], "the row comes")
        until(lambda: "cheap: running" in log_of(state).read_text(), "it says so")
        with client.stream("GET", "/queries/cheap/events?after=0") as stream:  # an open reader does not hold it up
            assert stream.status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
    output = log_of(state).read_text()
    assert "Source/shop: created" in output
    assert f"query      {client.base_url}".rstrip("/") + "/queries/cheap" in output
    assert f"database   {state / 'shop.db'} (source shop)" in output
    assert output.rstrip().endswith("Stopped.")
    assert "Traceback" not in output


def test_interrupt_stops_it_too_and_the_next_run_goes_on(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    for turn in range(2):
        with run(directory, state) as process, client_of(state, process) as client:
            _sql(state, f"INSERT INTO Item VALUES ({turn}, 'item {turn}', 1, 1)")
            until(lambda turn=turn: len(_rows(client)) == turn + 1, "the row comes")  # type: ignore[misc]
            process.send_signal(signal.SIGINT)
            assert process.wait(15) == 0


def test_a_second_run_is_refused_with_pid_and_port_of_the_first(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with run(directory, state) as first, client_of(state, first) as client:
        with run(directory, state) as second:
            output = _ended(state, second)
        assert second.returncode == 1
        assert f"process {first.pid}" in output
        assert f"port {client.base_url.port}" in output
        assert client.get("/readyz").status_code == 200


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with run(directory, state, "--port", str(port)) as process:
            output = _ended(state, process)
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in output
    assert "--port" in output


def test_invalid_manifests_are_all_shown_and_nothing_runs(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    (directory / "more.yaml").write_text(MANIFESTS.replace("name: cheap", "name: dear").replace("RETURN i.name", "RETURN j.name"))
    (directory / "odd.yaml").write_text("apiVersion: v1\nkind: Source\nname: odd\nspec: {kind: SQLite, propertys: {}}\n")
    with run(directory, state) as process:
        output = _ended(state, process)
    assert process.returncode == 1
    assert "UndefinedVariable" in output
    assert "did you mean 'properties'?" in output
    assert "more.yaml" in output
    assert "Traceback" not in output


def test_reset_forgets_what_was_kept(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with run(directory, state) as process, client_of(state, process) as client:
        _sql(state, "INSERT INTO Item VALUES (1, 'pear', 2.5, 4)")
        until(lambda: len(_rows(client)) == 1, "the row comes")
        process.send_signal(signal.SIGTERM)
        process.wait(15)
    (state / "mine.txt").write_text("not ours")
    with run(directory, state, "--reset") as process, client_of(state, process) as client:
        until(lambda: "running" in client.get("/queries/cheap").text, "the query runs")
        assert _rows(client) == []
    assert (state / "mine.txt").read_text() == "not ours"


def test_watched_manifests_are_applied_again(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with run(directory, state, "--watch") as process, client_of(state, process) as client:
        _sql(state, "INSERT INTO Item VALUES (1, 'pear', 2.5, 4), (2, 'melon', 12, 5)")
        until(lambda: len(_rows(client)) == 1, "the row comes")
        (directory / "shop.yaml").write_text(MANIFESTS.replace("price < 10", "price < 20"))
        until(lambda: len(_rows(client)) == 2, "the changed query answers")


def test_rows_that_err_are_held_out_and_reported(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with run(directory, state) as process, client_of(state, process) as client:
        _sql(state, "INSERT INTO Item VALUES (1, 'pear', 2.5, 4), (2, 'plum', 1, 0)")
        until(lambda: _rows(client) == [{"name": "pear", "share": 25}], "the sound row comes")
        status = client.get("/v1/continuousQueries/cheap").json()["status"]
        assert status["status"] == "Running"
        assert status["rowErrors"]["count"] == 1
        _sql(state, "UPDATE Item SET stock = 10 WHERE id = 2")
        until(lambda: len(_rows(client)) == 2, "the row is back")
        assert client.get("/v1/continuousQueries/cheap").json()["status"]["rowErrors"]["count"] == 0


def test_a_locked_database_is_said_and_waited_for(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with run(directory, state) as process, client_of(state, process) as client:
        until(lambda: "running" in client.get("/queries/cheap").text, "the query runs")
        holder = sqlite3.connect(state / "shop.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("INSERT INTO Item VALUES (1, 'pear', 2.5, 4)")
        assert client.get("/readyz").status_code == 200
        assert _rows(client) == []
        holder.execute("COMMIT")
        holder.close()
        until(lambda: len(_rows(client)) == 1, "the row comes", 30)
