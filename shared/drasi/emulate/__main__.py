"""``python -m drasi.emulate DIRECTORY…``: what ``make emulate`` runs."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from drasi.embedded.identity import TOKEN_FILE, read_token
from drasi.emulate.child import Say
from drasi.emulate.system import EmulatedSystem
from drasi.errors import DrasiError
from drasi.resources.resource import CONTINUOUS_QUERY, REACTION
from drasi.web.logs import configure_logs
from drasi.web.sign_in import address_with

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m drasi.emulate", description=__doc__)
    parser.add_argument("directories", nargs="+", type=Path, help="directories of manifests, or examples")
    parser.add_argument("--port", type=int, default=8080, help="of the address for browsers (8080; 0: a free one)")
    parser.add_argument("--state", type=Path, default=Path(".drasi-emulator"), help="directory for the example's data")
    parser.add_argument("--no-drive", action="store_true", help="do not play the world that changes the example's data")
    parser.add_argument("--insecure-no-auth", action="store_true", help="check no tokens")
    options = parser.parse_args()
    configure_logs()
    console = Console(highlight=False, soft_wrap=True)
    try:
        return asyncio.run(_run(options, console))
    except DrasiError as error:
        console.print(f"Error: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), markup=False)
        return 1


async def _run(options: argparse.Namespace, console: Console) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    missing = [directory for directory in options.directories if not directory.exists()]
    if missing:
        console.print(f"Error: there is no directory {missing[0]}", markup=False)
        return 1
    # Emulators begin empty, browsers do not: an event of an earlier run is never taken for one of this.
    now_ms = time.time_ns() // 1_000_000
    system = EmulatedSystem(
        options.state, _sayer(console), port=options.port, auth=not options.insecure_no_auth, sequences_from=now_ms
    )
    console.print("Starting the emulators, then a process for each function…")
    starting = asyncio.create_task(_start(system, options))
    waiting = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([starting, waiting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            _greet(system, options, console)
            await stopping.wait()
        else:
            starting.cancel()
            await asyncio.wait([starting])
    finally:
        waiting.cancel()
        console.print("Stopping…")
        await system.close()
    console.print("Stopped.")
    return 0


async def _start(system: EmulatedSystem, options: argparse.Namespace) -> None:
    await system.start(options.directories)
    await system.fleet.ready()
    if not options.no_drive:
        await system.drive()


def _greet(system: EmulatedSystem, options: argparse.Namespace, console: Console) -> None:
    token = read_token(options.state) or ""
    page = f"{system.url}/" if options.insecure_no_auth else address_with(system.url, token)
    lines = [f"Drasi runs on {system.url}", f"  page        {page}", f"  console     {system.url}/console"]
    lines += [f"  management  {system.fleet.url('management', 'management')}/v1/status"]
    for resource in system.resources:
        if resource.kind == CONTINUOUS_QUERY:
            lines.append(f"  query       {system.url}/queries/{resource.name}")
        elif resource.kind == REACTION:
            lines.append(f"  reaction    {system.url}/reactions/{resource.name}/")
    lines += [f"  process     {child.name} ({child.pid})" for child in system.fleet.children]
    if options.insecure_no_auth:
        lines.append("  tokens      are not checked: every program of this machine can use this system")
    else:
        lines.append(
            f"  token       {(options.state / TOKEN_FILE).resolve()} (the first address holds it; it opens everything here)"
        )
    lines.append("Ctrl-C stops everything.")
    console.print("\n".join(lines), markup=False)


def _sayer(console: Console) -> Say:
    colours: dict[str, str] = {}

    def say(name: str, text: str) -> None:
        colour = colours.setdefault(name, _COLOURS[len(colours) % len(_COLOURS)])
        console.print(Text.assemble((f"{name:>14} │ ", colour), text))

    return say


if __name__ == "__main__":
    sys.exit(main())
