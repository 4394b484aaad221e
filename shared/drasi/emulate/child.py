"""One process that is started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from drasi.emulate.served import READY

Say = Callable[[str, str], None]
"""Takes a line of a child: its name, and the text."""

_PAUSES_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
_STEADY_S: Final = 30.0
"""Who has lived so long and dies is started again at once."""
_STOP_S: Final = 5.0


class Child:
    """A process with a name, whose lines are handed on.

    Args:
        name: For people.
        command: What to run. It ends when its standard input ends.
        environment: Of the process.
        say: Takes its lines, and what is said of it.
        descriptors: Sockets that it inherits.

    Attributes:
        starts: How often it was started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        say: Say,
        *,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.starts = 0
        self._command = list(command)
        self._environment = dict(environment)
        self._say = say
        self._descriptors = tuple(descriptors)
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the process; None: it does not run at this moment."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Starts it, and keeps starting it."""
        await self._spawn()
        self._task = asyncio.create_task(self._keep(), name=f"child {self.name}")

    async def ready(self) -> None:
        """Returns when it has said that it is ready."""
        await self._ready.wait()

    def kill(self) -> None:
        """Ends the process as a crash does."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Ends it for good."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _keep(self) -> None:
        failures = 0
        while True:
            assert self._process is not None
            began = time.monotonic()
            await self._lines(self._process)
            code = await self._process.wait()
            self._ready.clear()
            failures = 1 if time.monotonic() - began > _STEADY_S else failures + 1
            pause = _PAUSES_S[min(failures, len(_PAUSES_S)) - 1]
            when = "at once" if not pause else f"in {pause:g} s"
            self._say(self.name, f"died ({_why(code)}); it is started again {when}")
            await asyncio.sleep(pause)
            await self._spawn()

    async def _spawn(self) -> None:
        self.starts += 1
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,  # never written: its end tells the child that we are gone
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=self._descriptors,
            start_new_session=True,  # Ctrl-C is for us; children are stopped by us
        )

    async def _lines(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                # Longer than a line may be; the rest of it follows.
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if text == READY:
                self._ready.set()
            elif text:
                self._say(self.name, text)


def python(module: str, *arguments: str) -> list[str]:
    """A command that runs a module of ours."""
    return [sys.executable, "-m", module, *arguments]


def _why(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
