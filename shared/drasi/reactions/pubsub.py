"""``PubSub``: differences as messages of a topic (connectors.md section 9.1)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from starlette.routing import BaseRoute

from drasi.bus.port import LARGEST_MESSAGE, MOST_ATTRIBUTES
from drasi.errors import DrasiError
from drasi.messages import results
from drasi.messages.envelope import Message
from drasi.messages.results import ChangeEvent, ResultEvent
from drasi.project import HOW, project_of
from drasi.reactions import notification
from drasi.reactions.configuration import Entry, EntryForm, choose
from drasi.reactions.port import Confirm, DeliveryFailed, Finding, Reaction, ReactionContext, ReactionKind
from drasi.reactions.rows import RowChange, context, idempotency_key, row_changes
from drasi.reactions.timing import Timing
from drasi.templates import RenderError, Template, TemplateError, parse
from drasi.templates.functions import message_id

if TYPE_CHECKING:
    from drasi.bus.pubsub_client import PubSubClient
    from drasi.bus.pubsub_publisher import PubSubPublisher

FORM = EntryForm({"template": "body"}, groups=("attributes",))

Format = Literal["unpacked", "packed", "template"]

_TOGETHER = 1_000
"""Rows of one event under way at a time."""
_LONGEST_NAME, _LONGEST_VALUE, _LONGEST_KEY = 256, 1_024, 1_024
"""Bytes that Pub/Sub takes."""
_TRACE = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,100})?")


class InvalidTarget(DrasiError):
    """A property that no message can be published with."""

    code = "InvalidValue"


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A message, and the rows that are done when it is acknowledged."""

    topic: str
    message: Message
    rows: list[str] = field(default_factory=list)


