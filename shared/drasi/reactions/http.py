"""``Http``: one request per row, or one per event (connectors.md section 7.1)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

import msgspec
from starlette.routing import BaseRoute

from drasi.errors import DrasiError
from drasi.messages.results import ChangeEvent, ResultEvent
from drasi.reactions.configuration import SERVER_PROPERTIES, Chosen, Entry, EntryForm, choose
from drasi.reactions.port import Confirm, DeliveryFailed, Finding, Reaction, ReactionContext, ReactionKind
from drasi.reactions.rows import RowChange, context, idempotency_key, row_changes
from drasi.reactions.timing import Timing
from drasi.templates import RenderError
from drasi.templates.functions import message_id

if TYPE_CHECKING:
    import httpx

FORM = EntryForm({"url": "url", "method": "text", "body": "body", "template": "body"}, groups=("headers",))

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
RETRIED = frozenset({408, 425, 429})
_ANSWER_LIMIT = 1024 * 1024
_LONGEST_KEY = 1_000
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "baseUrl": {
            "type": "string",
            "format": "http-url",
            "description": "Where requests go; a relative url of an entry is joined to it",
        },
        "token": {"type": "string", "description": "Sent as bearer token"},
        "timeout": {"type": "integer", "minimum": 1, "description": "Milliseconds a request may take (10000)"},
        "timeoutMs": {"type": "integer", "minimum": 1, "description": "Drasi Server's name of timeout (5000 for its form)"},
        "batchEndpoint": {"type": "string", "description": "One request per event to this url, with the rows in `batch`"},
        **SERVER_PROPERTIES,
    },
    "required": ["baseUrl"],
}


class InvalidTarget(DrasiError):
    """A property that no request can be made with."""

    code: ClassVar[str] = "InvalidValue"


@dataclass(frozen=True, slots=True)
class _Call:
    """A rendered request. ``what`` names it without anything secret."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    key: str
    row_id: str | None


