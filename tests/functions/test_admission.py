"""What a function answers before it can check tokens, and when it is told to check none."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from drasi.functions import applications

EMULATORS = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1", "DRASI_PROJECT": "port"}


async def ask(app: ASGIApp, path: str = "/healthz", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize("function", ["query", "source", "reaction", "management"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"DRASI_INSECURE_NO_AUTH": "true"},
        {"DRASI_OIDC_ISSUER": "https://people.example", "DRASI_OIDC_ROLES": "[secret-word"},
        {"DRASI_JWKS_URL": "https://secret-word.example/keys"},
    ],
)
async def test_a_cluster_that_cannot_check_tokens_answers_nobody(function: str, wrong: dict[str, str], tmp_path: Path) -> None:
    """Behind a sidecar everything comes to a loopback address, so there is no such thing as only loopback."""
    variables = {"DRASI_PROFILE": "cluster", "DRASI_PROJECT": "port", "DRASI_STATE": str(tmp_path), **wrong}
    app: ASGIApp = getattr(applications, function)({"DRASI_INSECURE_NO_AUTH": "false", **variables})
    for path in ("/healthz", "/v1/status"):
        answer = await ask(app, path)
        assert answer.status_code == 503
        assert "secret-word" not in answer.text
        assert "DRASI_" not in answer.text


@pytest.mark.parametrize(
    ("profile", "function"),
    [(profile, function) for profile in ("embedded", "emulator") for function in ("query", "source", "reaction")]
    + [("emulator", "management")],
)
async def test_without_tokens_a_name_that_was_pointed_here_is_refused(profile: str, function: str, tmp_path: Path) -> None:
    """A page of a name that resolves to 127.0.0.1 is, to the browser, a page of this function."""
    variables = {"DRASI_PROFILE": profile, "DRASI_STATE": str(tmp_path), "DRASI_INSECURE_NO_AUTH": "true", **EMULATORS}
    app: ASGIApp = getattr(applications, function)(variables)
    answer = await ask(app, "/v1/status", Host="rebound.example")
    assert answer.status_code == 403
    assert "rebound.example" in answer.text
