"""``drasi run`` with tokens: what a person and the command line find, and what is refused without them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import httpx

from tests.embedded.test_serve import client_of, directory_of, log_of, run
from tests.embedded.waiting import until


def _cli(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DRASI_")} | variables
    command = [sys.executable, "-m", "drasi", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=60)


def test_run_prints_the_address_and_the_command_line_finds_the_token(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with run(directory, state) as process, client_of(state, process, token="") as client:
        until(lambda: "Ctrl-C" in log_of(state).read_text(), "it greets")
        url = str(client.base_url).rstrip("/")
        token = (state / "token").read_text().strip()
        assert f"{url}/sign-in#token={token}" in log_of(state).read_text()
        for name in ("token", "keys.json"):
            assert stat.S_IMODE((state / name).stat().st_mode) == 0o600
        assert client.get("/v1/status").status_code == 401
        page = client.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 401
        assert "Open the address that" in page.text
        assert str(state) not in page.text
        home = {"DRASI_HOME": str(tmp_path / "home")}
        listed = _cli("list", "query", "--url", url, "--state", str(state), cwd=tmp_path, **home)
        assert (listed.returncode, "cheap" in listed.stdout) == (0, True), listed.stderr
        listed = _cli("list", "query", "--url", url, cwd=tmp_path, DRASI_STATE="state", **home)
        assert listed.returncode == 0, listed.stderr
        refused = _cli("list", "query", "--url", url, cwd=tmp_path, **home)
        assert refused.returncode == 4
        assert "--state" in refused.stderr


def test_without_tokens_nothing_but_loopback_is_listened_on(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with run(directory, state, "--insecure-no-auth", "--host", "0.0.0.0") as process:
        process.wait(30)
        output = log_of(state).read_text()
    assert process.returncode == 1
    assert "without tokens nothing is served on 0.0.0.0" in output
    assert "--insecure-no-auth" in output
    with run(directory, state, "--insecure-no-auth", "--host", "127.0.0.2") as process:
        until(lambda: "Ctrl-C" in log_of(state).read_text(), "it greets", 30)
        output = log_of(state).read_text()
        assert "http://127.0.0.2:" in output
        assert "tokens     are not checked" in output
        port = json.loads((state / "drasi.lock").read_text())["port"]
        assert httpx.get(f"http://127.0.0.2:{port}/v1/status").status_code == 200


def test_with_tokens_it_may_be_reached_from_elsewhere(tmp_path: Path) -> None:
    directory, state = directory_of(tmp_path), tmp_path / "state"
    with run(directory, state, "--host", "0.0.0.0") as process, client_of(state, process, token="") as client:
        elsewhere = {"Host": "drasi.port.example"}
        assert client.get("/v1/status", headers=elsewhere).status_code == 401
        token = (state / "token").read_text().strip()
        answer = client.get("/v1/status", headers={**elsewhere, "Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
