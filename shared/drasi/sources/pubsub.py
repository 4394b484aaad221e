"""``PubSub``: the messages of any topic (connectors.md section 5.3)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from drasi.bus.port import LARGEST_MESSAGE
from drasi.errors import DrasiError
from drasi.messages.changes import Element, Origin, Payload, SourceChange, decode_change
from drasi.messages.envelope import Message, decode_push
from drasi.project import HOW, project_of
from drasi.sources.debezium_events import BadEvent, DebeziumEvents
from drasi.sources.instants import iso_to_ns
from drasi.sources.intake import accept, read_body
from drasi.sources.json_text import NotJson, read_json
from drasi.sources.mappings import SCHEMA as MAPPINGS
from drasi.sources.mappings import InvalidMapping, MappingError, Mappings
from drasi.sources.port import OriginUnavailable, SourceContext, SourceKind
from drasi.sources.properties import in_range
from drasi.sources.pushed import PushedSource
from drasi.sources.relational import RELATIONAL

if TYPE_CHECKING:
    from drasi.bus.provision import Provisioner

PARTITION: Final = "@element"
ROUTE: Final = "/push"
UPKEEP_S: Final = 300.0
_LARGEST_BODY = LARGEST_MESSAGE * 4 // 3 + 100_000
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class NotReachable(DrasiError):
    """Nobody said at which URL pushes reach this source."""

    code: ClassVar[str] = "NotReachable"


class PubSubSource(PushedSource):
    """``POST /push`` takes what the subscription delivers, and answers 204 when it is published.

    Messages may come again and out of order: their position is that of publication, and orders the changes of each element.
    """

    def __init__(self, context: SourceContext) -> None:
        super().__init__(context, partition=None)
        properties = context.properties
        if bool(properties.get("topic")) == bool(properties.get("subscription")):
            raise InvalidMapping(f"source {context.id} needs topic or subscription, and not both")
        self._read = MessageReader(context.id, properties)
        self._subscription = f"drasi-{context.id}"

    async def start(self) -> None:
        """Makes the subscription to ``topic``; one of the user's own (``subscription``) is left as it is.

        Raises:
            OriginUnavailable: It cannot be made now, or is there in another form.
            NotReachable: Nobody said at which URL it would push.
        """
        properties = self.context.properties
        if not properties.get("topic"):
            return
        if self.context.push_endpoint is None:
            raise NotReachable(
                f"nobody said at which URL Pub/Sub reaches source {self.context.id}",
                hint="set DRASI_PUSH_URL, or make a push subscription yourself and name it in subscription",
            )
        topic = str(properties["topic"])
        provisioner, close = self._provisioner()
        try:
            if not topic.startswith("projects/"):
                await provisioner.make_topic(topic)
            endpoint = self.context.push_endpoint(ROUTE)
            ordered = bool(properties.get("enableOrdering", True))
            await provisioner.make(self._subscription, topic, 1, str(properties.get("filter") or ""), endpoint, ordered=ordered)
            for generation in await provisioner.generations(self._subscription, topic):
                await provisioner.adjust(generation, endpoint)
        except ValueError as error:
            raise OriginUnavailable(
                str(error),
                hint=f"a subscription's filter, order and topic cannot be changed: delete source {self.context.id} first",
            ) from error
        finally:
            await close()

    async def run(self) -> None:
        """The endpoint's token does not live for ever, and a subscription may be removed under us."""
        while True:
            await self.context.sleep(UPKEEP_S)
            await self.start()

    async def deprovision(self) -> None:
        if self.context.properties.get("topic"):
            provisioner, close = self._provisioner()
            try:
                for path in await provisioner.all_paths(self._subscription):
                    await provisioner.delete(path)
            finally:
                await close()

    def routes(self) -> Sequence[BaseRoute]:
        return [Route(ROUTE, self.take, methods=["POST"])]

    async def take(self, request: Request) -> Response:
        body = await read_body(request, _LARGEST_BODY)
        if isinstance(body, Response):
            return body
        try:
            message, _ = decode_push(body)
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        content = {"data": message.data.decode(errors="replace"), "attributes": msgspec.json.encode(message.attributes).decode()}
        return await accept(
            self.context,
            lambda: self._read(message, self.context.now_ns()),
            identity=message.message_id,
            content=content,
            bad=(BadMessage, BadEvent, MappingError),
        )

    def _provisioner(self) -> tuple[Provisioner, Any]:
        try:
            from drasi.bus.provision import EMULATOR_RETENTION, LONGEST_RETENTION, Policy, Provisioner
            from drasi.bus.pubsub_client import PubSubClient
        except ImportError as error:
            raise OriginUnavailable(f"{error.name} is not installed", hint="pip install 'drasi[gcp]'") from error
        project = project_of(self.context.properties.get("project"))
        if not project:
            raise OriginUnavailable(f"nobody said in which project source {self.context.id} reads", hint=HOW)
        client = PubSubClient.of(project)
        return Provisioner(client, Policy(retention=EMULATOR_RETENTION if client.emulator else LONGEST_RETENTION)), client.close


class BadMessage(DrasiError):
    """A message that no change can be made of; the message has none of its values."""

    code: ClassVar[str] = "BadMessage"


