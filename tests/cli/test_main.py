"""The program itself: help, usage, completion, what it imports, and an installation that is not there."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drasi.cli.main import main
from drasi.web.access import AUTH
from tests.cli.conftest import Drasi

VERBS = [
    *("run", "apply", "delete", "list", "describe", "wait", "start", "stop", "errors"),
    *("watch", "rows", "events", "explain", "validate", "version", "completion", "help"),
]


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_names_every_verb(drasi: Drasi, arguments: list[str]) -> None:
    assert drasi(*arguments) == 0
    assert all(f"  {verb} " in drasi.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(drasi: Drasi, verb: str) -> None:
    assert drasi(verb, "--help") == 0
    assert drasi.out.startswith(f"Usage: drasi {verb}")
    assert drasi("help", verb) == 0


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("completion", "help")])
def test_every_verb_takes_what_all_verbs_take(drasi: Drasi, verb: str) -> None:
    drasi(verb, "--help")
    assert all(option in drasi.out for option in ("--namespace", "--output", "--quiet", "--no-color", "--url", "--token"))


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["--url", "http://127.0.0.1:1", "list", "source"], "http://127.0.0.1:1"),
        (["--url", "http://127.0.0.1:1", "keys", "list"], "http://127.0.0.1:1"),
        (["--url", "http://127.0.0.1:1", "list", "source", "--url", "http://127.0.0.1:2"], "http://127.0.0.1:2"),
    ],
)
def test_what_all_verbs_take_may_stand_before_the_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], asked: str
) -> None:
    monkeypatch.setenv("DRASI_URL", "http://127.0.0.1:3")
    assert main(arguments) == 1
    assert asked in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["sail"], ["list"], ["rows", "q", "--format", "xml"], ["apply", "--sail"], ["wait", "-t", "301"]]
)
def test_wrong_usage(drasi: Drasi, arguments: list[str]) -> None:
    assert drasi(*arguments) == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion(drasi: Drasi, shell: str) -> None:
    assert drasi("completion", shell) == 0
    assert "_DRASI_COMPLETE" in drasi.out


def test_nothing_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert main(["list", "source", "--url", url]) == 1
        assert capsys.readouterr().err == (
            f"Error: nothing listens at {url}; start it with 'drasi run DIR', or say where it is with --url or DRASI_URL\n"
        )
        assert main(["version", "--url", url]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("url", ["", "foo", "http://[::1", "http://127.0.0.1:99999", "ftp://127.0.0.1"])
def test_what_is_no_address(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert main(["list", "source", "--url", url]) == 2
    assert capsys.readouterr().err == f"Error: '{url}' is no address of an installation; write it like http://127.0.0.1:8080\n"


def test_something_else_listens(drasi: Drasi) -> None:
    import httpx
    from starlette.responses import PlainTextResponse

    from drasi.cli.options import transport

    token = transport.set(httpx.ASGITransport(PlainTextResponse("hello")))
    try:
        assert drasi("list", "source", "--url", "http://localhost:1234") == 1
    finally:
        transport.reset(token)
    assert "what listens at http://localhost:1234 is no Drasi; say where it is with --url" in drasi.err


def test_what_is_not_allowed_is_exit_code_4(drasi: Drasi) -> None:
    import httpx

    from drasi.cli.options import transport
    from drasi.web.guard import Guard

    token = transport.set(httpx.ASGITransport(Guard(drasi.managed.app)))
    try:
        assert drasi("list", "source", "--url", "http://drasi.example.org") == 4
    finally:
        transport.reset(token)
    assert "requests for host 'drasi.example.org' are refused" in drasi.err


def test_help_imports_nothing_that_a_verb_needs() -> None:
    code = (
        "import sys\nfrom drasi.cli.main import main\nmain(['--help'])\n"
        "heavy = {'httpx', 'ruamel', 'starlette', 'uvicorn', 'rich', 'drasi.resources'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)\nsys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_run_hands_everything_to_the_embedded_system(drasi: Drasi, tmp_path: Path) -> None:
    given: dict[str, Any] = {}

    async def serve(directories: list[Path], *, echo: Callable[[str], None], **options: Any) -> int:
        given.update(options, directories=directories)
        echo("Drasi runs on http://127.0.0.1:1")
        echo("Error: Source/clock is wrong")
        return 1

    drasi.monkeypatch.setattr("drasi.embedded.serve", serve)
    state = tmp_path / "state"
    assert drasi("run", str(tmp_path), "--port", "0", "--state", str(state), "--reset", "--watch") == 1
    assert given == {
        "directories": [tmp_path],
        "port": 0,
        "host": "127.0.0.1",
        "auth": AUTH,
        "state": state,
        "reset": True,
        "watch": True,
    }
    assert (drasi.out, drasi.err) == ("Drasi runs on http://127.0.0.1:1\n", "Error: Source/clock is wrong\n")
    drasi("run", str(tmp_path), "--quiet")
    assert (drasi.out, drasi.err) == ("", "Error: Source/clock is wrong\n")
    assert given["state"] == Path(".drasi")
    drasi("run", str(tmp_path), "--insecure-no-auth", "--host", "127.0.0.2")
    assert (given["auth"], given["host"]) == (False, "127.0.0.2")
    drasi.monkeypatch.setenv("DRASI_STATE", str(state))
    drasi("run", str(tmp_path))
    assert given["state"] == state
    assert drasi("run", str(tmp_path / "nowhere")) == 2


def test_python_m_drasi() -> None:
    done = subprocess.run([sys.executable, "-m", "drasi", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Usage: drasi" in done.stdout
