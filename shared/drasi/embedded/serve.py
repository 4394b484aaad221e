"""``drasi run``: directories of manifests, served as a whole system until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from drasi.embedded import manifests
from drasi.embedded.example import Driver, Example, find
from drasi.embedded.identity import TOKEN_FILE, read_token
from drasi.embedded.lock import StateLock
from drasi.embedded.reset import reset_state
from drasi.embedded.server import HOST, HttpServer, bind
from drasi.embedded.system import DRAIN_S, EmbeddedSystem
from drasi.errors import DrasiError
from drasi.resources.apply import Outcome
from drasi.resources.resource import CONTINUOUS_QUERY
from drasi.web.access import AUTH
from drasi.web.guard import is_loopback
from drasi.web.logs import configure_logs
from drasi.web.sign_in import address_with

_WATCH_S = 0.5
_PROGRESS_S = 0.1
_PATIENCE_S = 1.0
_log = structlog.get_logger("drasi.run")

Echo = Callable[[str], None]


async def serve(
    directories: Sequence[str | Path],
    *,
    port: int = 8080,
    host: str = HOST,
    auth: bool = AUTH,
    state: str | Path = ".drasi",
    reset: bool = False,
    watch: bool = False,
    echo: Echo = print,
    drive: bool = True,
) -> int:
    """Runs the embedded system until SIGINT or SIGTERM.

    Args:
        directories: Directories (or files) of manifests; a directory may bring an example along (``drasi.embedded.example``).
        port: 0 takes a free one.
        host: The address to listen on.
        auth: Whether requests need a token. Without, ``host`` must be loopback.
        state: The state directory; made if it is not there.
        reset: Forget what an earlier run kept there.
        watch: Apply manifests again when their files change.
        echo: Lines for the person who started it; log lines go to standard error.
        drive: Whether examples play the world that changes their data.

    Returns:
        The exit code: 0 after a clean stop, 1 if it could not start.
    """
    configure_logs()
    run = _Run([Path(directory) for directory in directories], host, port, auth, Path(state), reset, watch, echo, drive)
    try:
        return await run.main()
    except DrasiError as error:
        echo(f"Error: {error.message}" + (f"\n  {error.hint}" if error.hint else ""))
        return 1


class _Run:
    def __init__(
        self,
        directories: list[Path],
        host: str,
        port: int,
        auth: bool,
        state: Path,
        reset: bool,
        watch: bool,
        echo: Echo,
        drive: bool,
    ) -> None:
        self._directories = directories
        self._host = host
        self._port = port
        self._auth = auth
        self._state = state
        self._reset = reset
        self._watch = watch
        self._echo = echo
        self._drive = drive
        self._stopping = asyncio.Event()

    async def main(self) -> int:
        loopback = is_loopback(f"[{self._host}]" if ":" in self._host else self._host)
        if not (self._auth or loopback):
            raise Unprotected(
                f"without tokens nothing is served on {self._host}", hint="leave out --insecure-no-auth, or listen on 127.0.0.1"
            )
        for directory in self._directories:
            if not directory.exists():
                raise DirectoryMissing(f"there is no directory {directory}", hint="name a directory of manifests")
        async with AsyncExitStack() as stack:
            self._catch_signals(stack)
            lock = stack.enter_context(StateLock(self._state))
            sock = bind(self._port, self._host)
            stack.callback(sock.close)
            name = f"[{self._host}]" if ":" in self._host else self._host
            address = f"http://{name}:{sock.getsockname()[1]}"
            examples = [example for directory in self._directories if (example := find(directory)) is not None]
            if self._reset:
                await reset_state(self._state, examples)
            for example in examples:
                await example.setup(self._state)
            system = EmbeddedSystem(
                self._state,
                page=next((example.page for example in examples if example.page is not None), None),
                panel=[route for example in examples for route in example.routes(self._state)],
                lock=lock,
                auth=self._auth,
                loopback_only=loopback,
            )
            await system.start(address)
            stack.push_async_callback(system.close)
            if not await self._apply(system) and not self._watch:
                return 1
            server = HttpServer(system.app, sock, drain_s=DRAIN_S)
            await server.start()
            lock.announce(server.port)
            self._greet(system, address, examples)
            await self._until_stopped(system, examples)
            self._echo("Stopping…")
            await self._stop(system, server)
        self._echo("Stopped.")
        return 0

    async def _apply(self, system: EmbeddedSystem) -> bool:
        """Applies all manifests and says what came of it; whether all were valid."""
        documents = manifests.read(manifests.files(self._directories))
        outcomes = await system.apply(documents)
        for document, outcome in zip(documents, outcomes, strict=True):
            for line in outcome_lines(outcome, document.file):
                self._echo(line)
        failed = [outcome for outcome in outcomes if outcome.result == "failed"]
        if failed and len(failed) == len(outcomes):
            self._echo("Nothing was applied: correct these errors first.")
        return not failed

    def _greet(self, system: EmbeddedSystem, address: str, examples: Iterable[Example]) -> None:
        page = any(example.page is not None for example in examples)
        self._echo(f"Drasi runs on {address}" + ("" if page else " (console)"))
        if self._auth:
            token = read_token(self._state)
            self._echo(f"  {'page' if page else 'console':10} {address_with(address, token or '')}")
        elif page:
            self._echo(f"  page       {address}/")
        if page:
            self._echo(f"  console    {address}/console")
        self._echo(f"  API        {address}/swagger-ui/")
        for name in system.runtime.queries():
            self._echo(f"  query      {address}/queries/{name}")
        for name, reaction in system.runtime.reactions.items():
            if reaction.function.routes():
                self._echo(f"  reaction   {address}/reactions/{name}/")
        for name, path in system.runtime.files():
            self._echo(f"  database   {path} (source {name})")
        self._echo(f"  state      {self._state.resolve()}")
        if self._auth:
            self._echo(f"  token      {self._state.resolve() / TOKEN_FILE} (the first address holds it; it opens everything here)")
        else:
            self._echo("  tokens     are not checked: every program of this machine can use this system")
        self._echo("Ctrl-C stops it.")

    async def _until_stopped(self, system: EmbeddedSystem, examples: Iterable[Example]) -> None:
        async with AsyncExitStack() as stack:
            tasks = [asyncio.create_task(self._progress(system), name="progress")]
            if self._watch:
                tasks.append(asyncio.create_task(self._keep_applying(system), name="watch"))
            for example in examples:
                if self._drive and example.drives:
                    driver = Driver(example, self._state)
                    await driver.start()
                    stack.push_async_callback(driver.stop)
                    tasks.append(asyncio.create_task(_mourn(driver, example), name="driver"))
            try:
                await self._stopping.wait()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _progress(self, system: EmbeddedSystem) -> None:
        """Says how the queries come up, until all of them answer; what is under way, once a second."""
        loop = asyncio.get_running_loop()
        said: dict[str, str] = {}
        beat = loop.time() + _PATIENCE_S
        while True:
            waiting = 0
            tell_all = loop.time() >= beat
            if tell_all:
                beat = loop.time() + _PATIENCE_S
            for name in system.runtime.queries():
                status = await system.runtime.status(CONTINUOUS_QUERY, name)
                state = str(status.get("status", "New"))
                line = _progress_line(state, status)
                settled = state in ("Running", "Stopped", "TerminalError")
                waiting += not settled
                if (settled or tell_all) and said.get(name) != line:
                    said[name] = line
                    self._echo(f"  {name}: {line}")
            if not waiting:
                return
            await asyncio.sleep(_PROGRESS_S)

    async def _keep_applying(self, system: EmbeddedSystem) -> None:
        watched = manifests.Watched(self._directories)
        while True:
            await asyncio.sleep(_WATCH_S)
            if watched.changed():
                self._echo("Manifests changed; applying…")
                await self._apply(system)

    async def _stop(self, system: EmbeddedSystem, server: HttpServer) -> None:
        server.begin_stop()
        try:
            async with asyncio.timeout(DRAIN_S):
                await asyncio.gather(system.close(DRAIN_S - 1), server.stopped())
        except TimeoutError:
            self._echo(f"Not everything was finished within {DRAIN_S:g} s; what is missing comes again at the next start.")

    def _catch_signals(self, stack: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
            stack.callback(loop.remove_signal_handler, number)

    def _on_signal(self) -> None:
        if self._stopping.is_set():  # a second time: at once; the state is such that a kill loses nothing
            os._exit(130)
        self._stopping.set()


class Unprotected(DrasiError):
    """An address that others reach, and no tokens."""

    code = "Unprotected"


class DirectoryMissing(DrasiError):
    """A directory named on the command line is not there."""

    code = "DirectoryMissing"


def outcome_lines(outcome: Outcome, file: str = "") -> list[str]:
    """An outcome as lines for a terminal; nothing for what is unchanged and fine, or was only left out because of others."""
    where = f" ({file})" if file else ""
    if outcome.result == "failed" and not outcome.errors:
        return []
    if outcome.result == "failed":
        head = f"Error: {outcome.kind or '?'}/{outcome.name or '?'}{where}"
        return [head, *("  " + line for problem in outcome.errors for line in problem.text().splitlines())]
    lines = [] if outcome.result == "unchanged" else [f"{outcome.kind}/{outcome.name}: {outcome.result}"]
    if lines:
        lines += ["  warning: " + line for problem in outcome.warnings for line in problem.text().splitlines()]
    return lines


def _progress_line(state: str, status: object) -> str:
    if not isinstance(status, dict):
        return state
    if state == "Running":
        return f"running, {status.get('rows', 0)} rows"
    bootstrap = status.get("bootstrap") or {}
    if state == "Bootstrapping" and bootstrap.get("done") is not None:
        of_total = f" of {bootstrap['total']}" if bootstrap.get("total") else ""
        return f"reading {bootstrap.get('source', '')}: {bootstrap['done']}{of_total} elements"
    message = status.get("errorMessage")
    return f"{state}: {message}" if message else state


async def _mourn(driver: Driver, example: Example) -> None:
    code = await driver.wait()
    _log.warning("the example's driver ended; its data no longer changes by itself", file=str(example.file), code=code)
