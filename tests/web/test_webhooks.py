"""A source that looks at signatures instead of tokens: whoever signs gets in there, and nowhere else, and nobody else does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.embedded.waiting import until
from tests.web.guarded import Guarded, guarded

SECRET = b"0123456789abcdef01234567"
SIGNING = "{auth: standard-webhooks, secret: whsec_" + base64.b64encode(SECRET).decode() + "}"
MANIFEST = "{apiVersion: v1, kind: Source, name: harbour, spec: {kind: Debezium, properties: %s}}"
REFUSED = (401, 403)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded("source", tmp_path_factory.mktemp("webhooks"), manifest=MANIFEST % SIGNING) as found:
        yield found


def event(number: int) -> bytes:
    origin = {"connector": "postgresql", "schema": "public", "table": "ship", "lsn": number, "ts_ms": 1_772_352_930_000}
    return json.dumps({"before": None, "after": {"id": number}, "source": origin, "op": "c"}).encode()


def signed(body: bytes, *, secret: bytes = SECRET, identity: str = "m1", at: float | None = None) -> dict[str, str]:
    instant = int(time.time() if at is None else at)
    digest = hmac.new(secret, f"{identity}.{instant}.".encode() + body, hashlib.sha256).digest()
    value = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": identity, "webhook-timestamp": str(instant), "webhook-signature": value}


def post(source: Guarded, body: bytes, headers: dict[str, str], path: str = "/") -> int:
    answer = source.client.post(path, content=body, headers={"Content-Type": "application/json", **headers})
    if answer.status_code in REFUSED:
        assert answer.headers["www-authenticate"]
        assert base64.b64encode(SECRET).decode() not in answer.text
    return answer.status_code


def published(source: Guarded) -> int:
    answer = source.client.get("/status", headers={"Authorization": f"Bearer {source.token('admin')}"})
    return int(answer.json()["publishedTotal"])


@pytest.mark.parametrize("path", ["/", "/sources/harbour/"])
def test_a_signature_is_enough(source: Guarded, path: str) -> None:
    before = published(source)
    body = event(10)
    assert post(source, body, signed(body), path) == 204
    assert published(source) == before + 1


def test_whoever_has_a_token_needs_the_signature_all_the_same(source: Guarded) -> None:
    body = event(20)
    token = {"Authorization": f"Bearer {source.token('admin')}"}
    assert post(source, body, token) == 401
    assert post(source, body, {**token, **signed(body)}) == 204
    assert post(source, body, {"Authorization": "Bearer rubbish", **signed(body)}) == 401


def wrong(body: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    good = signed(body)
    now = time.time()
    yield "none", {}
    yield "another secret", signed(body, secret=b"another secret of length")
    yield "no secret", signed(body, secret=b"")
    yield "another body", signed(body + b" ")
    yield "old", signed(body, at=now - 301)
    yield "of the future", signed(body, at=now + 320)
    yield "an old one with a new time", {**signed(body, at=now - 3600), "webhook-timestamp": good["webhook-timestamp"]}
    yield "of another message", {**good, "webhook-id": "m2"}
    yield "no id", {name: value for name, value in good.items() if name != "webhook-id"}
    yield "no time", {name: value for name, value in good.items() if name != "webhook-timestamp"}
    yield "no number for a time", {**good, "webhook-timestamp": "soon"}
    yield "a time of another script", {**good, "webhook-timestamp": "1" * 400}
    yield "empty", {**good, "webhook-signature": ""}
    yield "another version", {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v0,")}
    for name, instant in (("huge", "9" * 5_000), ("negative", "-1"), ("no", "NaN")):
        yield f"a {name} time", {**good, "webhook-timestamp": instant}
    yield "no base64", {**good, "webhook-signature": "v1,%%%"}
    yield "many wrong ones", {**good, "webhook-signature": " ".join(["v1,AAAA"] * 500)}


def test_every_wrong_signature_is_refused(source: Guarded) -> None:
    before = published(source)
    body = event(30)
    answers = {name: post(source, body, headers) for name, headers in wrong(body)}
    assert answers == dict.fromkeys(answers, 401)
    assert len(answers) == 19
    assert published(source) == before


def test_a_message_that_is_sent_again_says_nothing_new(source: Guarded) -> None:
    """The sink sends again what was not answered; a copy of the request, as long as it is fresh, is the same: one position."""
    body = event(40)
    headers = signed(body, identity="m40")
    assert [post(source, body, headers) for _ in range(3)] == [204] * 3
    other = event(41)
    assert post(source, other, headers) == 401, "its signature is good for its own body alone"


@pytest.mark.parametrize("sign", [True, False])
def test_a_body_beyond_all_bounds_is_refused(source: Guarded, sign: bool) -> None:
    body = b" " * 8_000_001
    headers = signed(body) if sign else {"webhook-signature": "v1,AAAA"}
    assert post(source, body, headers) == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("POST", "/acquire-stream"),
        ("POST", "/deprovision"),
        ("POST", "/subscription"),
        ("POST", "/sign-in"),
        ("POST", "/sources/harbour"),
        ("POST", "/sources/other/"),
        ("POST", "/sources/harbour/acquire-stream"),
    ],
)
def test_a_signature_opens_nothing_else(source: Guarded, method: str, path: str) -> None:
    headers: dict[str, Any] = signed(b"{}")
    answer = source.client.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("properties", ["{}", "{auth: jwt}"])
def test_where_tokens_are_asked_for_a_signature_is_nothing(tmp_path: Any, properties: str) -> None:
    with guarded("source", tmp_path, manifest=MANIFEST % properties) as jwt_only:
        body = event(50)
        assert post(jwt_only, body, signed(body)) == 401
        until(
            lambda: post(jwt_only, body, {"Authorization": f"Bearer {jwt_only.token('source:publish:harbour')}"}) == 204, "a token"
        )
