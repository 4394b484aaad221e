"""Debezium's events (connectors.md section 5.5): envelopes to changes, and the requests they come in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drasi.messages.changes import SourceChange
from drasi.sources.debezium import KIND
from drasi.sources.debezium_events import BadEvent, DebeziumEvents
from drasi.sources.port import SnapshotRequest
from tests.sources.pushing import NOW, Pushing

PG = {"connector": "postgresql", "db": "harbour", "schema": "public", "table": "ship", "lsn": 27440072, "ts_ms": 1_772_352_930_120}


def envelope(op: str, before: Any = None, after: Any = None, **source: Any) -> dict[str, Any]:
    return {"op": op, "before": before, "after": after, "source": {**PG, **source}, "ts_ms": 1_772_352_930_500}


def changes(event: Any, **properties: Any) -> list[SourceChange]:
    return DebeziumEvents("src", properties).changes(event, {}, NOW)


def said(found: list[SourceChange]) -> list[tuple[str, str]]:
    return [(change.op, element.id) for change in found if (element := change.payload.after or change.payload.before)]


@pytest.mark.parametrize(("op", "written"), [("c", "i"), ("r", "i"), ("u", "u")])
def test_a_row_is_a_node(op: str, written: str) -> None:
    [change] = changes(envelope(op, None, {"id": 7, "draught": 8.4, "berth": None}))
    assert change.op == written
    origin, after = change.payload.source, change.payload.after
    assert (origin.db, origin.table, origin.ts_ns, origin.lsn) == ("src", "node", 1_772_352_930_120_000_000, 27440072)
    assert (origin.partition, origin.position, origin.tx) == ("@element", "0000000001A2B3C8", None)
    assert after is not None
    assert (after.id, after.labels, after.properties) == ("public:ship:7", ["ship"], {"id": 7, "draught": 8.4, "berth": None})


def test_a_delete_is_by_the_key_before() -> None:
    [change] = changes(envelope("d", {"id": 7, "draught": 8.4}))
    assert said([change]) == [("d", "public:ship:7")]
    with pytest.raises(BadEvent, match="REPLICA IDENTITY") as error:
        raise_with_hint(envelope("d"))
    assert "public.ship" in str(error.value)


def raise_with_hint(event: Any) -> None:
    try:
        changes(event)
    except BadEvent as error:
        raise BadEvent(f"{error.message}; {error.hint}") from error


def test_a_changed_key_is_a_delete_and_an_insert_in_one_transaction() -> None:
    unavailable = "__debezium_unavailable_value"
    found = changes(envelope("u", {"id": 7, "note": "long"}, {"id": 8, "note": unavailable}))
    assert said(found) == [("d", "public:ship:7"), ("i", "public:ship:8")]
    assert found[1].payload.after is not None
    assert found[1].payload.after.properties == {"id": 8, "note": "long"}
    assert len({change.payload.source.tx for change in found}) == 1
    assert found[0].payload.source.tx is not None


@pytest.mark.parametrize(
    "value",
    ["__debezium_unavailable_value", ["__debezium_unavailable_value"], base64.b64encode(b"__debezium_unavailable_value").decode()],
)
def test_a_large_value_that_did_not_change_is_not_sent(value: Any) -> None:
    [change] = changes(envelope("u", None, {"id": 7, "note": value, "n": 1}))
    assert change.payload.after is not None
    assert change.payload.after.properties == {"id": 7, "n": 1}


def test_truncate() -> None:
    [change] = changes(envelope("t"))
    assert said([change]) == [("t", "public:ship:")]
    assert change.payload.before is not None
    assert change.payload.before.labels == ["ship"]


@pytest.mark.parametrize(
    "event",
    [
        None,
        {"ts_ms": 1},
        {"schema": {}, "payload": {"ts_ms": 1}},
        {"schema": {}, "payload": None},
        {"source": PG, "databaseName": "harbour", "ddl": "CREATE TABLE t"},
        {"status": "BEGIN", "id": "571"},
        envelope("m"),
        {"specversion": "1.0", "id": "x", "source": "s", "type": "t", "data": None},
    ],
)
def test_what_is_no_change_of_a_row_is_nothing(event: Any) -> None:
    assert changes(event) == []


@pytest.mark.parametrize(
    ("event", "match"),
    [
        ([], "no object"),
        ({"id": 7}, "no op"),
        ({"payload": 3}, "no object"),
        ({"op": "c", "after": {"id": 1}}, "no source"),
        (envelope("x", None, {"id": 1}), "none of"),
        (envelope("c", None, {"name": "planted"}), "has no id"),
        (envelope("c"), "without the row after"),
        (envelope("c", None, "{"), "not JSON"),
        (envelope("c", None, {"id": 1}, table=None), "no table"),
    ],
)
def test_what_can_never_succeed_says_why_without_values(event: Any, match: str) -> None:
    with pytest.raises(BadEvent, match=match) as error:
        changes(event)
    assert "planted" not in str(error.value)


def test_all_key_columns_make_the_id() -> None:
    row = {"a": "x:y%", "b": 2, "c": True}
    [change] = changes(envelope("c", None, row), keyColumns={"public.ship": ["a", "b", "c"]})
    assert said([change]) == [("i", "public:ship:x%3Ay%25:2:true")]
    assert said(changes(envelope("c", None, row), keyColumns={"ship": ["b"]})) == [("i", "public:ship:2")]


@pytest.mark.parametrize(("tables", "taken"), [(["public.ship"], 1), (["ship"], 1), (["public.tug"], 0), ([], 1)])
def test_tables(tables: list[str], taken: int) -> None:
    assert len(changes(envelope("c", None, {"id": 1}), tables=tables)) == taken


RELATION = {"type": "MOORED_AT", "table": "public.ship", "columns": ["berth"], "references": "berth"}


def test_a_relation_follows_its_columns_and_goes_with_the_row() -> None:
    def moored(event: Any) -> list[SourceChange]:
        return changes(event, relations=[RELATION])

    found = moored(envelope("c", None, {"id": 7, "berth": 3}))
    assert said(found) == [("i", "public:ship:7"), ("i", "public:ship:7$rel:MOORED_AT")]
    relation = found[1].payload
    assert relation.source.table == "rel"
    assert relation.after is not None
    assert (relation.after.startId, relation.after.endId) == ("public:ship:7", "public:berth:3")
    assert said(moored(envelope("u", None, {"id": 7, "berth": 4})))[1] == ("u", "public:ship:7$rel:MOORED_AT")
    assert said(moored(envelope("u", None, {"id": 7, "berth": None})))[1] == ("d", "public:ship:7$rel:MOORED_AT")
    assert said(moored(envelope("c", None, {"id": 7, "berth": None}))) == [("i", "public:ship:7")]
    assert said(moored(envelope("d", {"id": 7}))) == [("d", "public:ship:7$rel:MOORED_AT"), ("d", "public:ship:7")]
    assert said(moored(envelope("c", None, {"id": 3}, table="berth"))) == [("i", "public:berth:3")]


@pytest.mark.parametrize(
    ("source", "position"),
    [
        ({"connector": "postgresql", "lsn": 255}, "00000000000000FF"),
        ({"connector": "mysql", "file": "mysql-bin.000003", "pos": 154, "row": 2}, "0000000003-000000000154-00000002"),
        (
            {"connector": "sqlserver", "commit_lsn": "00000027:00000758:0005", "change_lsn": None, "event_serial_no": 1},
            "00000027000007580005-00000000000000000000-00000001",
        ),
        ({"connector": "oracle", "scn": "1234", "ssn": 3}, f"00000000000000001234-{NOW:020}"),
        ({"connector": "mongodb", "ts_ms": 5, "ord": 6}, "00000000000000000005-00000006"),
        ({"connector": "vitess", "ts_ms": 5}, f"00000000000005000000-{NOW:020}"),
        ({"connector": "vitess", "ts_ms": 5, "ts_us": 5001, "ts_ns": 5001002}, f"00000000000005001002-{NOW:020}"),
        ({"connector": "postgresql", "lsn": None}, None),
    ],
)
def test_positions(source: dict[str, Any], position: str | None) -> None:
    event = {"op": "c", "after": {"id": 1}, "source": {"schema": "s", "table": "t", **source}}
    [change] = changes(event)
    assert change.payload.source.position == position
    assert change.payload.source.partition == ("@element" if position else None)


def test_rows_of_interleaved_transactions_all_count() -> None:
    """The row's LSN falls from one transaction to the next, but not from change to change of one row."""
    found = [changes(envelope("c", None, {"id": row}, lsn=lsn))[0] for row, lsn in ((1, 60), (2, 45), (3, 55))]
    assert {change.payload.source.partition for change in found} == {"@element"}