class MessageReader:
    """What a message means, by ``format``.

    Raises:
        InvalidMapping: The properties do not say what becomes of a message.
    """

    def __init__(self, source_id: str, properties: Mapping[str, Any]) -> None:
        self._source_id = source_id
        self._format = str(properties.get("format") or "json")
        self._label = str(properties.get("nodeLabel") or "")
        self._mappings: Mappings | None = None
        self._debezium: DebeziumEvents | None = None
        if self._format == "debezium":
            self._debezium = DebeziumEvents(source_id, properties)
        elif self._format != "drasi":
            if properties.get("mappings"):
                self._mappings = Mappings(properties["mappings"])
            elif not self._label:
                raise InvalidMapping(f"source {source_id} needs mappings or nodeLabel: they say what a message becomes")

    def __call__(self, message: Message, arrival_ns: int) -> list[SourceChange]:
        """The changes with their positions.

        Raises:
            BadMessage, BadEvent, MappingError: It can never be published.
        """
        published_ns = _instant(message.publish_time, arrival_ns)
        if self._debezium is not None:
            event = _json(message.data) if message.data.strip() else None
            return self._debezium.changes(event, _lower(message.attributes), published_ns)
        changes = self._drasi(message.data) if self._format == "drasi" else self._foreign(message, published_ns)
        identity = message.message_id.rjust(20, "0") if message.message_id.isdecimal() else message.message_id
        for index, change in enumerate(changes):
            origin = change.payload.source
            origin.lsn = published_ns
            origin.partition = PARTITION
            origin.position = f"{published_ns:020}-{identity}" + (f"-{index:08}" if len(changes) > 1 else "")
            if len(changes) > 1 and self._format != "drasi":
                origin.tx = message.message_id
        return changes

    def _foreign(self, message: Message, published_ns: int) -> list[SourceChange]:
        headers = _lower(message.attributes)
        structured = headers.get("content-type", "").startswith("application/cloudevents+json")
        payload = _json(message.data) if message.data.strip() else None
        if self._format == "cloudevents":
            if isinstance(payload, dict) and (structured or "specversion" in payload):
                headers |= {f"ce-{name.lower()}": str(value) for name, value in payload.items() if name != "data"}
                payload = _data(payload)
            if "ce-type" not in headers:
                raise BadMessage("the message is no CloudEvent")
        if self._mappings is not None:
            context = {
                "payload": payload,
                "headers": headers,
                "attributes": message.attributes,
                "key": message.ordering_key,
                "topic": "",
                "partition": "",
                "offset": message.message_id,
            }
            return self._mappings.changes(self._source_id, context, _event_ns(headers, published_ns))
        identity = message.attributes.get("id") or message.ordering_key or message.message_id
        origin = Origin(self._source_id, "node", _event_ns(headers, published_ns))
        if payload is None and message.data.strip() != b"null":
            return [SourceChange("d", Payload(origin, before=Element(identity, [self._label])))]
        if not isinstance(payload, dict):
            raise BadMessage("the message is no JSON object")
        return [SourceChange("u", Payload(origin, after=Element(identity, [self._label], in_range(payload))))]

    def _drasi(self, data: bytes) -> list[SourceChange]:
        try:
            items = _decode_items(data) if data.lstrip()[:1] == b"[" else [msgspec.Raw(data)]
            changes = [decode_change(item) for item in items]
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadMessage(f"the message has no changes in Drasi's form: {error}") from None
        for change in changes:
            change.payload.source.db = self._source_id
            if change.payload.after is None and change.payload.before is None:
                raise BadMessage("a change has neither before nor after")
        return changes


def _data(event: Mapping[str, Any]) -> Any:
    """What a CloudEvent carries; None: nothing."""
    if "data_base64" not in event:
        return event.get("data")
    try:
        data = base64.b64decode(event["data_base64"], validate=True)
    except (ValueError, TypeError):
        raise BadMessage("data_base64 of the CloudEvent is no base64") from None
    return _json(data) if data.strip() else None


def _json(data: bytes) -> Any:
    try:
        return read_json(data)
    except NotJson as error:
        raise BadMessage(f"the message is {error}") from None


def _lower(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in attributes.items()}


def _event_ns(headers: Mapping[str, str], otherwise: int) -> int:
    return _instant(headers.get("ce-time", ""), otherwise)


def _instant(text: str, otherwise: int) -> int:
    try:
        return iso_to_ns(text)
    except ValueError:
        return otherwise


def _make(context: SourceContext) -> PubSubSource:
    return PubSubSource(context)


KIND = SourceKind(
    name="PubSub",
    schema={
        "type": "object",
        "properties": {
            "project": {"type": "string", "description": "The installation's if not given"},
            "topic": {"type": "string", "description": "A push subscription to it is made"},
            "subscription": {"type": "string", "description": "A push subscription of your own, to this source's /push"},
            "format": {"type": "string", "enum": ["json", "drasi", "cloudevents", "debezium"], "default": "json"},
            "nodeLabel": {"type": "string", "minLength": 1, "description": "Label of the nodes, without mappings"},
            "mappings": MAPPINGS,
            "filter": {"type": "string", "maxLength": 256},
            "enableOrdering": {"type": "boolean", "default": True},
            "keyColumns": {"type": "object", "description": "With format debezium"},
            "tables": {"type": "array", "items": {"type": "string"}},
            "relations": RELATIONAL["relations"],
            "decimals": RELATIONAL["decimals"],
        },
    },
    make=_make,
    streams=False,
    pushed=True,
    subscribes=True,
)
