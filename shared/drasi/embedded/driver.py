"""``python -m drasi.embedded.driver EXAMPLE STATE``: runs an example's ``drive`` until standard input ends."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from drasi.embedded.example import load


def main(file: str, state: str) -> None:
    """Runs ``drive``; the process ends with whoever holds the other end of standard input."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    load(Path(file)).drive(Path(state))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:3])