class HttpReaction:
    """One HTTP target. Nothing of rows, urls, headers or tokens appears in messages: the status and the host must do."""

    delivers = True

    def __init__(self, given: ReactionContext, timing: Timing | None = None) -> None:
        properties = given.properties
        self._id = given.id
        self._timing = timing or Timing()
        self._base = str(properties["baseUrl"]).strip()
        self._origin = _origin(self._base)
        if self._origin is None:
            raise InvalidTarget("properties.baseUrl is no http or https URL", hint="write it like https://alerts.example/hooks")
        # Whoever writes a secret with an editor, or with echo, ends it with a line break.
        self._token = str(properties.get("token") or "").strip()
        if not _can_be_sent(self._token):
            raise InvalidTarget("properties.token holds a control character, which no header can carry", hint="write it anew")
        self._batch = str(properties.get("batchEndpoint") or "")
        chosen = {query_id: choose(query_id, given.queries, properties) for query_id in given.queries}
        self._chosen = chosen
        self._entries = {query_id: FORM.read(one.value)[0] for query_id, one in chosen.items()}
        server = any(one.server for one in chosen.values()) or bool(self._batch)
        self._timeout_s = float(properties.get("timeoutMs") or properties.get("timeout") or (5000 if server else 10000)) / 1000
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        import httpx

        # The whole request has one deadline, kept by deliver.
        self._client = httpx.AsyncClient(timeout=None, headers={"user-agent": "drasi"})  # noqa: S113

    def notice(self, query_id: str, events: bytes) -> None:
        """It delivers."""

    def routes(self) -> Sequence[BaseRoute]:
        return ()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def deliver(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm) -> None:
        if not isinstance(event, ChangeEvent):
            return
        changes = list(row_changes(event))
        if self._batch:
            await self._deliver_batch(query_id, event, changes, done, confirm)
            return
        for change in changes:
            if change.row_id in done:
                continue
            call = self._call(query_id, event, change)
            if call is not None:
                await self._send(call)
            confirm(change.row_id)

    async def _deliver_batch(
        self, query_id: str, event: ChangeEvent, changes: list[RowChange], done: Collection[str], confirm: Confirm
    ) -> None:
        left = [change for change in changes if change.row_id not in done]
        bodies: list[Any] = []
        wanted = [change for change in left if self._entry(query_id, change) is not None]
        for change in wanted:
            body = self._body(query_id, event, change, self._entry(query_id, change) or Entry())
            try:
                bodies.append(msgspec.json.decode(body, type=msgspec.Raw) if _is_json(body) else body.decode())
            except ValueError:
                bodies.append(body.decode())
        if bodies:
            key = idempotency_key(self._id, query_id, event.sequence, f"batch-{wanted[0].row_id}")
            await self._send(
                _Call(
                    "POST",
                    self._url(self._batch, None),
                    {"Content-Type": "application/json"},
                    msgspec.json.encode({"batch": bodies}),
                    key,
                    None,
                )
            )
        for change in left:
            confirm(change.row_id)

    def _entry(self, query_id: str, change: RowChange) -> Entry | None:
        """What is configured for the row; None: nothing is sent."""
        if self._chosen[query_id].value is None:
            return Entry()
        return self._entries[query_id].get(change.entry)

    def _call(self, query_id: str, event: ChangeEvent, change: RowChange) -> _Call | None:
        entry = self._entry(query_id, change)
        if entry is None:
            return None
        seen = context(self._id, event, change)
        try:
            url = self._url(self._path(query_id, entry, seen), change.row_id)
            method = entry.templates["method"].render(seen).strip().upper() if "method" in entry.templates else "POST"
            headers = {name: template.render(seen).strip() for name, template in entry.groups.get("headers", {}).items()}
        except RenderError as error:
            raise DeliveryFailed(
                f"the template cannot be rendered: {error.message}", retryable=False, row_id=change.row_id
            ) from None
        if not _TOKEN.fullmatch(method or "POST"):
            raise DeliveryFailed("the method is no HTTP method", retryable=False, row_id=change.row_id)
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name) or not _can_be_sent(value):
                raise DeliveryFailed(
                    f"header '{name}' cannot be sent: a line break or control character", retryable=False, row_id=change.row_id
                )
        body = self._body(query_id, event, change, entry)
        names = {name.lower() for name in headers}
        if body and "content-type" not in names:
            headers["Content-Type"] = "application/json" if _is_json(body) else "text/plain; charset=utf-8"
        return _Call(method or "POST", url, headers, body, str(seen["idempotencyKey"]), change.row_id)

    def _path(self, query_id: str, entry: Entry, seen: Mapping[str, Any]) -> str:
        if "url" in entry.templates:
            return entry.templates["url"].render(seen)
        one: Chosen = self._chosen[query_id]
        return f"/changes/{query_id}" if one.server or one.value is None else ""

    def _url(self, url: str, row_id: str | None) -> str:
        """``url`` at ``baseUrl``; an absolute one only at the same origin."""
        url = url.strip()
        if not url:
            return self._base
        if {".", ".."} & set(re.split(r"[/\\]", unquote(url.partition("?")[0]))):
            raise DeliveryFailed(
                "the url has a segment . or .., which leads elsewhere", retryable=False, row_id=row_id, hint="take another column"
            )
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/?/?", url) and "://" in url:
            if _origin(url) != self._origin:
                raise DeliveryFailed(
                    "the url is not at the origin of baseUrl",
                    retryable=False,
                    row_id=row_id,
                    hint="make a reaction of its own for each origin",
                )
            return url
        base, mark, query = self._base.partition("?")
        joined = base.rstrip("/") + "/" + url.lstrip("/")
        if not mark:
            return joined
        return f"{joined}{'&' if '?' in joined else '?'}{query}"

    def _body(self, query_id: str, event: ChangeEvent, change: RowChange, entry: Entry) -> bytes:
        template = entry.templates.get("body") or entry.templates.get("template")
        if template is not None:
            try:
                return template.render(context(self._id, event, change)).encode("utf-8", "replace")
            except RenderError as error:
                raise DeliveryFailed(
                    f"the body cannot be rendered: {error.message}", retryable=False, row_id=change.row_id
                ) from None
        one = self._chosen[query_id]
        return _default_body(event, change) if one.server or one.value is None else b""

    async def _send(self, call: _Call) -> None:
        """Sends and reads the answer; returns when the target has confirmed.

        Raises:
            DeliveryFailed: It has not.
        """
        import httpx

        assert self._client is not None
        headers = {name.lower().encode(): value.encode() for name, value in call.headers.items()}
        headers.setdefault(b"idempotency-key", _header_key(call.key).encode())
        if self._token:
            headers.setdefault(b"authorization", f"Bearer {self._token}".encode())
        _, host, port = _origin(call.url) or ("", "", 0)
        what = f"{call.method} to {host}:{port}"
        try:
            async with asyncio.timeout(self._timeout_s):
                request = self._client.build_request(call.method, call.url, headers=list(headers.items()), content=call.body)
                response = await self._client.send(request, stream=True)
                try:
                    size = 0
                    if response.status_code < 300:
                        async for part in response.aiter_raw():
                            size += len(part)
                            if size > _ANSWER_LIMIT:
                                break
                finally:
                    await response.aclose()
        except TimeoutError:
            raise DeliveryFailed(f"{what}: no answer within {self._timeout_s:g} s", retryable=True, row_id=call.row_id) from None
        except httpx.TransportError as error:
            permanent = isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError)
            raise DeliveryFailed(
                f"{what}: {_failure(error)}",
                retryable=not permanent,
                row_id=call.row_id,
                hint="see that the target listens there, or change baseUrl" if isinstance(error, httpx.ConnectError) else "",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise DeliveryFailed(f"{what}: {type(error).__name__}", retryable=False, row_id=call.row_id) from None
        if response.is_success:
            return
        status = response.status_code
        raise DeliveryFailed(
            f"{what}: {status} {responses.get(status, '')}".rstrip(),  # the target's words may say back what it was sent
            retryable=status in RETRIED or status >= 500,
            row_id=call.row_id,
            retry_after_s=self._retry_after(response.headers.get("retry-after")),
            hint="the target moved: change baseUrl" if response.has_redirect_location else "",
        )

    def _retry_after(self, text: str | None) -> float | None:
        """Seconds, or a date; at most an hour."""
        if not text:
            return None
        text = text.strip()
        if text.isdecimal():
            return min(float(text), 3600.0)
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return min(max(0.0, at.timestamp() - self._timing.now_ms() / 1000), 3600.0)


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an http or https URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https") or not parts.hostname:
        return None
    return scheme, parts.hostname.lower(), port or (443 if scheme == "https" else 80)


def _can_be_sent(value: str) -> bool:
    """Whether a header can have it."""
    return not any((ord(character) < 32 and character != "\t") or ord(character) == 127 for character in value)


def _failure(error: httpx.TransportError) -> str:
    """What went wrong with the connection, in words."""
    import httpx

    if isinstance(error, httpx.ConnectError):
        return f"cannot connect ({error})"
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return "the request cannot be sent"  # the library's words hold what was wrong: a header's value
    if isinstance(error, httpx.RemoteProtocolError):
        return "the answer is no HTTP, or incomplete"
    return f"the connection broke before the answer had come ({type(error).__name__})"


def _header_key(key: str) -> str:
    """The idempotency key as a header can carry it: ids of elements may hold line breaks, and be as long as they like."""
    return key if key.isprintable() and key == key.strip() and len(key) <= _LONGEST_KEY else message_id(key)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return False
    return True


def _default_body(event: ChangeEvent, change: RowChange) -> bytes:
    body: dict[str, Any] = {
        "operation": change.operation,
        "queryId": event.queryId,
        "sequenceId": event.sequence,
        "timestamp": _rfc3339(event.sourceTimeMs),
    }
    if change.before is not None:
        body["before"] = change.before
    if change.after is not None:
        body["after"] = change.after
    if event.metadata:
        body["metadata"] = event.metadata
    return msgspec.json.encode(body)


def _rfc3339(ms: int) -> str:
    seconds, fraction = divmod(ms, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:03}Z" if fraction else f"{text}Z"


def check(value: Any) -> list[Finding]:
    """Checks one query's configuration."""
    entries, found = FORM.read(value)
    for name, entry in entries.items():
        method = entry.templates.get("method")
        if method is not None and "{{" not in method.text and method.text.strip().upper() not in METHODS:
            known = ", ".join(METHODS)
            found.append(Finding("InvalidQueryConfig", f"{name}.method", f"{name}.method must be one of {known}"))
    return found


def _make(given: ReactionContext) -> Reaction:
    return HttpReaction(given)


KIND = ReactionKind("Http", ("http",), schema=SCHEMA, check=check, make=_make)
