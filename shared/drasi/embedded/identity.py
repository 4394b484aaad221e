"""Who the embedded system is: its own signing key, and the token that lets its owner in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from drasi.auth import scopes
from drasi.auth.issue import LONGEST_S, TokenIssuer
from drasi.auth.verify import Verifier
from drasi.private_file import write_private
from drasi.statefile import StateUnavailable
from drasi.web.access import KEYS_FILE, Access

TOKEN_FILE: Final = "token"  # noqa: S105 -- a file's name
WHERE: Final = (
    "Open the address that 'drasi run' printed in its terminal, or paste the content of the file 'token' in its state directory "
    "(.drasi, unless --state named another)."
)
_RENEWED_AFTER_S = LONGEST_S / 2

_log = structlog.get_logger("drasi.embedded")


class Identity:
    """Keys and token of a state directory, both readable by its owner alone.

    Args:
        directory: The state directory.
        variables: The environment: an OIDC issuer for people (``drasi.web.access``).
    """

    def __init__(self, directory: Path, variables: Mapping[str, str] | None = None) -> None:
        self._file = directory / TOKEN_FILE
        try:
            # It signs, so it has the keys themselves, wherever public ones may be.
            own = {name: value for name, value in (variables or os.environ).items() if name != "DRASI_JWKS_URL"}
            access = Access(own, default_keys=directory / KEYS_FILE)
        except OSError as error:
            raise _unwritable(directory / KEYS_FILE, error) from error
        assert access.issuer is not None
        self.issuer: TokenIssuer = access.issuer
        self.verifier: Verifier = access.verifier

    def write_token(self) -> str:
        """Writes a new token that may do everything, and returns it.

        Raises:
            StateUnavailable
        """
        token = self.issuer.issue("owner", [scopes.ADMIN], ttl_s=LONGEST_S)
        try:
            write_private(self._file, token.text.encode() + b"\n")
        except OSError as error:
            raise _unwritable(self._file, error) from error
        return token.text

    def rotated(self) -> None:
        """The keys have changed: the file gets a token of the new one, and tokens of keys retired at once are refused at once."""
        self.verifier.forget()
        self.write_token()

    async def keep_token(self) -> None:
        """Renews the token in the file before it ends, for ever."""
        while True:
            await asyncio.sleep(_RENEWED_AFTER_S)
            try:
                self.write_token()
            except StateUnavailable as error:
                _log.warning("the token cannot be renewed", error=error.message)


def _unwritable(file: Path, error: OSError) -> StateUnavailable:
    return StateUnavailable(f"cannot write {file}: {error.strerror}", hint="see that the state directory may be written")


def read_token(directory: Path) -> str | None:
    """The token that a system running on this directory has written, or None."""
    try:
        return (directory / TOKEN_FILE).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
