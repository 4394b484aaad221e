"""The four functions in processes of their own, checking tokens; and every token that they may not accept."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt

from drasi.auth.issue import TokenIssuer
from drasi.auth.issuers import GOOGLE
from drasi.auth.key_file import KeyFile
from drasi.auth.keys import KeyRing
from drasi.resources.resource import ROUTES
from tests.auth import attacks
from tests.web.test_functions import function

FUNCTIONS = ("source", "query", "reaction", "management")

SOURCE = "{apiVersion: v1, kind: Source, name: harbour, spec: {kind: Http, properties: {}}}"
REACTION = "{apiVersion: v1, kind: Reaction, name: board, spec: {kind: Debug, queries: {berths: null, cranes: null}}}"
STREAM = "{apiVersion: v1, kind: Reaction, name: board, spec: {kind: SSE, queries: {berths: null, cranes: null}}}"
PUSHER = "push@port.iam.gserviceaccount.com"
AUDIENCE = "https://functions.port.example/push"
PUSHED = {"source": "/", "query": "/changes", "reaction": "/results", "management": ""}

Row = tuple[str, str, str]
"""Method, path, and the scope it needs; ``-``: any valid token."""

_READ = "resource:read"
_WRITE = "resource:write"
_BERTHS = "query:read:berths"
ROWS: dict[str, Sequence[Row]] = {
    "source": [
        ("POST", "/", "source:publish:harbour"),
        ("POST", "/events", "source:publish:harbour"),
        ("POST", "/events/batch", "source:publish:harbour"),
        ("POST", "/sources/harbour/events", "source:publish:harbour"),
        ("POST", "/acquire-stream", "source:read:harbour"),
        ("POST", "/subscription", "source:read:harbour"),
        ("DELETE", "/subscription/node/berths", "source:read:harbour"),
        ("GET", "/supports-stream", "source:read:harbour"),
        ("POST", "/sources/harbour/acquire-stream", "source:read:harbour"),
        ("POST", "/deprovision", _WRITE),
        ("GET", "/metrics", _READ),
    ],
    "query": [
        ("POST", "/changes", "query:deliver:default"),
        ("POST", "/control", "query:deliver:default"),
        ("GET", "/queries/berths", _BERTHS),
        ("GET", "/queries/berths/events", _BERTHS),
        ("GET", "/berths", _BERTHS),
        ("GET", "/metrics", _READ),
        ("GET", "/status", _READ),
        ("GET", "/dead-letters", _READ),
        ("POST", "/deprovision", "admin"),
    ],
    "reaction": [
        ("POST", "/results", "reaction:deliver:board"),
        ("POST", "/", "reaction:deliver:board"),
        ("GET", "/", _BERTHS),
        ("GET", "/debug.js", _BERTHS),
        ("GET", "/api/queries", _BERTHS),
        ("GET", "/api/queries/berths", _BERTHS),
        ("GET", "/api/queries/berths/debug-information", _BERTHS),
        ("GET", "/reactions/board/", _BERTHS),
        ("GET", "/reactions/board/api/queries/berths", _BERTHS),
        ("GET", "/metrics", _READ),
        ("GET", "/status", _READ),
        ("GET", "/dead-letters", _READ),
        ("POST", "/deprovision", _WRITE),
    ],
    "management": [
        ("GET", "/swagger-ui/", "-"),
        ("GET", "/api-doc/openapi.json", "-"),
        ("GET", "/metrics", _READ),
        ("GET", "/console", _READ),
        ("GET", "/", _READ),
        ("POST", "/v1/apply", _WRITE),
        ("POST", "/v1/validate", _READ),
        ("GET", "/v1/status", _READ),
        ("POST", "/v1/tokens", "admin"),
        ("GET", "/v1/keys", "admin"),
        ("POST", "/v1/keys/rotate", "admin"),
        ("PUT", "/v1/secrets/port/password", "secret:write"),
        ("DELETE", "/v1/secrets/port/password", "secret:write"),
        *((verb, f"/v1/{route}/berths", _WRITE) for route in ROUTES for verb in ("PUT", "DELETE")),
        *((("GET", f"/v1/{route}", _READ)) for route in ROUTES),
        *(("GET", f"/v1/{route}/berths{rest}", _READ) for route in ROUTES for rest in ("", "/status", "/versions", "/errors")),
        *(("POST", f"/v1/continuousQueries/berths/{verb}", _WRITE) for verb in ("start", "stop")),
        *(("GET", f"/v1/continuousQueries/berths/{what}", _BERTHS) for what in ("rows", "events", "watch")),
        ("GET", "/v1/continuousQueries/berths:v2/rows", _BERTHS),
        ("GET", "/v1/continuousQueries/berths/explain", _READ),
        ("GET", "/v1/continuousQueries/berths/ready-wait?timeout=0", _READ),
        ("GET", "/queries/berths", _BERTHS),
        ("GET", "/queries/berths/events", _BERTHS),
        ("GET", "/berths", _BERTHS),
        ("POST", "/sources/harbour/events", "source:publish:harbour"),
        ("POST", "/sources/harbour/acquire-stream", "source:read:harbour"),
    ],
}


@dataclass
class Guarded:
    """One function in a process of its own."""

    name: str
    client: httpx.Client
    issuer: TokenIssuer
    log: Path

    @property
    def rows(self) -> Sequence[Row]:
        return ROWS[self.name]

    @property
    def ring(self) -> KeyRing:
        return self.issuer.ring()

    def token(self, *scope: str) -> str:
        return self.issuer.issue("ada", scope).text

    def ask(self, method: str, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        """The answer; of a stream that begins, its head."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        content = b"{}" if method in ("POST", "PUT") else None
        headers = {"Content-Type": "application/json", **headers}
        with self.client.stream(method, path, headers=headers, content=content) as answer:
            if answer.status_code >= 300:
                answer.read()
            return answer


