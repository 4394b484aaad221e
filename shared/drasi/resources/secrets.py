"""Where secrets are found in the embedded and emulator profiles (resources.md section 2.2)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Protocol

from drasi.errors import DrasiError


class Secrets(Protocol):
    def get(self, name: str, key: str) -> str | None:
        """The value of ``key`` in the secret ``name``, or None."""
        ...


class SecretsUnreadable(DrasiError):
    code = "SecretsUnreadable"


class LocalSecrets:
    """The environment (``DRASI_SECRET_{NAME}_{KEY}``), then ``secrets.json`` of the state directory: ``{name: {key: value}}``."""

    def __init__(self, state: Path | None = None) -> None:
        self._file = state / "secrets.json" if state is not None else None

    def get(self, name: str, key: str) -> str | None:
        found = os.environ.get(variable_name(name, key))
        if found is not None or self._file is None:
            return found
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SecretsUnreadable(f"cannot read {self._file}: {error}", hint="write it with 'drasi secret set'") from error
        value = content.get(name, {}).get(key) if isinstance(content, dict) else None
        return None if value is None else str(value)


def variable_name(name: str, key: str) -> str:
    """The environment variable that holds a secret's key."""
    return re.sub(r"[^A-Z0-9]", "_", f"DRASI_SECRET_{name}_{key}".upper())
