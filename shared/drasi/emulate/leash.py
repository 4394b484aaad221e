"""``python -m drasi.emulate.leash COMMAND…``: runs a command, and ends it with all its children when standard input ends.

Standard input is a pipe of whoever started this: it ends with them, also when they are killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence


def main(command: Sequence[str]) -> int:
    """Runs it; the exit code is that of the command."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 -- what we were told to run
    threading.Thread(target=_end_with_input, args=(process.pid,), daemon=True).start()
    return process.wait()


def _end_with_input(group: int) -> None:
    # Not by sys.stdin: its lock, held by this thread, would abort the interpreter's end.
    os.read(0, 1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
