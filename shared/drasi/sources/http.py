"""``Http``: changes are posted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from drasi.errors import DrasiError
from drasi.messages.changes import SourceChange
from drasi.sources.events import Mistake, read_event
from drasi.sources.intake import overloaded, read_body, unavailable
from drasi.sources.json_text import NotJson, read_json
from drasi.sources.port import SourceContext, SourceKind
from drasi.sources.pushed import PushedSource

_LONGEST_KEY = 256


class NotYet(DrasiError):
    """A property that this version does not build."""

    code = "NotYet"


class HttpSource(PushedSource):
    """``/events`` takes one event, ``/events/batch`` many: all of them or none.

    The idempotency key travels with the change, and the containers drop repeats: so any number of instances may answer. Items of
    a batch have the batch's key and their index.
    """

    def __init__(self, context: SourceContext) -> None:
        super().__init__(context, partition=context.instance)
        for name in sorted(KIND.not_yet & context.properties.keys()):
            if context.properties[name]:
                raise NotYet(f"property {name} of source {context.id} is not built yet", hint="post to /events")
        self._timeout_s: float = context.properties.get("timeoutMs", 10_000) / 1_000

    def routes(self) -> Sequence[BaseRoute]:
        routes = [Route("/events/batch", self.take_batch, methods=["POST"]), Route("/events", self.take_one, methods=["POST"])]
        endpoint = self.context.properties.get("endpoint")
        if endpoint and endpoint.strip("/") not in ("", "events"):
            routes.append(Route("/" + endpoint.strip("/"), self.take_one, methods=["POST"]))
        return routes

    async def take_one(self, request: Request) -> Response:
        body = await read_body(request)
        if isinstance(body, Response):
            return body
        try:
            event = read_json(body)
        except NotJson as error:
            return _bad([{"path": "", "message": f"the body is {error}"}])
        change = read_event(event, self.context.id, self.context.now_ns())
        if isinstance(change, list):
            return _bad([_entry(mistake) for mistake in change])
        return await self._accept(request, [change], batch=False)

    async def take_batch(self, request: Request) -> Response:
        body = await read_body(request)
        if isinstance(body, Response):
            return body
        events, errors = _events(body, request.headers.get("content-type", ""))
        changes = []
        arrival = self.context.now_ns()
        for index, event in events:
            change = read_event(event, self.context.id, arrival)
            if isinstance(change, list):
                errors += [{"index": index, **_entry(mistake)} for mistake in change]
            else:
                changes.append(change)
        if errors:
            return _bad(sorted(errors, key=lambda error: error.get("index", -1)))
        return await self._accept(request, changes, batch=True)

    async def _accept(self, request: Request, changes: list[SourceChange], *, batch: bool) -> Response:
        key = request.headers.get("idempotency-key")
        if key is not None:
            if not 0 < len(key) <= _LONGEST_KEY:
                return _bad([{"path": "Idempotency-Key", "message": f"Idempotency-Key must have 1 to {_LONGEST_KEY} characters"}])
            for index, change in enumerate(changes):
                change.payload.source.key = f"{key}/{index}" if batch else key
        busy = overloaded(self.context)
        if busy is not None:
            return busy
        asked = request.query_params.get("tx", "false").lower()
        if asked not in ("true", "1", "false", "0"):
            return _bad([{"path": "tx", "message": f"tx must be true or false, not '{asked[:50]}'"}])
        together = batch and asked in ("true", "1")

        def name_transaction(number: int) -> None:
            for change in changes:
                change.payload.source.tx = f"{self.context.instance}-{number}"

        try:
            async with asyncio.timeout(self._timeout_s):
                await self.publish(changes, name_transaction if together else None)
        except TimeoutError:
            return unavailable(f"not acknowledged within {self._timeout_s:g} s; send it again with the same Idempotency-Key")
        except DrasiError as error:
            if not error.retryable:
                raise
            return unavailable(f"{error.code}: {error.message}")
        return Response(status_code=202)


def _events(body: bytes, content_type: str) -> tuple[list[tuple[int, Any]], list[dict[str, Any]]]:
    """The events of a batch by index, and what cannot be read."""
    if "ndjson" not in content_type and "jsonl" not in content_type:
        try:
            batch = read_json(body)
        except NotJson as error:
            if b"\n" not in body.strip():
                return [], [{"path": "", "message": f"the body is {error}"}]
        else:
            if isinstance(batch, dict) and isinstance(batch.get("events"), list):
                return list(enumerate(batch["events"])), []
            if not (isinstance(batch, dict) and "operation" in batch):
                return [], [{"path": "events", "message": 'the body must be {"events": [...]} or one event a line (NDJSON)'}]
    events: list[tuple[int, Any]] = []
    errors: list[dict[str, Any]] = []
    for index, line in enumerate(line for line in body.split(b"\n") if line.strip()):
        try:
            events.append((index, read_json(line)))
        except NotJson as error:
            errors.append({"index": index, "path": "", "message": f"the line is {error}"})
    return events, errors


def _entry(mistake: Mistake) -> dict[str, Any]:
    return {"path": mistake.path, "message": mistake.message}


def _bad(errors: list[dict[str, Any]]) -> Response:
    return JSONResponse({"errors": errors}, 400)


KIND = SourceKind(
    name="Http",
    aliases=("http",),
    schema={
        "type": "object",
        "properties": {
            "timeoutMs": {"type": "integer", "minimum": 1, "default": 10000},
            "endpoint": {"type": "string", "description": "One more path for /events"},
            "webhooks": {"description": "Routes for foreign bodies"},
            "bootstrap": {"description": "Where a snapshot is read"},
        },
    },
    make=HttpSource,
    streams=False,
    pushed=True,
    defaults={"timeoutMs": 10000},
    not_yet=frozenset({"webhooks", "bootstrap"}),
)