def test_mongodb() -> None:
    source = {"connector": "mongodb", "db": "harbour", "schema": None, "table": None, "collection": "ships", "ts_ms": 5, "ord": 1}
    document = (
        '{"_id": {"$oid": "65f0"}, "n": {"$numberLong": "5"}, "at": {"$date": 1772352930000}, "l": [{"$numberDouble": "1.5"}]}'
    )
    [change] = changes(envelope("c", None, document, **source))
    assert change.payload.after is not None
    assert change.payload.after.id == "harbour:ships:65f0"
    assert change.payload.after.properties == {"_id": "65f0", "n": 5, "at": "2026-03-01T08:15:30Z", "l": [1.5]}


def test_two_changes_of_one_instant_both_count() -> None:
    """Of connectors whose logs are not known here, and Oracle's: one row changed twice in one transaction."""
    for source in ({"connector": "db2"}, {"connector": "oracle", "scn": "7"}):
        first, second = (
            DebeziumEvents("src", {}).changes(envelope("u", None, {"id": 1, "n": n}, **source), {}, NOW + n)[0] for n in (1, 2)
        )
        assert str(first.payload.source.position) < str(second.payload.source.position)


@pytest.mark.parametrize(
    "row",
    [{"id": 1, "status": "open"}, {"id": 1, "ts_ms": 5, "v": 1}, {"id": 1, "ddl": "x"}, {"status": "BEGIN", "id": 1, "name": "n"}],
)
def test_a_row_without_its_envelope_is_not_taken_for_a_heartbeat(row: dict[str, Any]) -> None:
    with pytest.raises(BadEvent, match="no op"):
        changes({**row, "__deleted": "false"})
    with pytest.raises(BadEvent, match="no op"):
        changes({"schema": {}, "payload": row})


