"""``Debezium``: what Debezium Server's HTTP sink sends (connectors.md section 5.5)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from drasi.messages.changes import SourceChange
from drasi.sources.debezium_events import BadEvent, DebeziumEvents, is_snapshot
from drasi.sources.intake import accept, read_body
from drasi.sources.json_text import NotJson, read_json
from drasi.sources.mappings import SCHEMA as MAPPINGS
from drasi.sources.mappings import InvalidMapping, MappingError
from drasi.sources.port import SnapshotLine, SnapshotRequest, SourceContext, SourceKind
from drasi.sources.pushed import PushedSource
from drasi.sources.relational import RELATIONAL

_PREFIX = "x-debezium-"
_TIMESTAMP = re.compile("[0-9]{1,15}")
_SKEW_S = 300


class DebeziumSource(PushedSource):
    """``POST /``: one event a request, sent again until it is answered 204.

    An event that no change can be made of is a dead letter and answered 204, so that the sink goes on.
    """

    def __init__(self, context: SourceContext) -> None:
        super().__init__(context, partition=None)
        self._events = DebeziumEvents(context.id, context.properties)
        self._lacking: set[str] = set()
        self._secret = b""
        if context.properties.get("auth") == "standard-webhooks":
            self._secret = _secret(context.properties.get("secret"))

    async def start(self) -> None:
        """Positions are the origin's."""

    async def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        """Nothing: only Debezium can read the tables, and the status asks for that."""
        self._lacking |= request.nodes | request.relations or {"all tables"}
        self._say_what_is_lacking()
        async for line in super().snapshot(request):
            yield line

    def _say_what_is_lacking(self) -> None:
        labels = ", ".join(sorted(self._lacking))
        text = (
            f"a query began that knows no rows of {labels} but those that change from now on; send Debezium the signal"
            ' execute-snapshot with the data {"data-collections": ["schema.table"], "type": "blocking"}'
        )
        self.context.report("SnapshotNeeded", text if self._lacking else None)

    def _note_snapshot(self, changes: Sequence[SourceChange]) -> None:
        """Rows of a snapshot of Debezium's have come."""
        seen = {label for change in changes if change.payload.after is not None for label in change.payload.after.labels}
        if self._lacking and seen:
            self._lacking -= {*seen, "all tables"}
            self._say_what_is_lacking()

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/", self.take, methods=["POST"])]

    def signed(self) -> Sequence[str]:
        return ("/",) if self._secret else ()

    async def take(self, request: Request) -> Response:
        body = await read_body(request)
        if isinstance(body, Response):
            return body
        if self._secret and not _signed(self._secret, request.headers, body, self.context.now_ns() // 1_000_000_000):
            return PlainTextResponse("the signature is missing or wrong", 401, headers={"WWW-Authenticate": "Standard-Webhooks"})

        def read() -> Any:
            try:
                event = read_json(body) if body.strip() else None
            except NotJson as error:
                raise BadEvent(f"the body is {error}") from None
            changes = self._events.changes(event, _headers(request.headers), self.context.now_ns())
            if is_snapshot(event):
                self._note_snapshot(changes)
            return changes

        digest = hashlib.blake2b(body, digest_size=12).hexdigest()
        content = {"body": body.decode(errors="replace")}
        return await accept(self.context, read, identity=digest, content=content, bad=(BadEvent, MappingError))


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    """Names in lower case; the sink's record headers, which are base64, decoded."""
    found = {}
    for name, value in given.items():
        lower = name.lower()
        if lower.startswith(_PREFIX):
            with contextlib.suppress(ValueError):
                value = base64.b64decode(value, validate=True).decode()
        if lower not in ("authorization", "cookie"):
            found[lower] = value
    return found


def _secret(value: Any) -> bytes:
    text = str(value or "")
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        secret = b""
    if not secret:
        raise InvalidMapping(
            "properties.secret is needed for auth: standard-webhooks: whsec_ and base64", hint="the sink's own secret, as a Secret"
        )
    return secret


def _signed(secret: bytes, headers: Mapping[str, str], body: bytes, now_s: int) -> bool:
    """Whether one of the signatures of the Standard Webhooks specification fits, and is fresh."""
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not identity or not _TIMESTAMP.fullmatch(timestamp) or abs(int(timestamp) - now_s) > _SKEW_S:
        return False
    signed = f"{identity}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
    return any(hmac.compare_digest(expected, one.encode()) for one in headers.get("webhook-signature", "").split())


def _make(context: SourceContext) -> DebeziumSource:
    return DebeziumSource(context)


_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}}

KIND = SourceKind(
    name="Debezium",
    schema={
        "type": "object",
        "properties": {
            "auth": {"type": "string", "enum": ["jwt", "standard-webhooks"], "default": "jwt"},
            "secret": {"type": "string", "description": "Of standard-webhooks: whsec_ and base64"},
            "keyColumns": {"type": "object", "description": "schema.table → the key's columns ([id]; MongoDB [_id])"},
            "tables": {**_NAMES, "description": "Tables to take (schema.table); none given: all"},
            "relations": RELATIONAL["relations"],
            "decimals": RELATIONAL["decimals"],
            "mappings": MAPPINGS,
        },
    },
    make=_make,
    streams=False,
    pushed=True,
)
