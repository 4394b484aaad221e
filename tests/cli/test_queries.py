"""rows, events, watch, explain."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from drasi.cli.live import LiveRows, read_events, unpacked
from drasi.messages.reading import View, ViewRow
from drasi.messages.results import ChangeEvent, ControlEvent, ControlSignal, UpdatedRow
from tests.cli.conftest import Drasi
from tests.web.managed import QUERY

CHANGE = ChangeEvent(
    "ticks",
    5,
    1_000,
    addedResults=[{"value": 3}],
    addedRowIds=["n:3"],
    updatedResults=[UpdatedRow({"value": 1}, {"value": 2}, "n:1")],
    deletedResults=[{"value": 0}],
    deletedRowIds=["n:0"],
)
DELETED = ControlEvent("ticks", 6, 2_000, ControlSignal("deleted"))


@pytest.fixture
def ticks(drasi: Drasi) -> Drasi:
    drasi("apply", stdin=QUERY)
    reader = drasi.managed.runtime.reader
    rows = [ViewRow({"value": 1, "name": None}, "n:1"), ViewRow({"value": 0, "name": "a,b"}, "n:0")]
    reader.views["ticks"] = View(4, 500, "running", rows)
    reader.tails["ticks"] = [ChangeEvent("ticks", 4, 500), CHANGE, DELETED]
    return drasi


def test_rows_as_table_json_and_csv(ticks: Drasi) -> None:
    assert ticks("rows", "ticks") == 0
    assert ticks.out.splitlines() == ["value  name", "1", "0      a,b", "2 rows"]
    ticks("rows", "ticks", "--format", "json")
    assert json.loads(ticks.out) == [{"value": 1, "name": None}, {"value": 0, "name": "a,b"}]
    ticks("rows", "ticks", "--format", "csv")
    assert ticks.out == 'value,name\n1,\n0,"a,b"\n'
    ticks("rows", "ticks", "--output", "json")
    assert len(json.loads(ticks.out)) == 2
    ticks("rows", "ticks", "--quiet")
    assert "2 rows" not in ticks.out


def test_rows_of_the_past_are_not_built(ticks: Drasi) -> None:
    assert ticks("rows", "ticks", "--sequence", "3") == 1
    assert "not built yet" in ticks.err


def test_events_that_are_there(ticks: Drasi) -> None:
    ticks.managed.runtime.reader.views["ticks"] = View(6, 500, "running", [])
    assert ticks("events", "ticks") == 0
    assert [json.loads(line)["sequence"] for line in ticks.out.splitlines()] == [4, 5, 6], "from the earliest that is kept"
    ticks("events", "ticks", "--after", "5")
    assert [json.loads(line)["sequence"] for line in ticks.out.splitlines()] == [6]
    ticks("events", "ticks", "--after", "6")
    assert ticks.out == ""


def test_events_that_are_trimmed(ticks: Drasi) -> None:
    assert ticks("events", "ticks", "--after", "1", "--follow") == 1
    assert ticks.err == "Error: the events after 1 are trimmed; those from 4 to 6 are there; use --after 3\n"


def test_watch_without_a_terminal_is_one_notification_a_line(ticks: Drasi) -> None:
    assert ticks("watch", "ticks") == 0
    notifications = [json.loads(line) for line in ticks.out.splitlines()]
    assert [(one["op"], one["seq"]) for one in notifications] == [("i", 4), ("i", 4), ("d", 5), ("u", 5), ("i", 5), ("x", 6)]
    updated = notifications[3]["payload"]
    assert updated == {
        "source": {"queryId": "ticks", "ts_ms": 1_000},
        "before": {"value": 1},
        "after": {"value": 2},
        "rowId": "n:1",
    }
    assert notifications[5]["payload"] == {"source": {"queryId": "ticks", "ts_ms": 2_000}, "kind": "deleted"}
    ticks("watch", "ticks", "--after", "5")
    assert [json.loads(line)["op"] for line in ticks.out.splitlines()] == ["x"]


def test_a_new_group_of_drasi_is_an_insert() -> None:
    event = ChangeEvent("q", 1, 0, updatedResults=[UpdatedRow(None, {"n": 1}, "g")])
    assert [one["op"] for one in unpacked(event, 0)] == ["i"]


def test_events_are_read_from_an_array_with_heartbeats() -> None:
    async def lines() -> object:
        for line in [
            "[",
            '{"kind":"control","queryId":"q","sequence":1,"sourceTimeMs":0,"controlSignal":{"kind":"running"}}  ,',
            "  ",
            "",
            "]",
        ]:
            yield line

    async def read() -> list[int]:
        return [event.sequence async for event in read_events(lines())]  # type: ignore[arg-type]

    assert asyncio.run(read()) == [1]


def test_live_rows_follow_events() -> None:
    rows = LiveRows()
    rows.take(ChangeEvent("ticks", 4, 0, addedResults=[{"value": 0}, {"value": 1}], addedRowIds=["n:0", "n:1"]), 1.0)
    rows.take(CHANGE, 2.0)
    assert rows.rows == {"n:1": {"value": 2}, "n:3": {"value": 3}}
    assert rows.changed == {"n:1": 2.0, "n:3": 2.0}
    assert (rows.sequence, rows.columns()) == (5, ["value"])
    rows.take(DELETED, 3.0)
    assert (rows.rows, rows.state) == ({}, "deleted")


def test_explain_of_a_running_query(ticks: Drasi) -> None:
    assert ticks("explain", "ticks") == 0
    assert ticks.out == "plan of ticks in default\n"
    assert ticks("explain", "tocks") == 1
    assert "there is no query 'tocks'" in ticks.err


def test_explain_of_files_and_texts(drasi: Drasi, tmp_path: Path) -> None:
    manifest, text = tmp_path / "queries.yaml", tmp_path / "ticks.cypher"
    manifest.write_text(QUERY)
    text.write_text("MATCH (c:Counter)\nRETURN c.value AS value")
    for argument in (str(manifest), str(text), "MATCH (c:Counter) RETURN c.value AS value"):
        assert drasi("explain", argument) == 0
        assert ":Counter" in drasi.out
        plain = drasi.out
        assert drasi("explain", argument, "--code") == 0
        assert len(drasi.out) > len(plain)
    assert drasi("explain", "MATCH (c:Counter) RETURN d.value AS value") == 1
    assert "UndefinedVariable" in drasi.err