def test_names_with_dots_and_colons() -> None:
    mongo = {"connector": "mongodb", "db": "shop", "schema": None, "table": None, "collection": "app.orders", "ts_ms": 5, "ord": 1}
    [change] = changes(envelope("c", None, '{"_id": 1}', **mongo), keyColumns={"shop.app.orders": ["_id"]})
    assert change.payload.after is not None
    assert (change.payload.after.id, change.payload.after.labels) == ("shop:app.orders:1", ["app.orders"])
    [change] = changes(envelope("c", None, {"id": 1}, schema="a:b", table="c%"))
    assert change.payload.after is not None
    assert change.payload.after.id == "a%3Ab:c%25:1"
    assert changes(envelope("c", None, '{"_id": 1}', **mongo), tables=["orders"]) == []


def test_a_snapshot_read_again_ends_relations_that_are_no_more() -> None:
    relations = [{"type": "MOORED_AT", "table": "public.ship", "columns": ["berth"], "references": "public.berth"}]
    found = changes(envelope("r", None, {"id": 7, "berth": None}), relations=relations)
    assert said(found) == [("i", "public:ship:7"), ("d", "public:ship:7$rel:MOORED_AT")]
    [truncation] = changes(envelope("t"), relations=relations)
    assert truncation.payload.before is not None
    assert truncation.payload.before.labels == ["ship", "MOORED_AT"]


@pytest.mark.parametrize(
    "document",
    [
        '{"_id": 1, "n": {"$numberLong": "many"}}',
        '{"_id": 1, "n": {"$numberInt": null}}',
        '{"_id": 1, "n": ' + '{"a":' * 900 + "1" + "}" * 901,
    ],
)
def test_a_value_that_cannot_be_read_is_said(document: str) -> None:
    with pytest.raises(BadEvent, match="after of an event of"):
        changes(envelope("c", None, document, connector="mongodb", ord=1))


def test_decimals_keep_all_their_digits() -> None:
    for value, scale, text in (
        (0, 10, "0.0000000000"),
        (123456789012345678901234567890123456789, 9, "123456789012345678901234567890.123456789"),
        (-5, 3, "-0.005"),
        (5, -2, "500"),
    ):
        data = base64.b64encode(value.to_bytes(17, signed=True)).decode()
        column = typed("org.apache.kafka.connect.data.Decimal", "bytes", scale=str(scale))
        schema = {"fields": [{"field": "after", "fields": [column]}]}
        [change] = changes({"schema": schema, "payload": envelope("c", None, {"id": 1, "v": data})}, decimals="string")
        assert change.payload.after is not None
        assert change.payload.after.properties["v"] == text


