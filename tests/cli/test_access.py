"""Tokens, keys, secrets and logins on the command line, over an installation that checks tokens."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import jwt
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.auth.issue import TokenIssuer
from drasi.auth.issuers import installation, oidc
from drasi.auth.jwks import FetchedKeys, RingKeys
from drasi.auth.keys import MemoryKeyStore
from drasi.auth.verify import Verifier
from drasi.cli import credentials
from drasi.cli.options import transport
from drasi.embedded.lock import StateLock
from drasi.resources.secrets import LocalSecrets
from drasi.web import permissions
from drasi.web.access import protected
from drasi.web.authentication import Permitted
from drasi.web.installation import Installation
from drasi.web.management import management_app
from tests.auth import attacks
from tests.cli.conftest import Drasi
from tests.web.managed import QUERY, Managed

URL = "http://127.0.0.1:8080"
ISSUER = "https://login.example"


@dataclass
class Login:
    """An OIDC issuer with a device flow. ``answers`` are what polling gets, in order."""

    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    says: str = ISSUER

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._configuration),
                Route("/device", self._device, methods=["POST"]),
                Route("/token", self._token, methods=["POST"]),
            ]
        )
        self.keys = FetchedKeys(self._jwks)

    async def _jwks(self) -> bytes:
        return json.dumps({"keys": [attacks.rsa_jwk(attacks.RSA, "k")]}).encode()

    async def _configuration(self, request: Request) -> Response:
        ends = {"device_authorization_endpoint": f"{ISSUER}/device", "token_endpoint": f"{ISSUER}/token"}
        return JSONResponse({"issuer": self.says, **ends})

    async def _device(self, request: Request) -> Response:
        form = await _form(request)
        assert form == {"client_id": "drasi", "scope": "openid profile groups"}
        where = f"{ISSUER}/activate"
        code = {"device_code": "d-1", "user_code": "WDJB-MJHT", "verification_uri": where, "interval": 0, "expires_in": 600}
        return JSONResponse(code)

    async def _token(self, request: Request) -> Response:
        self.asked.append(await _form(request))
        status, answer = self.answers.pop(0)
        return JSONResponse(answer, status)


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


@dataclass
class Guarded:
    """The command line, an installation that checks tokens, and an OIDC issuer."""

    drasi: Drasi
    issuer: TokenIssuer
    login: Login
    state: Path

    def __call__(self, *arguments: str, stdin: str = "") -> int:
        return self.drasi(*arguments, stdin=stdin)

    def token(self, *scope: str) -> str:
        return self.issuer.issue("ada", scope).text


class ByHost:
    """Requests to the issuer's host go to the issuer."""

    def __init__(self, issuer: ASGIApp, other: ASGIApp) -> None:
        self._issuer = issuer
        self._other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"]).get(b"host", b"")
        await (self._issuer if host == b"login.example" else self._other)(scope, receive, send)


@pytest.fixture
def guarded(drasi: Drasi, tmp_path: Path) -> Iterator[Guarded]:
    store, login = MemoryKeyStore(), Login()
    issuer = TokenIssuer(store)
    managed: Managed = drasi.managed
    managed.installation = Installation(managed.store, managed.runtime, LocalSecrets(tmp_path / "state"), now_ms=lambda: 1_000)
    roles = {"operators": ["resource:read", "resource:write"]}
    people = oidc(ISSUER, ["drasi"], roles, keys=login.keys)
    verifier = Verifier([installation(issuer.ring().installation, RingKeys(store)), people])
    app = management_app(managed.installation, issuer, verifier.forget)
    front = ByHost(login.app, protected(Permitted(app, permissions.management), verifier, loopback_only=True))
    token = transport.set(httpx.ASGITransport(front, raise_app_exceptions=False))
    yield Guarded(drasi, issuer, login, tmp_path / "state")
    transport.reset(token)


def test_without_a_token_it_says_where_one_comes_from(guarded: Guarded) -> None:
    assert guarded("list", "source") == 4
    assert guarded.drasi.err.startswith("Error: the token is missing, or is not valid here; give it with --token or DRASI_TOKEN")


def test_a_token_is_given_as_option_or_variable(guarded: Guarded) -> None:
    assert guarded("list", "source", "--token", guarded.token("resource:read")) == 0
    guarded.drasi.monkeypatch.setenv("DRASI_TOKEN", guarded.token("resource:read"))
    assert guarded("list", "querycontainer") == 0
    assert "default" in guarded.drasi.out
    assert guarded("apply", stdin=QUERY) == 4
    assert "needs the scope resource:write" in guarded.drasi.err


def test_the_system_on_this_machine_is_found(guarded: Guarded, tmp_path: Path) -> None:
    state = tmp_path / "here"
    state.mkdir()
    (state / "token").write_text(guarded.token("admin") + "\n")
    with StateLock(state) as lock:
        lock.announce(8080)
        assert guarded("list", "querycontainer", "--state", str(state)) == 0
        guarded.drasi.monkeypatch.setenv("DRASI_STATE", str(state))
        assert guarded("list", "querycontainer") == 0
        guarded.drasi.monkeypatch.delenv("DRASI_STATE")
        assert guarded("list", "querycontainer") == 4
        state.rename(tmp_path / ".drasi")
        guarded.drasi.monkeypatch.chdir(tmp_path)
        assert guarded("list", "querycontainer") == 0
    assert guarded("list", "querycontainer") == 4, "it has ended: whoever listens on its port now gets no token"


