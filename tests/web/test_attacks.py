"""Attacks on every function, over HTTP: who has no right token gets 401 or 403, never 500, and learns nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from drasi.auth.issue import TokenIssuer
from drasi.auth.keys import KeyRing
from drasi.web.bearer import COOKIE
from tests.auth import attacks
from tests.web.guarded import FUNCTIONS, PUSHED, Guarded, by_google, everything_wrong, guarded

CHALLENGE = 'Bearer error="invalid_token"'


@pytest.fixture(scope="module", params=FUNCTIONS)
def function(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


def refused(function: Guarded, path: str, method: str = "GET", *, token: str | None = None, **headers: str) -> str:
    """Asks, and sees that it is refused as it must be; what went wrong, or nothing."""
    answer = function.ask(method, path, token, **headers)
    if answer.status_code != 401 or answer.headers.get("www-authenticate") != CHALLENGE:
        return f"{method} {path}: {answer.status_code} {answer.headers.get('www-authenticate')} {answer.text[:200]}"
    leaked = [
        word
        for word in ("Traceback", "jwt", "kid", "signature", "expired", "mallory", function.ring.installation)
        if word in answer.text
    ]
    return f"{method} {path} says {leaked}" if leaked else ""


def test_every_route_needs_a_token(function: Guarded) -> None:
    assert [wrong for method, path, _ in function.rows if (wrong := refused(function, path, method))] == []
    strange = ["/", "/nowhere/at/all", "/v1", "/v1/", "/healthz/", "/healthz/x", "//healthz", "/readyz/..", "/HEALTHZ", "/sign-in"]
    assert [wrong for path in strange if (wrong := refused(function, path))] == []
    assert [
        wrong for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH") if (wrong := refused(function, "/healthz", method))
    ] == []


def test_health_and_public_keys_need_none(function: Guarded) -> None:
    for path in ("/healthz", "/readyz"):
        answer = function.client.get(path)
        assert (answer.status_code, answer.content) == (200, b"")
    keys = function.client.get("/.well-known/jwks.json")
    if function.name == "management":
        assert [key["kid"] for key in keys.json()["keys"]] == [function.ring.current.kid]
        assert all(set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"} for key in keys.json()["keys"])
    else:
        assert keys.status_code == 404


def test_no_wrong_token_is_accepted(function: Guarded) -> None:
    method, path, _ = function.rows[0]
    pushed = PUSHED[function.name]
    found = []
    for name, token in everything_wrong(function.ring):
        for verb, where in ((method, path), ("POST", pushed)) if pushed else ((method, path),):
            wrong = refused(function, where, verb, token=token)
            if wrong:
                found.append(f"{name}: {wrong}")
            if len(token) > 20 and token in function.log.read_text():
                found.append(f"{name} is in the log")
    assert found == []
    log = function.log.read_text()
    assert "Traceback" not in log
    assert "500" not in log


def test_a_token_in_the_wrong_place_is_none(function: Guarded) -> None:
    token = function.token("admin")
    path = next(path for method, path, _ in function.rows if method == "GET")
    assert function.ask("GET", path, token).status_code not in (401, 403)
    for name in ("access_token", "token", "jwt", "authorization"):
        assert refused(function, f"{path}?{urlencode({name: token})}") == ""
    for header in (
        {"Authorization": token},
        {"Authorization": f"Basic {token}"},
        {"Authorization": f"Token {token}"},
        {"Authorization": f"Bearer {token} {token}"},
        {"Authorization": "Bearer"},
        {"Authorization": ""},
        {"X-Authorization": f"Bearer {token}"},
        {"Proxy-Authorization": f"Bearer {token}"},
        {"Cookie": f"token={token}"},
        {"Cookie": f"x{COOKIE}={token}"},
        {"Cookie": f"{COOKIE}=Bearer {token}"},
    ):
        assert refused(function, path, **header) == "", header
    two = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert function.client.get(path, headers=two).status_code == 401
    body = function.client.post("/", content=json.dumps({"access_token": token}), headers={"Content-Type": "application/json"})
    assert body.status_code == 401
    form = function.client.post("/", data={"access_token": token})
    assert form.status_code == 401
    log = function.log.read_text()
    assert token not in log
    assert "access_token=" not in log.replace("access_token=***", "")


def test_a_bad_header_is_not_made_good_by_a_cookie(function: Guarded) -> None:
    path = next(path for method, path, _ in function.rows if method == "GET")
    cookie = {"Cookie": f"theme=dark; {COOKIE}={function.token('admin')}"}
    assert function.ask("GET", path, **cookie).status_code not in (401, 403)
    assert refused(function, path, Authorization="Bearer nonsense", **cookie) == ""


def test_a_cookie_writes_nothing_from_a_foreign_page(function: Guarded) -> None:
    method, path, _ = next(row for row in function.rows if row[0] != "GET")
    headers = {"Cookie": f"{COOKIE}={function.token('admin')}", "Origin": "https://evil.example"}
    assert function.ask(method, path, **headers).status_code == 403


def test_each_route_asks_for_its_scope(function: Guarded) -> None:
    """The scope alone opens it; every other scope together does not."""
    every = {
        "resource:read",
        "resource:write",
        "secret:write",
        "query:debug",
        "query:read:berths",
        "query:read:cranes",
        "query:deliver:default",
        "reaction:deliver:board",
        "source:publish:harbour",
        "source:read:harbour",
        "admin",
    }
    found = []
    for method, path, scope in function.rows:
        if scope == "-":
            continue
        # Pages of a reaction are for whoever may read any of its queries.
        others = every - {scope, "admin"} - ({"query:read:cranes"} if function.name == "reaction" else set())
        answer = function.ask(method, path, function.token(*sorted(others)))
        if (
            answer.status_code != 403
            or answer.headers.get("www-authenticate") != f'Bearer error="insufficient_scope", scope="{scope}"'
        ):
            found.append(f"{method} {path} with the others: {answer.status_code} {answer.headers.get('www-authenticate')}")
    # What changes something last: the queries are read before they are gone.
    for method, path, scope in sorted(function.rows, key=lambda row: row[1] in ("/v1/keys/rotate", "/deprovision")):
        answer = function.ask(method, path, function.token("resource:read" if scope == "-" else scope))
        if answer.status_code in (401, 403, 500):
            found.append(f"{method} {path} with {scope}: {answer.status_code} {answer.headers.get('www-authenticate')}")
    assert found == []


@pytest.mark.parametrize(
    "scope", ["source:publish:other", "source:read:other", "query:read:other", "query:deliver:other", "reaction:deliver:other"]
)
def test_a_scope_for_another_name_opens_nothing(function: Guarded, scope: str) -> None:
    token = function.token(scope)
    found = [
        path for method, path, needed in function.rows if needed != "-" and function.ask(method, path, token).status_code != 403
    ]
    assert found == []


def test_unknown_paths_need_an_administrator(function: Guarded) -> None:
    token = function.token("resource:read", "query:debug")
    for method, path in (("POST", "/nowhere/at/all"), ("PATCH", "/queries/berths"), ("DELETE", "/berths")):
        answer = function.ask(method, path, token)
        assert answer.status_code == 403, (method, path)
    odd = function.ask("GET", "/queries/%22%0d%0aX-Evil:%20yes", token)
    assert odd.status_code in (403, 404)
    assert "x-evil" not in odd.headers


def test_numbers_of_thousands_of_digits_are_wrong_numbers(function: Guarded) -> None:
    token, digits = function.token("admin"), "9" * 5_000
    paths = {
        "query": ["/queries/berths/events?after={}", "/queries/berths/events?limit={}"],
        "reaction": ["/api/queries/berths?after={}"],
        "source": ["/supports-stream?limit={}"],
        "management": [
            "/v1/sources?limit={}",
            "/v1/continuousQueries/berths/ready-wait?timeout={}",
            "/v1/continuousQueries/berths/events?after={}",
            "/v1/continuousQueries/berths/watch?after={}",
        ],
    }[function.name]
    answers = {path: function.ask("GET", path.format(digits), token).status_code for path in paths}
    assert {path: status for path, status in answers.items() if status == 500} == {}
    sse = {"Accept": "text/event-stream", "Last-Event-ID": digits}
    assert function.ask("GET", "/queries/berths/events", token, **sse).status_code != 500
    assert function.ask("PUT", "/v1/sources/berths", token, **{"If-Match": f'"{digits}"'}).status_code != 500
    assert "Traceback" not in function.log.read_text()


def test_a_body_that_is_nested_too_deeply_is_a_wrong_body(function: Guarded) -> None:
    headers = {"Authorization": f"Bearer {function.token('admin')}", "Content-Type": "application/json"}
    paths = {
        "source": ["/events", "/acquire-stream", "/subscription"],
        "query": ["/changes", "/control"],
        "reaction": ["/results", "/"],
        "management": ["/v1/tokens", "/v1/apply"],
    }[function.name]
    for path in paths:
        for body in (b'{"a":' * 100_000, b'{"x":' + b"[" * 100_000):
            assert function.client.post(path, content=body, headers=headers).status_code == 400, path
    assert "Traceback" not in function.log.read_text()


def test_google_pushes_as_the_account_of_the_subscription(function: Guarded) -> None:
    path = PUSHED[function.name]
    if not path:  # nobody pushes to management
        assert refused(function, "/v1/apply", "POST", token=by_google()) == ""
        return
    assert function.ask("POST", path, by_google()).status_code not in (401, 403, 500)
    others = [row for row in function.rows if row[0] == "GET"]
    assert {function.ask(method, path, by_google()).status_code for method, path, _ in others} == {403}


def test_a_retired_key_and_a_new_one(function: Guarded) -> None:
    """Keys are rotated in the file that the functions share; nobody is started anew."""
    method, path, _ = function.rows[0]
    before = function.token("admin")
    kept = function.ring
    assert function.ask(method, path, before).status_code not in (401, 403)
    function.issuer.rotate(3600)
    assert function.ask(method, path, before).status_code not in (401, 403)
    assert function.ask(method, path, function.token("admin")).status_code not in (401, 403)
    function.issuer.rotate(0)
    retired = attacks.signed(kept, attacks.claims(kept, int(time.time()), sub="not seen before"))
    assert refused(function, path, method, token=retired) == ""
    assert function.ask(method, path, function.token("admin")).status_code not in (401, 403)


def test_an_installation_of_another_name_is_another(function: Guarded) -> None:
    other = TokenIssuer(_Kept(KeyRing(f"{function.ring.installation}x", function.ring.keys)))
    method, path, _ = function.rows[0]
    assert refused(function, path, method, token=other.issue("ada", ["admin"]).text) == ""


class _Kept:
    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def load(self) -> KeyRing:
        return self._ring

    def change(self, change: object) -> KeyRing:
        raise AssertionError("nothing changes")
