"""What a directory of manifests may bring along: ``example.py`` and ``page/``.

``drasi run DIR`` applies the manifests of DIR. A directory that is a whole example also has

* ``page/``: static files served at ``/`` (``index.html`` first), in place of the console;
* ``example.py``, whose functions are all optional and get the state directory:

  ``setup(state: Path) -> None`` makes what the sources watch, before they start (for instance a database);
  ``reset(state: Path) -> None`` removes that again (``--reset``);
  ``drive(state: Path) -> None`` plays the world that changes it, for ever, in a process of its own;
  ``routes(state: Path) -> Sequence[BaseRoute]`` are HTTP routes below ``/panel``, for controls of the page.

The file is code and runs with the rights of the user: run only directories that you trust.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from starlette.routing import BaseRoute

from drasi.errors import DrasiError

FILE = "example.py"
PAGE = "page"
_STOP_S = 3.0


class ExampleFailed(DrasiError):
    """``example.py`` cannot be loaded, or its ``setup`` failed."""

    code: ClassVar[str] = "ExampleFailed"


@dataclass(frozen=True, slots=True)
class Example:
    """The companion of one directory; any part may be absent."""

    file: Path
    page: Path | None
    module: ModuleType | None

    async def setup(self, state: Path) -> None:
        """Runs ``setup``.

        Raises:
            ExampleFailed: It raised.
        """
        await self._run("setup", state)

    async def reset(self, state: Path) -> None:
        """Runs ``reset``.

        Raises:
            ExampleFailed: It raised.
        """
        await self._run("reset", state)

    def routes(self, state: Path) -> Sequence[BaseRoute]:
        function = self._function("routes")
        return list(function(state)) if function else []

    @property
    def drives(self) -> bool:
        return self._function("drive") is not None

    async def _run(self, name: str, state: Path) -> None:
        function = self._function(name)
        if function is None:
            return
        try:
            await asyncio.to_thread(function, state)
        except Exception as error:
            raise ExampleFailed(f"{self.file}: {name} failed: {type(error).__name__}: {error}", hint="correct the file") from error

    def _function(self, name: str) -> Callable[[Path], Any] | None:
        function = getattr(self.module, name, None)
        return function if callable(function) else None


def find(directory: Path) -> Example | None:
    """The companion of ``directory``, or None if it has none.

    Raises:
        ExampleFailed: ``example.py`` cannot be imported.
    """
    file, page = directory / FILE, directory / PAGE
    if not file.is_file() and not (page / "index.html").is_file():
        return None
    return Example(file, page if (page / "index.html").is_file() else None, load(file) if file.is_file() else None)


def load(file: Path) -> ModuleType:
    """Imports the file under a name of its own.

    Raises:
        ExampleFailed: It cannot be imported.
    """
    name = f"drasi_example_{file.resolve().parent.name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ExampleFailed(f"{file} cannot be imported", hint="is it a Python file?")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses of the file look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ExampleFailed(
            f"{file}: {type(error).__name__}: {error}", hint="correct it, or move it away to run the manifests alone"
        ) from error
    return module


class Driver:
    """``drive`` in a process of its own, which ends with this one, also when this one is killed."""

    def __init__(self, example: Example, state: Path) -> None:
        self._example = example
        self._state = state
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "drasi.embedded.driver",
            str(self._example.file),
            str(self._state),
            stdin=asyncio.subprocess.PIPE,  # never written: its end tells the child that we are gone
            start_new_session=True,  # Ctrl-C is for us; the child is stopped by us
        )

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def wait(self) -> int:
        """Waits until it ends by itself, which a driver does only by failing."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        process = self._process
        if process is None:
            return
        self._process = None
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
