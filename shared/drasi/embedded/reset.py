"""``--reset``: forgets what earlier runs kept in a state directory, and touches nothing else in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drasi.embedded.example import Example
from drasi.embedded.system import STATE_FILE
from drasi.errors import DrasiError
from drasi.resources.known import default_container
from drasi.resources.resource import QUERY_CONTAINER
from drasi.resources.store_sqlite import SqliteResourceStore
from drasi.web.stores import log_files

_COMPANIONS = ("", "-wal", "-shm")


async def reset_state(directory: Path, examples: Iterable[Example] = ()) -> None:
    """Removes the state file, the logs of the containers that it knows, and what the examples made."""
    state = directory / STATE_FILE
    doomed = [state, *log_files(directory, default_container())]
    if state.exists():
        try:
            store = await SqliteResourceStore.open(state)
        except DrasiError:  # not readable: exactly what a reset is for
            pass
        else:
            for container in await store.of_kind(QUERY_CONTAINER):
                doomed += log_files(directory, container)
            await store.close()
    for file in doomed:
        for companion in _COMPANIONS:
            file.with_name(file.name + companion).unlink(missing_ok=True)
    for example in examples:
        await example.reset(directory)
