"""What a new slot waits for: it begins when the transactions that run now have ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from drasi.errors import DrasiError
from drasi.sources.postgresql.connection import Address, connect

_CODE = "WaitsForTransactions"
_PATIENCE_S = 1.0

# No statement is shown: it may hold values.
_BLOCKING = """
SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), to_char(a.xact_start, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  a.wait_event
FROM pg_stat_activity a WHERE a.pid = ANY (pg_blocking_pids(%s)) ORDER BY a.xact_start
"""

_PREPARED = """
SELECT gid, owner::text, database::text, to_char(prepared, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') FROM pg_prepared_xacts
WHERE 0 = ANY (pg_blocking_pids(%s)) ORDER BY prepared
"""


@asynccontextmanager
async def watched(
    address: Address,
    pid: int,
    *,
    what: str,
    report: Callable[[str, str | None], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[None]:
    """While the block runs longer than a second, the status says which transactions backend ``pid`` waits for."""
    task = asyncio.create_task(_watch(address, pid, what, report, sleep))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        report(_CODE, None)


async def _watch(
    address: Address, pid: int, what: str, report: Callable[[str, str | None], None], sleep: Callable[[float], Awaitable[None]]
) -> None:
    while True:
        await sleep(_PATIENCE_S)
        with contextlib.suppress(DrasiError):
            async with await connect(address) as connection:
                cursor = await connection.execute(_BLOCKING, [pid])
                found = [_shown(*row) for row in await cursor.fetchall()]
                cursor = await connection.execute(_PREPARED, [pid])
                found += [
                    f"prepared transaction '{name}' of {user} in {database} since {since} (run there: COMMIT PREPARED '{name}'"
                    f" or ROLLBACK PREPARED '{name}')"
                    for name, user, database, since in await cursor.fetchall()
                ]
            if found:
                report(_CODE, f"{what} waits until these transactions end: {'; '.join(found)}")


def _shown(pid: int, user: str, application: str, since: str | None, event: str | None) -> str:
    parts = [f"process {pid} of {user}"]
    if application:
        parts.append(f"'{application}'")
    if since:
        parts.append(f"since {since}")
    if event == "SyncRep":
        parts.append("(its commit waits for a synchronous standby)")
    return " ".join(parts)
