"""The process is killed at random moments under load, many times; nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drasi.container.change import made
from drasi.engine import Engine, Insert
from drasi.plan.compiled import compile_query
from tests.container.kill_child import SOURCES, change, queries
from tests.container.support import Consumer, FakeSource

ROUNDS = 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "shared"), str(root)])}
    command = [sys.executable, "-m", "tests.container.kill_child", str(tmp_path), str(ROUNDS), "1"]
    process = subprocess.run(command, cwd=root, env=environment, timeout=180, check=False, capture_output=True, text=True)
    failure = tmp_path / "failure"
    assert process.returncode == 0, failure.read_text() if failure.exists() else process.stderr
    answers = json.loads((tmp_path / "answers.json").read_text())
    status = answers.pop("status")
    assert status["messages"] == {}
    assert status["snapshotEntry"] > 0

    sources = {source: FakeSource() for source in SOURCES}
    for source, data in sources.items():
        count = int((tmp_path / f"{source}.position").read_text())
        assert count > ROUNDS
        for number in range(1, count + 1):
            data.apply(change(source, number))

    received: dict[str, Consumer] = {}
    for line in (tmp_path / "target.jsonl").read_text().splitlines():
        event = json.loads(line)
        received.setdefault(event["queryId"], Consumer()).take(event)

    assert set(answers) == set(queries(ROUNDS + 1))
    for query, definition in queries(ROUNDS + 1).items():
        engine = Engine()
        for subscription in definition["sources"]["subscriptions"]:
            source = subscription["id"]
            for element in sources[source].elements.values():
                engine.apply(Insert(made(source, element, 0)))
        engine.add("query", compile_query(definition["query"], column_names="short"))
        expected = {row.id: dict(row) for row in engine.rows("query")}
        assert dict(answers[query]["rows"]) == expected, query
        assert received[query].rows == expected, query
        assert received[query].sequence == answers[query]["sequence"]
        # Once started, the answer is never lost: one bootstrap in all these lives.
        assert received[query].signals == ["bootstrapStarted", "bootstrapCompleted", "running"]