@pytest.mark.parametrize(
    ("url", "lock", "found"),
    [
        (URL, '{"pid": 1, "port": 8080}', True),
        ("http://localhost:8080", '{"pid": 1, "port": 8080}', True),
        ("http://127.0.0.1:9090", '{"pid": 1, "port": 8080}', False),
        ("https://drasi.example:8080", '{"pid": 1, "port": 8080}', False),
        ("http://127.0.0.1.drasi.example:8080", '{"pid": 1, "port": 8080}', False),
        (URL, '{"pid": 1, "port": 0}', False),
        (URL, "", False),
        ("http://127.0.0.1:x", '{"pid": 1, "port": 8080}', False),
    ],
)
def test_its_token_is_shown_to_nobody_else(guarded: Guarded, tmp_path: Path, url: str, lock: str, found: bool) -> None:
    (tmp_path / "token").write_text("a-token")
    with StateLock(tmp_path):
        (tmp_path / "drasi.lock").write_text(lock)
        assert (credentials._of_state(url, tmp_path) == "a-token") is found
    assert credentials._of_state(url, tmp_path) is None


def test_a_token_is_made_and_used(guarded: Guarded) -> None:
    admin = guarded.token("admin")
    assert guarded("token", "create", "--scope", "resource:read", "--scope", "query:read:*", "--ttl", "2h", "--token", admin) == 0
    made = guarded.drasi.out.strip()
    claims = jwt.decode(made, options={"verify_signature": False})
    assert claims["scope"] == "query:read:* resource:read"
    assert claims["exp"] - claims["iat"] == 7200
    assert guarded("list", "querycontainer", "--token", made) == 0
    assert guarded("token", "create", "--scope", "admin", "--token", made) == 4
    options = ["--subject", "clock", "--output", "json", "--token", admin]
    assert guarded("token", "create", "--scope", "resource:read,query:read:berths", *options) == 0
    said = json.loads(guarded.drasi.out)
    assert jwt.decode(said["token"], options={"verify_signature": False})["sub"] == "clock"
    assert said["expires"].endswith("Z")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--scope", "resource:erase"], 1, "'resource:erase' is no scope; scopes are admin"),
        (["--scope", "admin", "--ttl", "25h"], 1, "a token lives 1 to 86400 seconds, not 90000"),
        (["--scope", "admin", "--ttl", "soon"], 2, "--ttl must be a duration"),
        (["--scope", " "], 1, "a token without a scope allows nothing"),
        ([], 2, "Missing option '--scope'"),
    ],
)
def test_a_token_that_cannot_be_made(guarded: Guarded, arguments: list[str], code: int, text: str) -> None:
    guarded.drasi.monkeypatch.setenv("DRASI_TOKEN", guarded.token("admin"))
    assert guarded("token", "create", *arguments) == code
    assert text in guarded.drasi.err


def test_keys_are_listed_and_rotated(guarded: Guarded) -> None:
    old = guarded.token("admin")
    guarded.drasi.monkeypatch.setenv("DRASI_TOKEN", old)
    assert guarded("keys", "list") == 0
    first = guarded.issuer.ring().current.kid
    assert first in guarded.drasi.out
    assert guarded("keys", "rotate") == 0
    second = guarded.issuer.ring().current.kid
    assert guarded.drasi.out == f"{second} signs from now on; the keys before it verify for 24h more\n"
    assert guarded("keys", "list", "--output", "json") == 0
    listed = json.loads(guarded.drasi.out)
    assert [(key["kid"], key["state"]) for key in listed] == [(first, "retiring"), (second, "current")]
    assert "d" not in listed[0]["jwk"], "private parts stay private"
    assert guarded("keys", "rotate", "--overlap", "0s") == 0
    assert guarded("keys", "list") == 4, "the old token's key is retired at once"
    assert guarded("keys", "list", "--token", guarded.token("admin")) == 0
    assert guarded("keys", "list", "--token", guarded.token("resource:read", "resource:write", "secret:write")) == 4


def test_secrets_are_set_and_deleted_and_never_shown(guarded: Guarded) -> None:
    guarded.drasi.monkeypatch.setenv("DRASI_TOKEN", guarded.token("secret:write"))
    assert guarded("secret", "set", "harbour", "password", "pl4nted") == 0
    assert (guarded.drasi.out, guarded.drasi.err) == ("", "")
    assert guarded("secret", "set", "harbour", "user", stdin="a\nb\n") == 0
    kept = guarded.state / "secrets.json"
    assert json.loads(kept.read_text()) == {"harbour": {"password": "pl4nted", "user": "a\nb"}}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert guarded("secret", "set", "harbour", "empty", "") == 2
    assert "no value provided" in guarded.drasi.err
    assert guarded("secret", "delete", "harbour", "user") == 0
    assert guarded("secret", "delete", "harbour", "user") == 1
    assert guarded("secret", "delete", "harbour", "password") == 0
    assert json.loads(kept.read_text()) == {}
    assert guarded("secret", "set", "../etc", "password", "x") == 1
    assert guarded("secret", "set", "harbour", "password", "x", "--token", guarded.token("resource:write")) == 4
    assert "secret:write" in guarded.drasi.err