@contextmanager
def guarded(name: str, directory: Path, *, manifest: str = "", **variables: str) -> Iterator[Guarded]:
    """The function with keys of its own, and Google's keys from a server of the test's."""
    manifest = manifest or {"source": SOURCE, "reaction": REACTION}.get(name, "")
    settings = {
        "DRASI_INSECURE_NO_AUTH": "false",
        "DRASI_KEYS": str(directory / "keys.json"),
        "DRASI_PUSH_ACCOUNT": PUSHER,
        "DRASI_PUSH_AUDIENCE": AUDIENCE,
        "DRASI_SOURCE_URL": "http://127.0.0.1:9",
        "DRASI_CONTAINER_URL": "http://127.0.0.1:9",
        **variables,
    }
    if manifest:
        (directory / "manifest.yaml").write_text(manifest)
        settings["DRASI_MANIFEST"] = str(directory / "manifest.yaml")
    keys = {"/certs": {"keys": [attacks.rsa_jwk(attacks.RSA, "google-1")]}}
    with serving_json(keys) as url:
        settings["DRASI_PUSH_KEYS_URL"] = f"{url}/certs"
        with function(name, directory / "state", **settings) as client:
            yield Guarded(name, client, TokenIssuer(KeyFile(directory / "keys.json")), directory / f"{name}.log")


@contextmanager
def serving_json(answers: Mapping[str, Any]) -> Iterator[str]:
    """A server in a thread that answers these paths with these documents; its URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in answers
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(self.path)).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def by_google(**changes: Any) -> str:
    """A token that Google sends with a push, with changes."""
    now = int(time.time())
    said = {"iss": GOOGLE, "sub": "1081", "aud": AUDIENCE, "email": PUSHER, "email_verified": True, "iat": now, "exp": now + 3600}
    return jwt.encode({**said, **changes}, attacks.RSA, algorithm="RS256", headers={"kid": "google-1"})


def of_google() -> Iterator[tuple[str, str]]:
    """Genuine tokens of Google that say the wrong thing, by name."""
    now = int(time.time())
    wrong: dict[str, dict[str, Any]] = {
        "another service account": {"email": "other@port.iam.gserviceaccount.com"},
        "no email": {"email": None},
        "an email nobody verified": {"email_verified": False},
        "another audience": {"aud": "https://functions.port.example/other"},
        "expired": {"iat": now - 7200, "exp": now - 60},
    }
    for name, changes in wrong.items():
        yield f"Google: {name}", by_google(**changes)


def everything_wrong(ring: KeyRing) -> Iterator[tuple[str, str]]:
    """Every token that no function may accept, by name."""
    now = int(time.time())
    yield from attacks.forged(ring, now)
    yield from attacks.untrue(ring, now)
    yield from ((name, token) for name, token in attacks.malformed() if token.isascii())
    yield from of_google()
    before = attacks.signed(ring, attacks.claims(ring, now))
    yield "another part of a token", json.dumps({"token": before})
