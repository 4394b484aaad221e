"""The Log reaction: one line per row."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from drasi.messages.results import ChangeEvent, ControlEvent, ControlSignal, UpdatedRow
from drasi.reactions.log import KIND, LogReaction
from drasi.reactions.port import DeliveryFailed, ReactionContext
from tests.reactions.fakes import Clock, Reader

EVENT = ChangeEvent(
    "berth-load",
    418,
    1772352930000,
    addedResults=[{"berth": 4, "name": "line\nbreak"}],
    addedRowIds=["g:5"],
    updatedResults=[UpdatedRow({"n": 2}, {"n": 1}, "g:1", ["berth"])],
    deletedResults=[{"n": 9}],
    deletedRowIds=["g:9"],
)


def reaction(config: Any, clock: Clock, properties: Any = None) -> LogReaction:
    given = ReactionContext("r", properties or {}, {"berth-load": config}, Reader(), lambda _n, _t: None, dict)
    return LogReaction(given, clock.timing())


async def test_without_templates_a_line_is_the_notification(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    clock.now = 1772352930.155
    confirmed: list[str] = []
    with caplog.at_level(logging.INFO, "drasi.reaction.r"):
        await reaction(None, clock).deliver("berth-load", EVENT, ("g:9",), confirmed.append)
        await reaction(None, clock).deliver(
            "berth-load", ControlEvent("berth-load", 1, 0, ControlSignal("running")), (), confirmed.append
        )
    source = {"queryId": "berth-load", "ts_ms": 1772352930000}
    assert [msgspec.json.decode(record.getMessage()) for record in caplog.records] == [
        {
            "op": "u",
            "ts_ms": 1772352930155,
            "seq": 418,
            "payload": {"source": source, "before": {"n": 2}, "after": {"n": 1}, "rowId": "g:1"},
        },
        {
            "op": "i",
            "ts_ms": 1772352930155,
            "seq": 418,
            "payload": {"source": source, "after": {"berth": 4, "name": "line\nbreak"}, "rowId": "g:5"},
        },
    ]
    assert confirmed == ["g:1", "g:5"]


async def test_templates(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    confirmed: list[str] = []
    with caplog.at_level(logging.INFO, "drasi.reaction.r"):
        config = {"added": {"template": "{{operation}} {{after.name}}"}, "deleted": "gone {{before.n}}"}
        await reaction(config, clock).deliver("berth-load", EVENT, (), confirmed.append)
        default = {"defaultTemplate": {"added": {"template": "default"}}}
        await reaction(None, clock, default).deliver("berth-load", EVENT, (), confirmed.append)
    assert [record.getMessage() for record in caplog.records] == ["gone 9", "ADD line break", "default"]
    assert confirmed == ["g:9", "g:1", "g:5"] * 2


async def test_a_template_that_fails_is_permanent(clock: Clock) -> None:
    with pytest.raises(DeliveryFailed) as caught:
        await reaction({"added": "{{sum after.name}}"}, clock).deliver("berth-load", EVENT, (), lambda _row: None)
    assert (caught.value.retryable, caught.value.row_id) == (False, "g:5")


def test_kind() -> None:
    assert KIND.check is not None
    assert [finding.code for finding in KIND.check({"added": {"tmplate": "x"}})] == ["IgnoredField"]
