"""The four functions behind the functions framework, each in a process of its own, as the platform runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from drasi.auth.issue import TokenIssuer
from drasi.auth.key_file import KeyFile
from drasi.messages.envelope import Message, encode_push
from tests.embedded.waiting import until

ROOT = Path(__file__).resolve().parents[2]

SOURCE = """
apiVersion: v1
kind: Source
name: harbour
spec: {kind: Http, properties: {}}
"""

REACTION = """
apiVersion: v1
kind: Reaction
name: board
spec:
  kind: SSE
  queries: {berths: null}
"""

QUERY = {
    "sources": {"subscriptions": [{"id": "harbour"}]},
    "query": "MATCH (s:Ship) RETURN s.berth AS berth, count(s) AS ships",
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _served(target: str, port: int, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A functions-framework server; it has workers of its own, so the whole group ends with the test."""
    main = ROOT / "functions" / target / "main.py"
    command = [sys.executable, "-m", "functions_framework", "--source", str(main), "--target", target, "--asgi"]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    with (
        log.open("wb") as output,
        subprocess.Popen([*command, *address], env=environment, stdout=output, stderr=output, start_new_session=True) as process,
    ):
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def function(target: str, state: Path, **variables: str) -> Iterator[httpx.Client]:
    """A function's process, once it is ready."""
    port = _free_port()
    environment = {**os.environ, "DRASI_STATE": str(state), **variables}
    log = state.parent / f"{target}.log"
    with ExitStack() as stack:
        process = stack.enter_context(_served(target, port, environment, log))
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10))

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return client.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        until(ready, f"{target} is ready: {log}", 30)
        yield client


def _push(client: httpx.Client, path: str, kind: str, data: object, **attributes: str) -> None:
    message = Message(json.dumps(data).encode(), {"drasi-type": kind, **attributes}, "harbour", "1", "2026-03-01T08:15:30Z")
    answer = client.post(path, content=encode_push(message, "projects/p/subscriptions/s"))
    assert answer.status_code == 204, answer.text


def _ship(name: str, berth: int, position: int) -> dict[str, object]:
    source = {"db": "harbour", "table": "node", "ts_ns": 1_772_352_930_000_000_000, "position": f"{position:020}"}
    return {"op": "i", "payload": {"source": source, "after": {"id": name, "labels": ["Ship"], "properties": {"berth": berth}}}}


def _keys(directory: Path, client: httpx.Client | None = None) -> str:
    """The file of keys that the functions share; a client then shows a token that may do everything."""
    file = directory / "keys.json"
    if client is not None:
        client.headers["Authorization"] = f"Bearer {TokenIssuer(KeyFile(file)).issue('operator', ['admin']).text}"
    return str(file)


def test_source_query_and_reaction_over_http(tmp_path: Path) -> None:
    (tmp_path / "source.yaml").write_text(SOURCE)
    (tmp_path / "reaction.yaml").write_text(REACTION)
    with ExitStack() as stack:
        keys = {"DRASI_KEYS": _keys(tmp_path)}
        source = stack.enter_context(function("source", tmp_path / "s", DRASI_MANIFEST=str(tmp_path / "source.yaml"), **keys))
        query = stack.enter_context(function("query", tmp_path / "q", DRASI_SOURCE_URL=str(source.base_url), **keys))
        _keys(tmp_path, query)
        configure = {"kind": "configure", "queryId": "berths", "version": 1, "spec": QUERY}
        _push(query, "/control", "container-control", configure, container="default")

        def running() -> bool:
            view = query.get("/queries/berths")
            return view.status_code == 200 and view.json()[0]["header"]["state"] == "running"

        until(running, "the query has read its source")
        _push(query, "/changes", "changes", [_ship("Aurora", 3, 1), _ship("Bora", 3, 2)], source="harbour", count="2")
        _push(query, "/changes", "changes", [_ship("Aurora", 3, 1)], source="harbour", count="1")  # a redelivery
        rows = [item["data"] for item in query.get("/queries/berths").json()[1:]]
        assert rows == [{"berth": 3, "ships": 2}]
        reaction = stack.enter_context(
            function(
                "reaction",
                tmp_path / "r",
                DRASI_MANIFEST=str(tmp_path / "reaction.yaml"),
                DRASI_QUERY_URL=str(query.base_url),
                **keys,
            )
        )
        _keys(tmp_path, reaction)
        with reaction.stream("GET", "/events?query=berths") as stream:
            data = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
            assert next(data)["op"] == "h"
            assert next(data)["payload"]["after"] == {"berth": 3, "ships": 2}
            _push(query, "/changes", "changes", [_ship("Corona", 4, 3)], source="harbour", count="1")
            assert next(data)["payload"]["after"] == {"berth": 4, "ships": 1}


def test_management_is_served(tmp_path: Path) -> None:
    with function("management", tmp_path / "m", DRASI_KEYS=_keys(tmp_path)) as client:
        _keys(tmp_path, client)
        assert [item["id"] for item in client.get("/v1/queryContainers").json()] == ["default"]
        applied = client.post("/v1/apply", content=SOURCE, headers={"Content-Type": "application/yaml"})
        assert applied.json()[0]["result"] == "created"
        until(lambda: client.get("/v1/sources/harbour/ready-wait?timeout=5").status_code == 200, "the source is ready")


def test_a_function_without_its_manifest_says_so(tmp_path: Path) -> None:
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if name != "DRASI_MANIFEST"} | {"DRASI_KEYS": _keys(tmp_path)}
    operator = {"Authorization": f"Bearer {TokenIssuer(KeyFile(tmp_path / 'keys.json')).issue('operator', ['admin']).text}"}
    with _served("source", port, environment, tmp_path / "log"):

        def answered() -> bool:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/supports-stream", headers=operator)
            except httpx.TransportError:
                return False
            assert answer.status_code == 503
            assert "set DRASI_MANIFEST" in answer.text
            assert httpx.get(f"http://127.0.0.1:{port}/supports-stream").status_code == 401, "strangers are told nothing"
            return True

        until(answered, "it answers", 30)