def typed(name: str, kind: str = "int64", **parameters: str) -> dict[str, Any]:
    return {"field": "v", "type": kind, "name": name, "parameters": parameters}


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (typed("io.debezium.time.Date", "int32"), 20513, "2026-03-01"),
        (typed("org.apache.kafka.connect.data.Date", "int32"), -1, "1969-12-31"),
        (typed("io.debezium.time.MicroTime"), 29_730_120_000, "08:15:30.120"),
        (typed("io.debezium.time.Timestamp"), 1_772_352_930_120, "2026-03-01T08:15:30.120"),
        (typed("io.debezium.time.MicroTimestamp"), 1_772_352_930_120_001, "2026-03-01T08:15:30.120001"),
        (typed("io.debezium.time.NanoTimestamp"), 1_772_352_930_120_000_001, "2026-03-01T08:15:30.120000001"),
        (typed("io.debezium.time.ZonedTimestamp", "string"), "2026-03-01T08:15:30.12Z", "2026-03-01T08:15:30.12Z"),
        (typed("io.debezium.time.MicroDuration"), 93_500_000, "PT93.5S"),
        (typed("io.debezium.data.Json", "string"), '{"a": [1]}', {"a": [1]}),
        (typed("io.debezium.data.Json", "string"), "{", "{"),
        (typed("org.apache.kafka.connect.data.Decimal", "bytes", scale="2"), "MDk=", 123.45),
        (typed("org.apache.kafka.connect.data.Decimal", "bytes", scale="2"), "/w==", -0.01),
        (typed("io.debezium.data.VariableScaleDecimal", "struct"), {"scale": 1, "value": "Dw=="}, 1.5),
        (typed("io.debezium.time.Date", "int32"), None, None),
        (typed("io.debezium.time.Date", "int32"), 2**31 - 1, "Infinity"),
        (typed("io.debezium.time.Date", "int32"), -735_162, "-0043-03-13"),
        (typed("io.debezium.time.Date", "int32"), 3_000_000, "+10183-09-21"),
        (typed("io.debezium.time.MicroTimestamp"), 9_223_372_036_825_200_000, "Infinity"),
        (typed("io.debezium.time.MicroTimestamp"), -9_223_372_036_832_400_000, "-Infinity"),
        (typed("io.debezium.time.Timestamp"), 253_402_300_800_001, "+10000-01-01T00:00:00.001"),
        (typed("", "array") | {"items": {"type": "int32", "name": "io.debezium.time.Date"}}, [20513, None], ["2026-03-01", None]),
        (
            typed("", "array")
            | {"items": {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}},
            ["MDk="],
            [123.45],
        ),
    ],
)
def test_the_schema_says_what_a_number_stands_for(column: dict[str, Any], value: Any, expected: Any) -> None:
    schema = {
        "type": "struct",
        "fields": [{"field": "after", "type": "struct", "fields": [{"field": "id", "type": "int32"}, column]}],
    }
    [change] = changes({"schema": schema, "payload": envelope("c", None, {"id": 1, "v": value})})
    assert change.payload.after is not None
    assert change.payload.after.properties["v"] == expected
    if column["name"].endswith("Decimal"):
        [change] = changes({"schema": schema, "payload": envelope("c", None, {"id": 1, "v": value})}, decimals="string")
        assert change.payload.after is not None
        assert change.payload.after.properties["v"] == str(expected)


def test_a_cloud_event_with_its_envelope_or_with_attributes() -> None:
    event = {"specversion": "1.0", "id": "x", "source": "/debezium", "type": "io.debezium.connector.postgresql.DataChangeEvent"}
    whole = {**event, "data": {"schema": {}, "payload": envelope("c", None, {"id": 7})}}
    assert said(changes(whole)) == [("i", "public:ship:7")]
    attributes = {f"iodebezium{name.replace('_', '')}": value for name, value in {**PG, "op": "u"}.items()}
    [change] = changes({**event, **attributes, "data": {"before": None, "after": {"id": 7}}})
    assert said([change]) == [("u", "public:ship:7")]
    assert change.payload.source.position == "0000000001A2B3C8"


def test_mappings_instead_of_rows() -> None:
    mapping = {
        "when": {"field": "op", "equals": "c"},
        "operation": "insert",
        "elementType": "node",
        "template": {"id": "{{payload.after.id}}-{{headers.x-debezium-region}}", "labels": ["Vessel"]},
    }
    reader = DebeziumEvents("src", {"mappings": [mapping]})
    [change] = reader.changes(envelope("c", None, {"id": 7}), {"x-debezium-region": "north"}, NOW)
    assert said([change]) == [("i", "7-north")]
    assert change.payload.source.position == "0000000001A2B3C8"
    assert change.payload.source.ts_ns == 1_772_352_930_120_000_000


@pytest.fixture
async def pushing() -> AsyncIterator[Pushing]:
    made = Pushing(KIND)
    yield made
    await made.stop()


async def test_one_event_a_request(pushing: Pushing) -> None:
    await pushing.start()
    assert await pushing.post("/", envelope("c", None, {"id": 7})) == 204
    assert await pushing.post("/", b"") == 204
    assert pushing.bus.said == [("i", "public:ship:7")]


