"""Status of a container and its queries (cli-and-api.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drasi.container.bootstrap import Progress
from drasi.container.build import Build
from drasi.container.deadletters import Letter
from drasi.container.group import Group
from drasi.container.machine import Machine
from drasi.container.query import Query

_WORDS = {"running": "Running", "bootstrapping": "Bootstrapping", "stopped": "Stopped", "failed": "TerminalError"}
_SAMPLE = 10


def query_status(machine: Machine, query: Query, progress: Mapping[int, Progress], container: str, host: str) -> dict[str, Any]:
    group = machine.groups.get(query.group) if query.group is not None else None
    builds = _builds(query, group)
    word = _WORDS[query.state]
    message = query.error
    warnings = _warnings(machine, query)
    for report in [report for build in builds if (report := progress.get(build.number)) is not None]:
        if report.missing:
            text = f"MissingSource: waits for source {report.source}"
            word, message = ("Configured", text) if query.state == "bootstrapping" else (word, message)
            warnings.append({"code": "MissingSource", "message": text})
        elif report.error and query.state == "bootstrapping":
            word, message = "TransientError", f"source {report.source}: {report.error}"
    status: dict[str, Any] = {
        "hostName": host,
        "status": word,
        "container": container,
        "errorMessage": message,
        "version": query.version,
        "sequence": query.sequence,
        "rows": query.rows,
        "sources": {
            source: _source(machine, source, builds, progress) for source in (query.definition.needs if query.definition else ())
        },
        "deadLetters": sum(machine.letters.count(source) for source in (query.definition.needs if query.definition else ())),
        "warnings": warnings,
    }
    if group is not None:
        status["clockMs"] = group.engine.clock
        errors = row_errors(machine, query)
        status["rowErrors"] = {"count": len(errors), "sample": errors[:_SAMPLE]}
    if builds and query.state == "bootstrapping":
        status["bootstrap"] = _bootstrap(builds)
    return status


def row_errors(machine: Machine, query: Query) -> list[dict[str, Any]]:
    group = machine.groups.get(query.group) if query.group is not None else None
    if group is None or query.id not in group.engine.names():
        return []
    return [
        {
            "type": error.type,
            "detail": error.detail,
            "message": error.message,
            "elements": [{"source": source, "id": id_} for source, id_ in error.elements],
        }
        for error in group.engine.errors(query.id)
    ]


def dead_letter(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "source": letter.source,
        "position": letter.position,
        "at": instant(letter.at_ns),
        "error": letter.error,
        "entry": letter.entry,
        "size": letter.size,
        "element": letter.element,
        "superseded": letter.superseded,
    }


def instant(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _warnings(machine: Machine, query: Query) -> list[dict[str, Any]]:
    if query.definition is None:
        return []
    found = [{"code": warning.code, "message": warning.message} for warning in query.definition.compiled.warnings]
    for source in query.definition.needs:
        if source in machine.ahead:
            text = f"a change of source {source} is dated {instant(machine.ahead[source])}; the clock does not follow it that far"
            found.append({"code": "ClockAhead", "message": text})
    return found


def _builds(query: Query, group: Group | None) -> list[Build]:
    """The readings that a query waits for."""
    if group is None or query.definition is None:
        return []
    needs = query.definition.needs
    return [build for build in group.builds.values() if build.source in needs and build.wanted & needs[build.source]]


def _source(machine: Machine, source: str, builds: list[Build], progress: Mapping[int, Progress]) -> dict[str, Any]:
    state = "running"
    for build in builds:
        if build.source == source:
            report = progress.get(build.number)
            state = (
                "missing"
                if report is not None and report.missing
                else "failing"
                if report is not None and report.error
                else "reading"
            )
    found: dict[str, Any] = {"state": state}
    positions = machine.watermarks.positions(source)
    if positions:
        found["position"] = positions[""] if set(positions) == {""} else positions
    latest = machine.latest.get(source)
    if latest is not None:
        found["lagMs"] = max(0, (latest[1] - latest[0]) // 1_000_000)
    return found


def _bootstrap(builds: list[Build]) -> dict[str, Any]:
    build = next((build for build in builds if not build.read), builds[0])
    found: dict[str, Any] = {"source": build.source, "done": build.done}
    if build.total is not None:
        found["total"] = build.total
        found["percent"] = 100 if not build.total else min(100, build.done * 100 // build.total)
    return found
