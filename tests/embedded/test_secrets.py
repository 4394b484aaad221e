"""Planted secrets: after a run in which everything that uses them fails, they are in the file of secrets and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from tests.embedded.test_serve import client_of, log_of, run
from tests.embedded.waiting import until

PASSWORD = "pl4nted-p4ssword"
TOKEN = "pl4nted-t0ken"
PLACE = "pl4nted-pl4ce"
ENV = "pl4nted-env1ronment"
LATER = "pl4nted-l4ter"
WORD = b"pl4nted"

MANIFESTS = """
apiVersion: v1
kind: Source
name: orders
spec:
  kind: PostgreSQL
  properties:
    host: 127.0.0.1
    port: 9
    user: drasi
    database: shop
    tables: [public.Order]
    password: {kind: Secret, name: shop, key: password}
---
apiVersion: v1
kind: Source
name: sensors
spec: {kind: Http, properties: {}}
---
apiVersion: v1
kind: ContinuousQuery
name: levels
spec:
  sources: {subscriptions: [{id: sensors}]}
  query: MATCH (r:Room) RETURN r.name AS name, r.level AS level
---
apiVersion: v1
kind: Reaction
name: alarm
spec:
  kind: Http
  properties: {baseUrl: {kind: Secret, name: alarm, key: url}, token: {kind: Secret, name: alarm, key: token}}
  queries:
    levels: |
      added: {url: /added, body: '{"room": "{{after.name}}"}'}
---
apiVersion: v1
kind: Reaction
name: board
spec:
  kind: Http
  properties: {baseUrl: {kind: Secret, name: alarm, key: url}, token: {kind: Secret, name: board, key: token}}
  queries: {levels: null}
---
apiVersion: v1
kind: Reaction
name: odd
spec:
  kind: Http
  properties: {baseUrl: {kind: Secret, name: odd, key: url}, timeout: {kind: Secret, name: odd, key: url}}
  queries: {levels: null}
