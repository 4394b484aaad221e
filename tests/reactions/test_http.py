"""The Http reaction against a target that fails in chosen ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drasi.messages.results import ChangeEvent, ControlEvent, ControlSignal, ResultEvent, UpdatedRow
from drasi.reactions.function import ReactionFunction
from drasi.reactions.http import KIND, HttpReaction, InvalidTarget
from drasi.reactions.port import DeliveryFailed, ReactionContext
from drasi.reactions.sqlite_state import SqliteStates
from drasi.templates.functions import message_id
from tests.reactions.fakes import Answer, Clock, Query, Reader, Request, Target, pushed, until


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


EVENT = ChangeEvent(
    "berth-load",
    418,
    1772352930120,
    addedResults=[{"berth": 4, "name": 'a/b "c"'}],
    addedRowIds=["g:5"],
    updatedResults=[UpdatedRow({"berth": 3, "ships": 2}, {"berth": 3, "ships": 1}, "g:1", ["berth"])],
    deletedResults=[{"berth": 9}],
    deletedRowIds=["g:9"],
    metadata={"tracking": {}},
)


class Made:
    """A reaction of one query, started."""

    def __init__(self, reaction: HttpReaction) -> None:
        self.reaction = reaction
        self.confirmed: list[str] = []

    async def deliver(self, event: ResultEvent = EVENT, done: tuple[str, ...] = ()) -> None:
        await self.reaction.deliver(event.queryId, event, done, self.confirmed.append)


@pytest.fixture
async def make(clock: Clock) -> AsyncIterator[Any]:
    made: list[Made] = []

    async def build(base: str, config: Any = None, **properties: Any) -> Made:
        given = ReactionContext(
            "port-alerts",
            {"baseUrl": base, **properties},
            {"berth-load": config},
            Reader(),
            lambda _name, _text: None,
            dict,
        )
        one = Made(HttpReaction(given, clock.timing()))
        await one.reaction.start()
        made.append(one)
        return one

    yield build
    for one in made:
        await one.reaction.close()


async def test_without_configuration_every_row_is_posted(make: Any, target: Target) -> None:
    made = await make(target.url)
    await made.deliver()
    assert [(request.method, request.path) for request in target.requests] == [("POST", "/changes/berth-load")] * 3
    assert [request.json for request in target.requests] == [
        {
            "operation": "DELETE",
            "queryId": "berth-load",
            "sequenceId": 418,
            "timestamp": "2026-03-01T08:15:30.120Z",
            "before": {"berth": 9},
            "metadata": {"tracking": {}},
        },
        {
            "operation": "UPDATE",
            "queryId": "berth-load",
            "sequenceId": 418,
            "timestamp": "2026-03-01T08:15:30.120Z",
            "before": {"berth": 3, "ships": 2},
            "after": {"berth": 3, "ships": 1},
            "metadata": {"tracking": {}},
        },
        {
            "operation": "ADD",
            "queryId": "berth-load",
            "sequenceId": 418,
            "timestamp": "2026-03-01T08:15:30.120Z",
            "after": {"berth": 4, "name": 'a/b "c"'},
            "metadata": {"tracking": {}},
        },
    ]
    assert [request.key for request in target.requests] == [f"port-alerts/berth-load/418/{row}" for row in ("g:9", "g:1", "g:5")]
    assert made.confirmed == ["g:9", "g:1", "g:5"]


async def test_templates_of_each_operation(make: Any, target: Target) -> None:
    config = {
        "added": {
            "url": "/ships/{{after.name}}/alarm?n={{after.berth}}",
            "method": "put",
            "headers": {"X-Berth": "{{after.berth}}"},
            "body": '{"berth":{{after.berth}},"name":"{{after.name}}"}',
        },
        "deleted": {"url": "gone/{{before.berth}}", "method": "DELETE"},
    }
    made = await make(target.url + "/base/", config, token="s3cret")
    await made.deliver()
    deleted, added = target.requests
    assert (deleted.method, deleted.path, deleted.body) == ("DELETE", "/base/gone/9", b"")
    assert "content-type" not in deleted.headers
    assert (added.method, added.path) == ("PUT", "/base/ships/a/b%20%22c%22/alarm?n=4")
    assert added.json == {"berth": 4, "name": 'a/b "c"'}
    assert added.headers["x-berth"] == "4"
    assert added.headers["content-type"] == "application/json"
    assert added.headers["authorization"] == "Bearer s3cret"
    # The row without an entry needs no request; it is done all the same.
    assert made.confirmed == ["g:9", "g:1", "g:5"]


@pytest.mark.parametrize(
    ("base", "url", "path"),
    [
        ("/hook?key=k", "", "/hook?key=k"),
        ("/hook?key=k", "more", "/hook/more?key=k"),
        ("/hook?key=k", "more?a=1", "/hook/more?a=1&key=k"),
        ("", "a", "/a"),
        ("/", "//elsewhere.example/a", "/elsewhere.example/a"),
        ("/x", "{origin}/absolute", "/absolute"),
    ],
)
async def test_where_a_url_leads(make: Any, target: Target, base: str, url: str, path: str) -> None:
    made = await make(target.url + base, {"added": {"url": url.replace("{origin}", target.url)}})
    await made.deliver()
    assert [request.path for request in target.requests] == [path]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "https://127.0.0.1/x", "http://elsewhere.example/x", "{{{after.link}}}"])
async def test_no_other_origin(make: Any, target: Target, url: str) -> None:
    made = await make(target.url, {"added": {"url": url}})
    event = ChangeEvent("berth-load", 1, 0, addedResults=[{"link": "http://elsewhere.example/"}], addedRowIds=["a"])
    with pytest.raises(DeliveryFailed) as caught:
        await made.deliver(event)
    assert not caught.value.retryable
    assert "origin" in caught.value.message
    assert target.requests == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"a": 1}', "application/json"),
        ("4", "application/json"),
        ("hello", "text/plain; charset=utf-8"),
        ("{x", "text/plain; charset=utf-8"),
    ],
)
async def test_content_type(make: Any, target: Target, body: str, content_type: str) -> None:
    made = await make(target.url, {"added": {"body": body}})
    await made.deliver()
    assert target.requests[0].headers["content-type"] == content_type


async def test_a_given_content_type_and_authorization_stay(make: Any, target: Target) -> None:
    headers = {"content-type": "application/cloudevents+json", "authorization": "Basic x"}
    made = await make(target.url, {"added": {"body": "{}", "headers": headers}}, token="s3cret")
    await made.deliver()
    assert target.requests[0].headers["content-type"] == "application/cloudevents+json"
    assert target.requests[0].headers["authorization"] == "Basic x"


async def test_a_value_cannot_add_a_header(make: Any, target: Target) -> None:
    made = await make(target.url, {"added": {"headers": {"X-Name": "{{after.name}}"}}})
    event = ChangeEvent("berth-load", 1, 0, addedResults=[{"name": "a\r\nX-Evil: 1"}], addedRowIds=["a"])
    with pytest.raises(DeliveryFailed) as caught:
        await made.deliver(event)
    assert not caught.value.retryable
    assert "Evil" not in str(caught.value)


async def test_the_form_of_drasi_server(make: Any, target: Target) -> None:
    routes = {
        "x.berth-load": {"added": {"url": "/no"}},
        "berth-load": {"added": {"template": '{"n": {{after.berth}}}'}, "deleted": {}},
    }
    made = await make(target.url, None, routes=routes, timeoutMs=700)
    await made.deliver()
    deleted, added = target.requests
    assert (deleted.path, deleted.json["operation"]) == ("/changes/berth-load", "DELETE")
    assert (added.path, added.json) == ("/changes/berth-load", {"n": 4})
    assert made.reaction._timeout_s == 0.7


async def test_own_configuration_wins_over_routes_and_these_over_the_default(make: Any, target: Target) -> None:
    default = {"added": {"url": "/default"}}
    routes = {"berth-load": {"added": {"url": "/route"}}}
    for config, under, path in (
        ({"added": {"url": "/own"}}, {"routes": routes, "defaultTemplate": default}, "/own"),
        (None, {"outputTemplates": {"routes": routes, "defaultTemplate": default}}, "/route"),
        (None, {"defaultTemplate": default}, "/default"),
    ):
        target.requests.clear()
        made = await make(target.url, config, **under)
        await made.deliver()
        assert [request.path for request in target.requests] == [path]


async def test_a_batch_is_one_request_per_event(make: Any, target: Target) -> None:
    made = await make(target.url, {"added": {"body": '{"n":{{after.berth}}}'}, "deleted": {"body": "gone"}}, batchEndpoint="/batch")
    await made.deliver()
    (request,) = target.requests
    assert (request.path, request.json) == ("/batch", {"batch": ["gone", {"n": 4}]})
    assert made.confirmed == ["g:9", "g:1", "g:5"]


async def test_done_rows_and_control_events_are_not_sent(make: Any, target: Target) -> None:
    made = await make(target.url)
    await made.deliver(done=("g:9", "g:1"))
    await made.deliver(ControlEvent("berth-load", 1, 0, ControlSignal("running")))
    assert [request.key for request in target.requests] == ["port-alerts/berth-load/418/g:5"]


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (401, False), (404, False), (408, True), (425, True), (429, True), (500, True), (503, True), (302, False)],
)
async def test_which_answers_are_tried_again(make: Any, target: Target, status: int, retryable: bool) -> None:
    target.answer = lambda _request: Answer(status, {"Retry-After": "7"})
    made = await make(target.url + "/secret-path", token="s3cret")
    with pytest.raises(DeliveryFailed) as caught:
        await made.deliver()
    failed = caught.value
    assert (failed.retryable, failed.row_id, failed.retry_after_s) == (retryable, "g:9", 7.0)
    assert str(status) in failed.message
    assert "secret" not in str(failed) + failed.hint
    assert "s3cret" not in str(failed)


async def test_retry_after_may_be_a_date(make: Any, target: Target, clock: Clock) -> None:
    clock.now = 1_772_352_930.0
    target.answer = lambda _request: Answer(503, {"Retry-After": "Sun, 01 Mar 2026 08:16:00 GMT"})
    made = await make(target.url)
    with pytest.raises(DeliveryFailed) as caught:
        await made.deliver()
    assert caught.value.retry_after_s == 30.0


async def test_slow_reset_and_absent_targets_are_tried_again(make: Any, target: Target) -> None:
    made = await make(target.url, timeout=50)
    for answer in (Answer(-1), Answer(0)):
        target.answer = lambda _request, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(DeliveryFailed) as caught:
            await made.deliver()
        assert caught.value.retryable
    await target.down()
    with pytest.raises(DeliveryFailed) as caught:
        await made.deliver()
    assert caught.value.retryable
    assert f"{target.url.rpartition('/')[2]}: cannot connect" in caught.value.message
    assert "change baseUrl" in (caught.value.hint or "")


@pytest.mark.parametrize("row_id", ["e:db/a\0b", "e:db/a\r\nx-evil: 1", "e:db/blank ", "e:db/" + "x" * 100_000])
async def test_a_key_that_no_header_can_carry_is_sent_as_its_uuid(make: Any, target: Target, row_id: str) -> None:
    made = await make(target.url)
    await made.deliver(ChangeEvent("berth-load", 7, 0, addedResults=[{"a": 1}], addedRowIds=[row_id]))
    assert made.confirmed == [row_id]
    assert target.requests[0].headers["idempotency-key"] == message_id(f"port-alerts/berth-load/7/{row_id}")
    assert "x-evil" not in target.requests[0].headers


async def test_a_base_that_is_no_url_is_refused(make: Any) -> None:
    for base in ("ftp://x", "alerts.example", "http://", "http://x:port"):
        with pytest.raises(InvalidTarget):
            await make(base)


async def test_a_template_that_fails_is_permanent(make: Any, target: Target) -> None:
    made = await make(target.url, {"added": {"body": "{{sum after.name}}"}})
    with pytest.raises(DeliveryFailed) as caught:
        await made.deliver()
    assert not caught.value.retryable
    assert caught.value.row_id == "g:5"


def _behaviours() -> Iterator[Answer]:
    """A bad day of a target, over and over."""
    while True:
        yield Answer(0)
        yield Answer(500, {"Retry-After": "2"})
        yield Answer()
        yield Answer(429)
        yield Answer(-1)
        yield Answer()
        yield Answer()


async def test_exactly_once_after_dropping_known_keys(clock: Clock, target: Target, tmp_path: Path) -> None:
    """The target resets after accepting, is slow, refuses, goes away; the reaction is stopped again and again without a chance to
    write its state. Nothing is missing at the end, and every difference is there once, in order."""
    query = Query("berth-load")
    reader = Reader(query)
    behaviours = _behaviours()
    target.answer = lambda _request: next(behaviours)
    expected: list[str] = []
    states = SqliteStates(tmp_path / "state.db")

    async def kill(function: ReactionFunction) -> None:
        for task in function._tasks:
            task.cancel()
        for delivery in function._deliveries.values():
            delivery._stored = None  # what a killed process did not write
        await asyncio.gather(*function._tasks, return_exceptions=True)
        await function._reaction.close()

    for round_ in range(8):
        function = ReactionFunction(
            "port-alerts",
            KIND,
            {"baseUrl": target.url, "timeout": 30},
            {"berth-load": None},
            reader=reader,
            state=states.of("port-alerts"),
            on_failure={"attempts": 1000},
            timing=clock.timing(),
        )
        await function.start()
        if round_ == 0:
            await until(lambda function=function: function._deliveries["berth-load"]._stored is not None)  # type: ignore[misc]
        before = len(target.distinct())
        for number in range(6):
            event = query.change(add={f"{round_}-{number}-{part}": {"n": part} for part in range(3)})
            expected += [f"port-alerts/berth-load/{event.sequence}/{row_id}" for row_id in event.addedRowIds]
            push = asyncio.ensure_future(function.results(pushed(event)))
            await until(push.done, clock)
        if round_ == 4:
            await target.down()
            await until(lambda function=function: function.status()["queries"]["berth-load"]["failing"], clock)  # type: ignore[misc]
            await target.up()
        await until(lambda before=before: len(target.distinct()) > before + 4, clock)  # type: ignore[misc]
        if round_ < 7:
            await kill(function)
    await until(lambda: len(target.distinct()) == len(expected), clock, deadline_s=30)
    assert [request.key for request in target.distinct()] == expected
    bodies: dict[str, bytes] = {}
    for request in target.requests:
        assert bodies.setdefault(request.key, request.body) == request.body
    await function.close()
    await states.close()


def test_the_checker_names_what_is_wrong() -> None:
    assert KIND.check is not None
    findings = KIND.check(
        {
            "added": {"url": "{{after.x", "method": "SEND", "bdy": "x", "headers": "none"},
            "updated": {"body": "{{upercase x}}", "headers": {"X": "{{"}},
            "deletd": {},
        }
    )
    assert [(finding.code, finding.path) for finding in findings] == [
        ("InvalidTemplate", "added.url"),
        ("IgnoredField", "added.bdy"),
        ("InvalidQueryConfig", "added.headers"),
        ("InvalidTemplate", "updated.body"),
        ("InvalidTemplate", "updated.headers.X"),
        ("IgnoredField", "deletd"),
        ("InvalidQueryConfig", "added.method"),
    ]
    assert findings[1].hint == "did you mean 'body'?"
    assert findings[5].hint == "did you mean 'deleted'?"
    assert (findings[3].line, findings[3].column, findings[3].hint) == (1, 3, "did you mean 'uppercase'?")
    assert [finding.warning for finding in findings] == [False, True, False, False, False, True, False]


async def test_rows_of_all_values_arrive_unchanged(make: Any, target: Target) -> None:
    row = {"i": 2**53 + 1, "f": 1.0, "s": "☃\n\u2028", "l": [1, [None]], "m": {"a": True}}
    made = await make(
        target.url, {"added": {"body": '{"row": {{json after}}, "s": "{{after.s}}", "i": {{after.i}}, "f": {{after.f}}}'}}
    )
    await made.deliver(ChangeEvent("berth-load", 1, 0, addedResults=[row], addedRowIds=["a"]))
    sent: Request = target.requests[0]
    assert msgspec.json.decode(sent.body) == {"row": row, "s": row["s"], "i": row["i"], "f": 1.0}
    assert b'"f": 1.0' in sent.body


@pytest.mark.parametrize("value", ["../../admin", "..", ".", "a/../b", "%2e%2e/admin", "a/.", "..\\admin"])
async def test_a_row_leads_nowhere_else(make: Any, target: Target, value: str) -> None:
    made = await make(f"{target.url}/hooks/private", {"added": {"url": "/items/{{{after.name}}}?a=../b"}})
    event = ChangeEvent("berth-load", 1, 0, addedResults=[{"name": value}], addedRowIds=["r"])
    with pytest.raises(DeliveryFailed, match="leads elsewhere") as caught:
        await made.deliver(event)
    assert (caught.value.retryable, caught.value.row_id) == (False, "r")
    assert target.requests == []


@pytest.mark.parametrize("value", ["...", "a..b", ".hidden", "a.", "é", "a b"])
async def test_dots_within_names_are_names(make: Any, target: Target, value: str) -> None:
    made = await make(target.url, {"added": {"url": "/items/{{after.name}}"}})
    await made.deliver(ChangeEvent("berth-load", 1, 0, addedResults=[{"name": value}], addedRowIds=["r"]))
    assert len(target.requests) == 1


async def test_a_token_with_a_line_break_at_its_end(make: Any, target: Target) -> None:
    made = await make(target.url, None, token="s3cret\n")
    await made.deliver()
    assert {request.headers["authorization"] for request in target.requests} == {"Bearer s3cret"}


@pytest.mark.parametrize("token", ["s3cret\nX-Evil: 1", "s3\x00cret", "s3cret\x7fx"])
async def test_a_token_that_no_header_can_carry_is_not_shown(make: Any, target: Target, token: str) -> None:
    with pytest.raises(InvalidTarget) as caught:
        await make(target.url, None, token=token)
    assert "s3" not in caught.value.message + caught.value.hint
