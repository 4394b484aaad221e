"""Which token a command shows: the one it is given, that of a login, or that of the system on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from drasi.cli.options import CommandFailed, Session
from drasi.private_file import write_private

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def token_for(session: Session) -> str | None:
    """The token to show to the session's URL; None: there is none."""
    if session.token:
        return session.token
    return login_of(session.url) or _of_state(session.url, session.state)


def login_of(url: str, now: Callable[[], float] = time.time) -> str | None:
    """The token of a login at ``url`` that has not ended."""
    login = _logins().get(url)
    if not isinstance(login, dict) or not isinstance(login.get("token"), str):
        return None
    expires = login.get("expires")
    return None if isinstance(expires, int | float) and expires <= now() else login["token"]


def keep_login(url: str, token: str, expires: int | None) -> None:
    """Remembers the token of a login, in a file that its owner alone reads."""
    _write({**_logins(), url: {"token": token, "expires": expires}})


def forget_login(url: str) -> bool:
    """Forgets it; whether there was one."""
    logins = _logins()
    if url not in logins:
        return False
    del logins[url]
    _write(logins)
    return True


def _of_state(url: str, state: Path) -> str | None:
    """The token that ``drasi run`` keeps in its state directory, for the port that it says it listens on and no other."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if parts.hostname not in LOOPBACK:
            return None
        if json.loads((state / "drasi.lock").read_text())["port"] != port or not _is_locked(state / "drasi.lock"):
            return None
        return (state / "token").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_locked(file: Path) -> bool:
    """Whether the process that wrote its port there lives. When it has ended anybody may listen there, and wait for the token."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _file() -> Path:
    return Path(os.environ.get("DRASI_HOME") or Path.home() / ".drasi") / "credentials.json"


def _logins() -> dict[str, Any]:
    try:
        content = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(logins: dict[str, Any]) -> None:
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, json.dumps(logins, indent=1).encode())
    except OSError as error:
        raise CommandFailed(f"cannot write {file}: {error.strerror}", hint="set DRASI_HOME to a directory of yours") from error
