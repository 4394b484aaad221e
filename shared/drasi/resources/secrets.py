"""Where secrets are found in the embedded and emulator profiles (resources.md section 2.2)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from drasi.errors import DrasiError
from drasi.private_file import write_private


class Secrets(Protocol):
    def get(self, name: str, key: str) -> str | None:
        """The value of ``key`` in the secret ``name``, or None."""
        ...


class SecretsUnreadable(DrasiError):
    code = "SecretsUnreadable"


class SecretsReadOnly(DrasiError):
    """The secrets of this installation are kept elsewhere."""

    code = "SecretsReadOnly"


class WritableSecrets(Secrets, Protocol):
    def set(self, name: str, key: str, value: str) -> None:
        """Keeps a value, durably; other keys of the secret stay.

        Raises:
            SecretsReadOnly, SecretsUnreadable: As they say.
        """
        ...

    def delete(self, name: str, key: str) -> bool:
        """Removes a key, and the secret with its last one; whether it was there."""
        ...


class LocalSecrets:
    """The environment (``DRASI_SECRET_{NAME}_{KEY}``), then ``secrets.json`` of the state directory: ``{name: {key: value}}``."""

    def __init__(self, state: Path | None = None) -> None:
        self._file = state / "secrets.json" if state is not None else None

    def get(self, name: str, key: str) -> str | None:
        found = os.environ.get(variable_name(name, key))
        if found is not None or self._file is None:
            return found
        value = self._read().get(name, {}).get(key)
        return None if value is None else str(value)

    def set(self, name: str, key: str, value: str) -> None:
        content = self._read()
        content.setdefault(name, {})[key] = value
        self._write(content)

    def delete(self, name: str, key: str) -> bool:
        content = self._read()
        if key not in content.get(name, {}):
            return False
        del content[name][key]
        if not content[name]:
            del content[name]
        self._write(content)
        return True

    def _read(self) -> dict[str, dict[str, Any]]:
        if self._file is None:
            return {}
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            # Of a broken file its place is said and nothing else: the text around the fault is a secret.
            what = error.strerror if isinstance(error, OSError) else "it is not JSON"
            raise SecretsUnreadable(f"cannot read {self._file}: {what}", hint="write it with 'drasi secret set'") from None
        if not isinstance(content, dict):
            return {}
        return {name: keys for name, keys in content.items() if isinstance(keys, dict)}

    def _write(self, content: Mapping[str, Mapping[str, Any]]) -> None:
        if self._file is None:
            raise SecretsReadOnly(
                "this installation keeps its secrets in the environment alone", hint="set DRASI_SECRET_{NAME}_{KEY}"
            )
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_private(self._file, json.dumps(content, indent=1).encode())


def variable_name(name: str, key: str) -> str:
    """The environment variable that holds a secret's key."""
    return re.sub(r"[^A-Z0-9]", "_", f"DRASI_SECRET_{name}_{key}".upper())