class PubSubReaction:
    """Each row is confirmed when its message is acknowledged; messages of one ordering key keep the order of the rows."""

    delivers = True

    def __init__(self, given: ReactionContext, timing: Timing | None = None) -> None:
        properties = given.properties
        self._id = given.id
        self._timing = timing or Timing()
        self._topic = str(properties["topic"])
        self._format: Format = properties.get("format") or "unpacked"
        self._skip_control = bool(properties.get("skipControlSignals"))
        self._create = bool(properties.get("createTopic", True))
        self._project = str(properties.get("project") or "")
        try:
            self._key = parse(str(properties.get("orderingKey", "{{queryId}}")))
        except TemplateError as error:
            raise InvalidTarget(f"properties.orderingKey: {error.message}", hint=error.hint) from None
        values = {query_id: choose(query_id, given.queries, properties).value or {} for query_id in given.queries}
        self._topics = {query_id: str(value.get("topic") or self._topic) for query_id, value in values.items()}
        self._entries = {query_id: FORM.read(_rows_of(value))[0] for query_id, value in values.items()}
        self._client: PubSubClient | None = None
        self._publisher: PubSubPublisher | None = None

    async def start(self) -> None:
        try:
            from drasi.bus.provision import Policy, Provisioner
            from drasi.bus.pubsub_client import PubSubClient
            from drasi.bus.pubsub_publisher import PubSubPublisher
            from drasi.bus.pubsub_sender import PubSubSender
        except ImportError as error:
            raise InvalidTarget(f"{error.name} is not installed", hint="pip install 'drasi[gcp]'") from error
        project = project_of(self._project)
        if not project:
            raise InvalidTarget("nobody said in which project the topic is", hint=HOW)
        await self.close()
        self._client = PubSubClient.of(project, patience_s=10.0)
        provisioner = Provisioner(self._client, Policy())
        self._publisher = PubSubPublisher(PubSubSender(self._client, provisioner, create_topics=self._create))

    def notice(self, query_id: str, events: bytes) -> None:
        """It delivers."""

    def routes(self) -> Sequence[BaseRoute]:
        return ()

    async def close(self) -> None:
        if self._publisher is not None:
            await self._publisher.close()
            self._publisher = None
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def deliver(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm) -> None:
        batch: list[_Outgoing] = []
        outgoing = self._outgoing(query_id, event, done)
        while True:
            # What stands before a row that cannot be rendered goes out before that row fails.
            failed: DeliveryFailed | None = None
            try:
                one = next(outgoing, None)
            except DeliveryFailed as error:
                one, failed = None, error
            if one is not None:
                batch.append(one)
            if batch and (one is None or len(batch) == _TOGETHER):
                await self._publish(batch, confirm)
                batch = []
            if failed is not None:
                raise failed
            if one is None:
                return

    async def _publish(self, batch: list[_Outgoing], confirm: Confirm) -> None:
        publisher = self._publisher
        if publisher is None:
            raise DeliveryFailed("the reaction is closed", retryable=True)
        publications = (publisher.publish(one.topic, one.message) for one in batch)
        outcomes = await asyncio.gather(*publications, return_exceptions=True)
        failed: DeliveryFailed | None = None
        for one, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, DrasiError):
                row_id = one.rows[0] if one.rows else None
                told = DeliveryFailed(
                    f"topic {one.topic}: {outcome.message}", retryable=outcome.retryable, row_id=row_id, hint=outcome.hint
                )
                failed = failed or told
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                for row_id in one.rows:
                    confirm(row_id)
        if failed is not None:
            raise failed

    def _outgoing(self, query_id: str, event: ResultEvent, done: Collection[str]) -> Iterator[_Outgoing]:
        topic = self._topics[query_id]
        if not isinstance(event, ChangeEvent):
            if not self._skip_control:
                packed = self._format == "packed"
                data = (
                    results.encode(event)
                    if packed
                    else notification.of_control(notification.raw_event(event), self._timing.now_ms())
                )
                attributes = {
                    **self._attributes(event, "-"),
                    "operation": "CONTROL",
                    "ce-type": "drasi.control",
                }
                yield _Outgoing(topic, self._message(data, attributes, {"queryId": query_id, "query_id": query_id}, None))
            return
        if self._format == "packed":
            rows = [change.row_id for change in row_changes(event)]
            left = [row for row in rows if row not in done]
            if left:
                attributes = {**self._attributes(event, "-"), "ce-type": "drasi.change"}
                seen = {"queryId": query_id, "query_id": query_id, "sequence": event.sequence}
                yield _Outgoing(topic, self._message(results.encode(event), attributes, seen, None), left)
            return
        texts = notification.of_rows(notification.raw_event(event), self._timing.now_ms())
        for change, (_, text) in zip(row_changes(event), texts, strict=True):
            if change.row_id in done:
                continue
            entry = self._entries[query_id].get(change.entry)
            if self._format == "template" and entry is None:
                # Nothing is wanted for this operation; the loop takes the row for done with the event.
                continue
            yield _Outgoing(topic, self._row(event, change, entry or Entry(), text), [change.row_id])

    def _row(self, event: ChangeEvent, change: RowChange, entry: Entry, text: bytes) -> Message:
        seen = context(self._id, event, change)
        attributes: dict[str, str] = {}
        try:
            data = text
            if self._format == "template":
                template: Template | None = entry.templates.get("template")
                data = template.render(seen).encode("utf-8", "replace") if template is not None else b"{}"
            attributes = {name: one.render(seen) for name, one in entry.groups.get("attributes", {}).items()}
            attributes |= {
                **self._attributes(event, change.row_id),
                "rowId": _fitting(change.row_id),
                "operation": change.operation,
                "ce-type": "drasi.change",
            }
            return self._message(data, attributes, seen, change.row_id)
        except RenderError as error:
            raise DeliveryFailed(f"a template cannot be rendered: {error.message}", retryable=False, row_id=change.row_id) from None

    def _attributes(self, event: ResultEvent, row_id: str) -> dict[str, str]:
        attributes = {
            "queryId": event.queryId,
            "sequence": str(event.sequence),
            "idempotencyKey": _fitting(idempotency_key(self._id, event.queryId, event.sequence, row_id)),
        }
        trace = (event.metadata or {}).get("traceparent")
        # It came with the change: what is none keeps no row back.
        return {**attributes, "traceparent": trace} if isinstance(trace, str) and _TRACE.fullmatch(trace) else attributes

    def _message(self, data: bytes, attributes: Mapping[str, str], seen: Mapping[str, Any], row_id: str | None) -> Message:
        try:
            key = self._key.render(seen)
        except RenderError as error:
            what = f"the ordering key cannot be rendered: {error.message}"
            raise DeliveryFailed(what, retryable=False, row_id=row_id) from None
        wrong = ""
        if len(data) > LARGEST_MESSAGE:
            wrong = f"the message has {len(data):,} bytes: at most {LARGEST_MESSAGE:,}"
        elif len(attributes) > MOST_ATTRIBUTES:
            wrong = f"the message has {len(attributes)} attributes: at most {MOST_ATTRIBUTES}"
        elif len(key.encode()) > _LONGEST_KEY:
            wrong = f"the ordering key is longer than {_LONGEST_KEY} bytes"
        for name, value in attributes.items():
            if not 0 < len(name.encode()) <= _LONGEST_NAME or name.startswith("goog") or len(value.encode()) > _LONGEST_VALUE:
                wrong = f"attribute {name[:40]} cannot be sent: at most {_LONGEST_NAME} bytes of name, {_LONGEST_VALUE} of value"
        if wrong:
            raise DeliveryFailed(wrong, retryable=False, row_id=row_id)
        return Message(data, dict(attributes), key)


def _fitting(identity: str) -> str:
    """An id as an attribute can carry it: those of elements may be as long as they like."""
    return identity if len(identity.encode()) <= _LONGEST_VALUE else message_id(identity)


def _rows_of(value: Any) -> Any:
    """A query's configuration without what is no entry for rows."""
    return {name: item for name, item in value.items() if name != "topic"} if isinstance(value, Mapping) else value


def check(value: Any) -> list[Finding]:
    """Checks one query's configuration."""
    found = FORM.check(_rows_of(value))
    topic = value.get("topic") if isinstance(value, Mapping) else None
    if topic is not None and not (isinstance(topic, str) and topic):
        found.append(Finding("InvalidQueryConfig", "topic", "topic must be a text"))
    return found


def _make(given: ReactionContext) -> Reaction:
    return PubSubReaction(given)


KIND = ReactionKind(
    "PubSub",
    schema={
        "type": "object",
        "required": ["topic"],
        "properties": {
            "project": {"type": "string", "description": "The installation's if not given"},
            "topic": {"type": "string", "minLength": 1},
            "createTopic": {"type": "boolean", "default": True, "description": "Made if missing"},
            "format": {"type": "string", "enum": ["unpacked", "packed", "template"], "default": "unpacked"},
            "orderingKey": {"type": "string", "default": "{{queryId}}", "description": "A template; empty: no order"},
            "skipControlSignals": {"type": "boolean", "default": False},
        },
    },
    check=check,
    make=_make,
)
