"""Taking what is pushed: bodies of bearable size, and the answers that make a sender send again, or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from drasi.errors import DrasiError
from drasi.messages.changes import SourceChange
from drasi.sources.port import SourceContext

LARGEST_BODY = 8_000_000
MOST_WAITING = 64_000_000
_MOST_KEPT = 64_000
"""Characters of what a dead letter keeps."""


async def read_body(request: Request, largest: int = LARGEST_BODY) -> bytes | Response:
    """The body, or the answer to one that is too large; no more of it is read than that needs."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > largest:
            return PlainTextResponse(f"a body may have {largest:,} bytes; send more requests", 413)
        parts.append(part)
    return b"".join(parts)


def overloaded(context: SourceContext) -> Response | None:
    """The answer when too much waits to be published."""
    if context.waiting_bytes() <= MOST_WAITING:
        return None
    return PlainTextResponse("too many events wait to be published; send it again", 429, headers={"Retry-After": "1"})


def unavailable(text: str) -> Response:
    return PlainTextResponse(text, 503, headers={"Retry-After": "1"})


async def accept(
    context: SourceContext,
    read: Callable[[], Sequence[SourceChange]],
    *,
    identity: str,
    content: Mapping[str, str],
    bad: tuple[type[DrasiError], ...],
) -> Response:
    """Publishes what was pushed and answers 204 when the bus has it.

    Args:
        read: The changes it means; raises one of ``bad`` when it can never succeed: then it is a dead letter, and answered 204.
        identity: Where the dead letter comes from: the same when it is sent again.
        content: What the dead letter keeps.
    """
    busy = overloaded(context)
    if busy is not None:
        return busy
    try:
        try:
            changes = read()
        except bad as error:
            wrong = f"{error.code}: {error.message}" + (f"; {error.hint}" if error.hint else "")
        except RecursionError:
            wrong = "TooDeep: lists and objects stand in each other hundreds of times"
        else:
            await context.publish(changes)
            return Response(status_code=204)
        await context.dead_letter(identity, {name: text[:_MOST_KEPT] for name, text in content.items()}, wrong)
    except DrasiError as error:
        if not error.retryable:
            raise
        return unavailable(f"{error.code}: {error.message}")
    return Response(status_code=204)