---
apiVersion: v1
kind: Reaction
name: page
spec: {kind: Debug, queries: {levels: null}}
"""


@contextmanager
def echo() -> Iterator[tuple[str, list[str]]]:
    """A target that refuses everything and says back all it was sent; its URL, and the tokens that it saw."""
    seen: list[str] = []

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            seen.append(self.headers.get("authorization", ""))
            text = f"{self.path} {self.headers} {body.decode()}".encode()
            self.send_response(400 if len(seen) % 2 else 503, self.headers.get("authorization"))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hooks/{PLACE}", seen
        finally:
            server.shutdown()
            thread.join()


def test_secrets_stay_where_they_are(tmp_path: Path) -> None:
    manifests, state = tmp_path / "manifests", tmp_path / "state"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(MANIFESTS)
    answers: dict[str, str] = {}
    with echo() as (url, seen):
        # Without a token of its own yet, `board` waits; `odd` gets values that do not fit.
        kept = {"shop": {"password": PASSWORD}, "alarm": {"url": url, "token": TOKEN}, "odd": {"url": f"no url {LATER}"}}
        state.mkdir()
        (state / "secrets.json").write_text(json.dumps(kept))
        with run(manifests, state) as process, client_of(state, process) as client:
            until(lambda: "running" in client.get("/queries/levels").text, "the query runs")
            event = {
                "operation": "insert",
                "element": {"type": "node", "id": "r1", "labels": ["Room"], "properties": {"name": "Lobby"}},
            }
            assert client.post("/sources/sensors/events", json=event).status_code == 202
            until(lambda: any(TOKEN in token for token in seen), "the target is sent the token")
            answers["set"] = client.put("/v1/secrets/board/token", json={"value": LATER}).text
            until(lambda: any(LATER in token for token in seen), "what waited is started with the secret")
            until(lambda: _failed(client), "the source and the reactions say that they fail")
            answers |= _everything(client) | _mistakes(client)
            answers |= _command_line(client, state, tmp_path)
            assert client.delete("/v1/secrets/board/token").status_code == 204
            process.terminate()
            assert process.wait(20) == 0
    assert "PostgreSQL" in answers["/v1/sources/orders"]
    assert '"kind":"Secret"' in answers["/v1/sources/orders"].replace(" ", ""), "secrets are shown as references"
    assert "kind: Secret" in answers["describe text"]
    assert [name for name, text in answers.items() if WORD.decode() in text] == []
    assert WORD not in log_of(state).read_bytes()
    owner = (state / "token").read_text().strip().encode()
    files = [file for file in state.rglob("*") if file.is_file()]
    assert len(files) > 3
    assert [file.name for file in files if WORD in file.read_bytes()] == ["secrets.json"]
    assert [file.name for file in files if owner in file.read_bytes()] == ["token"]
    assert [name for name, text in answers.items() if owner.decode() in text] == []
    assert [file.name for file in files if b"PRIVATE KEY" in file.read_bytes()] == ["keys.json"]


def test_secrets_of_the_environment_stay_there(tmp_path: Path) -> None:
    manifests, state = tmp_path / "manifests", tmp_path / "state"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(MANIFESTS)
    os.environ["DRASI_SECRET_SHOP_PASSWORD"] = ENV
    try:
        with run(manifests, state) as process, client_of(state, process) as client:
            until(lambda: "running" in client.get("/queries/levels").text, "the query runs")
            answers = _everything(client)
            process.terminate()
            assert process.wait(20) == 0
    finally:
        del os.environ["DRASI_SECRET_SHOP_PASSWORD"]
    assert [name for name, text in answers.items() if WORD.decode() in text] == []
    assert WORD not in log_of(state).read_bytes()
    assert [file.name for file in state.rglob("*") if file.is_file() and WORD in file.read_bytes()] == []


def _failed(client: httpx.Client) -> bool:
    sources, reactions = client.get("/v1/sources").json(), client.get("/v1/reactions").json()
    messages = {one["id"]: one["status"].get("messages") for one in [*sources, *reactions]}
    return bool(messages["orders"] and messages["alarm"] and messages["odd"])


def _everything(client: httpx.Client) -> dict[str, str]:
    """What every path answers that reads."""
    paths = ["/", "/console", "/metrics", "/v1/status", "/v1/keys", "/swagger-ui/", "/api-doc/openapi.json", "/queries/levels"]
    for route, names in {
        "sources": ["orders", "sensors"],
        "reactions": ["alarm", "board", "odd", "page"],
        "continuousQueries": ["levels"],
        "queryContainers": ["default"],
        "sourceProviders": [],
        "reactionProviders": [],
    }.items():
        paths.append(f"/v1/{route}")
        paths += [
            f"/v1/{route}/{name}{rest}"
            for name in names
            for rest in ("", "/status", "/versions", "/errors", "/ready-wait?timeout=0")
        ]
    paths += ["/v1/continuousQueries/levels/explain", "/v1/continuousQueries/levels/rows", "/reactions/page/"]
    paths += [f"/reactions/page/api/queries/levels{rest}" for rest in ("", "/debug-information")]
    found = {}
    for path in paths:
        answer = client.get(path)
        assert answer.status_code in (200, 503), f"{path}: {answer.status_code} {answer.text}"
        found[path] = answer.text
    return found


def _mistakes(client: httpx.Client) -> dict[str, str]:
    """What is said to requests that are wrong, and hold a secret."""
    secret = "/v1/secrets/shop/password"
    yaml = {"Content-Type": "application/yaml"}
    return {
        "no JSON": client.put(secret, content=f'{{"value": "{PASSWORD}', headers={"Content-Type": "application/json"}).text,
        "no text": client.put(secret, json={"value": [PASSWORD]}).text,
        "another member": client.put(secret, json={PASSWORD: 1}).text,
        "not UTF-8": client.put(secret, content=b"\xff" + WORD, headers={"Content-Type": "text/plain"}).text,
        "read": client.get(secret).text,
        "again": client.post("/v1/apply", content=MANIFESTS, headers=yaml).text,
        "dry run": client.post("/v1/apply?dryRun=true", content=MANIFESTS.replace("port: 9", "port: 70000"), headers=yaml).text,
    }


def _command_line(client: httpx.Client, state: Path, directory: Path) -> Mapping[str, str]:
    url = str(client.base_url).rstrip("/")
    environment = {**os.environ, "DRASI_STATE": str(state), "DRASI_URL": url, "DRASI_HOME": str(directory / "home")}
    found = {}
    for form in ("text", "json", "yaml"):
        command = [sys.executable, "-m", "drasi", "describe", "source", "orders", "--output", form]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
        found[f"describe {form}"] = done.stdout + done.stderr
    command = [sys.executable, "-m", "drasi", "errors", "reaction", "alarm"]
    found["errors"] = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60).stdout
    return found