async def test_a_bad_event_is_a_dead_letter_once_and_the_sink_goes_on(pushing: Pushing) -> None:
    await pushing.start()
    for _ in range(2):
        assert await pushing.post("/", b"{") == 204
    assert await pushing.post("/", envelope("c", None, {"name": "x"})) == 204
    assert [error.partition(":")[0] for error in await pushing.errors()] == ["BadEvent", "BadEvent"]
    assert pushing.changes == []


async def test_while_the_bus_is_down_the_sink_sends_again(pushing: Pushing) -> None:
    await pushing.start()
    pushing.bus.failing = True
    assert await pushing.post("/", envelope("c", None, {"id": 7})) == 503
    pushing.bus.failing = False
    assert await pushing.post("/", envelope("c", None, {"id": 7})) == 204
    assert pushing.bus.said == [("i", "public:ship:7")]


async def test_the_status_asks_for_a_snapshot_until_it_comes(pushing: Pushing) -> None:
    await pushing.start()
    request = SnapshotRequest(frozenset({"ship", "berth"}))
    assert len([line async for line in await pushing.function.snapshot(request)]) == 2
    text = pushing.function.status()["messages"]["SnapshotNeeded"]
    assert "no rows of berth, ship" in text
    assert "execute-snapshot" in text
    assert await pushing.post("/", envelope("c", None, {"id": 1})) == 204
    assert "berth, ship" in pushing.function.status()["messages"]["SnapshotNeeded"]
    assert await pushing.post("/", envelope("r", None, {"id": 1})) == 204
    assert "no rows of berth but" in pushing.function.status()["messages"]["SnapshotNeeded"]
    assert await pushing.post("/", envelope("r", None, {"id": 1}, table="berth")) == 204
    assert "SnapshotNeeded" not in pushing.function.status()["messages"]
    assert pushing.function.status()["available"] is True


async def test_too_large_a_body_is_413(pushing: Pushing) -> None:
    await pushing.start()
    assert await pushing.post("/", b" " * 8_000_001) == 413


def signature(secret: bytes, body: bytes, *, identity: str = "m1", at: int = NOW // 1_000_000_000) -> dict[str, str]:
    digest = hmac.new(secret, f"{identity}.{at}.".encode() + body, hashlib.sha256).digest()
    signatures = f"v1a,unknown v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": identity, "webhook-timestamp": str(at), "webhook-signature": signatures}


async def test_standard_webhooks(pushing: Pushing) -> None:
    secret = b"0123456789abcdef01234567"
    await pushing.start(auth="standard-webhooks", secret="whsec_" + base64.b64encode(secret).decode())
    body = json.dumps(envelope("c", None, {"id": 7})).encode()
    good = signature(secret, body)
    refused = [
        {},
        signature(b"another secret", body),
        signature(secret, body + b" "),
        signature(secret, body, at=NOW // 1_000_000_000 - 301),
        signature(secret, body, at=NOW // 1_000_000_000 + 301),
        {**good, "webhook-id": "m2"},
        {**good, "webhook-timestamp": "soon"},
        {**good, "webhook-signature": ""},
    ]
    for headers in refused:
        assert await pushing.post("/", body, headers) == 401
    assert pushing.changes == []
    assert await pushing.post("/", body, good) == 204
    assert pushing.bus.said == [("i", "public:ship:7")]


@pytest.mark.parametrize("secret", [None, "", "whsec_", "whsec_%%%"])
def test_standard_webhooks_need_a_secret(secret: str | None) -> None:
    from drasi.sources.function import SourceFunction
    from drasi.sources.mappings import InvalidMapping
    from drasi.sources.state import MemoryState
    from tests.sources.world import RecordingBus

    function = SourceFunction("src", KIND, {"auth": "standard-webhooks", "secret": secret}, bus=RecordingBus(), state=MemoryState())
    with pytest.raises(InvalidMapping, match="secret is needed"):
        function.routes()


async def test_record_headers_are_decoded_and_tokens_kept_away(pushing: Pushing) -> None:
    template = {
        "id": "{{headers.x-debezium-id}}",
        "labels": ["{{headers.x-plain}}"],
        "properties": {"a": "{{headers.authorization}}"},
    }
    await pushing.start(mappings=[{"operation": "insert", "elementType": "node", "template": template}])
    headers = {"X-DEBEZIUM-id": base64.b64encode(b"n1").decode(), "X-Plain": "L", "Authorization": "Bearer planted"}
    assert await pushing.post("/", envelope("c", None, {}), headers) == 204
    [change] = pushing.changes
    assert change.payload.after is not None
    assert (change.payload.after.id, change.payload.after.labels, change.payload.after.properties) == ("n1", ["L"], {"a": None})
