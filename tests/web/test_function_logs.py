"""A function that cannot start says so in its log: without local variables, which hold secrets and rows."""

from __future__ import annotations

import os
from pathlib import Path

import httpx

from drasi.auth.issue import TokenIssuer
from drasi.auth.key_file import KeyFile
from tests.embedded.waiting import until
from tests.web.test_functions import _free_port, _served

MANIFEST = """
apiVersion: v1
kind: Reaction
name: board
spec:
  kind: StoredProc
  queries: {berths: null}
  properties:
    databaseDbname: {kind: Secret, name: port, key: database}
    databaseClient: mysql
    databasePassword: {kind: Secret, name: port, key: password}
"""


def test_a_start_that_fails_shows_no_secret(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text(MANIFEST)
    environment = {
        **os.environ,
        "DRASI_STATE": str(tmp_path / "state"),
        "DRASI_MANIFEST": str(tmp_path / "manifest.yaml"),
        "DRASI_KEYS": str(tmp_path / "keys.json"),
        "DRASI_INSECURE_NO_AUTH": "false",
        "DRASI_CONTAINER_URL": "http://127.0.0.1:9",
        "DRASI_SECRET_PORT_PASSWORD": "pl4nted-password",
        "DRASI_SECRET_PORT_DATABASE": "pl4nted-database",
    }
    token = TokenIssuer(KeyFile(tmp_path / "keys.json")).issue("ada", ["admin"]).text
    port, log = _free_port(), tmp_path / "log"
    with _served("reaction", port, environment, log):

        def answered() -> bool:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/status", headers={"Authorization": f"Bearer {token}"})
            except httpx.TransportError:
                return False
            assert answer.status_code == 503
            assert "mysql is not built yet" in answer.text
            assert "pl4nted" not in answer.text
            return True

        until(answered, "it answers", 30)
    text = log.read_text()
    assert "start-up failed" in text
    assert "Traceback" in text
    assert "pl4nted" not in text
    assert "databasePassword" not in text, "local variables are not shown"