def test_what_waits_for_a_secret_starts_with_it(guarded: Guarded) -> None:
    guarded.drasi.monkeypatch.setenv("DRASI_TOKEN", guarded.token("admin"))
    token = "{kind: Secret, name: a, key: b}"
    spec = f"{{kind: Http, queries: {{ticks: null}}, properties: {{baseUrl: 'http://127.0.0.1:9', token: {token}}}}}"
    manifest = f"{{apiVersion: v1, kind: Reaction, name: r, spec: {spec}}}"
    assert guarded("apply", stdin=manifest) == 0, guarded.drasi.err

    def status() -> dict[str, Any]:
        assert guarded("describe", "reaction", "r", "--output", "json") == 0
        return dict(json.loads(guarded.drasi.out)["status"])

    assert "MissingSecret" in status()["messages"]
    assert guarded("secret", "set", "a", "b", "pl4nted") == 0
    assert status().get("messages") == {}
    assert [warning["code"] for warning in status()["warnings"]] == ["MissingQuery"]
    assert "pl4nted" not in guarded.drasi.out


def by_issuer(**changes: Any) -> str:
    now = int(time.time())
    said = {"iss": ISSUER, "sub": "ada@port.example", "aud": "drasi", "groups": ["operators"], "iat": now, "exp": now + 600}
    return jwt.encode({**said, **changes}, attacks.RSA, algorithm="RS256", headers={"kid": "k"})


PENDING = (400, {"error": "authorization_pending"})


def test_login_waits_for_the_person_and_keeps_the_token(guarded: Guarded) -> None:
    guarded.login.answers = [PENDING, PENDING, (200, {"access_token": "opaque", "id_token": by_issuer()})]
    assert guarded("login", "--issuer", ISSUER) == 0
    assert "Open https://login.example/activate and enter the code WDJB-MJHT" in guarded.drasi.out
    assert f"Logged in to {URL} as ada@port.example" in guarded.drasi.out
    assert guarded.login.asked[0] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "d-1",
        "client_id": "drasi",
    }
    kept = credentials._file()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert guarded("list", "querycontainer") == 0
    assert guarded("keys", "list") == 4, "operators are no administrators"
    assert guarded("logout") == 0
    assert guarded.drasi.out == f"Logged out of {URL}\n"
    assert guarded("list", "querycontainer") == 4
    assert guarded("logout") == 0
    assert guarded.drasi.out == f"Not logged in to {URL}\n"


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        ((400, {"error": "access_denied"}), 4, "the login was refused"),
        ((400, {"error": "expired_token"}), 4, "the login failed: expired_token"),
        ((500, {}), 4, "the login failed: 500"),
        ((200, {"access_token": "opaque"}), 1, "gave no token that says what it is"),
        ((200, {"access_token": by_issuer(aud="another")}), 4, "does not accept tokens of this issuer"),
    ],
)
def test_a_login_that_fails(guarded: Guarded, answer: tuple[int, dict[str, Any]], code: int, text: str) -> None:
    guarded.login.answers = [answer]
    assert guarded("login", "--issuer", ISSUER) == code
    assert text in guarded.drasi.err
    assert not credentials._file().exists()


def test_a_login_needs_an_issuer_that_is_one(guarded: Guarded) -> None:
    assert guarded("login") == 2
    assert guarded("login", "--issuer", "http://login.example") == 2
    assert "no https URL" in guarded.drasi.err
    guarded.login.says = "https://another.example"
    assert guarded("login", "--issuer", ISSUER) == 1
    assert "says that it is another issuer" in guarded.drasi.err


def test_a_login_that_has_ended_is_not_shown(guarded: Guarded) -> None:
    credentials.keep_login(URL, "ended", 1_000)
    credentials.keep_login("https://other.example", "lasts", None)
    clock: Callable[[], float] = lambda: 1_000.0  # noqa: E731
    assert credentials.login_of(URL, clock) is None
    assert credentials.login_of(URL, lambda: 999.0) == "ended"
    assert credentials.login_of("https://other.example", clock) == "lasts"


def test_a_slow_issuer_is_asked_less_often(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def noting(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr("drasi.cli.login.asyncio.sleep", noting)
    guarded.login.answers = [(400, {"error": "slow_down"}), PENDING, (200, {"access_token": by_issuer()})]
    assert guarded("login", "--issuer", ISSUER) == 0
    assert [seconds for seconds in waited if seconds in (0.0, 5.0)][-2:] == [5.0, 5.0]
