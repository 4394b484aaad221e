"""apply, delete, list, describe, wait, start, stop, errors, version: outputs and exit codes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Drasi
from tests.web.managed import ALL, QUERY, REACTION, SOURCE


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    (tmp_path / "source.yaml").write_text(SOURCE)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "queries.yml").write_text(QUERY + "---" + REACTION)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "broken.yaml").write_text("a: [")
    (tmp_path / "notes.txt").write_text("no manifest")
    return tmp_path


def test_apply_of_a_directory(drasi: Drasi, manifests: Path) -> None:
    assert drasi("apply", "-f", str(manifests)) == 0
    assert drasi.out.splitlines() == [
        "Apply: ContinuousQuery/ticks: complete (created)",
        "Apply: Reaction/printer: complete (created)",
        "Apply: Source/clock: complete (created)",
    ]
    assert drasi("apply", "-f", str(manifests)) == 0
    assert "Apply: Source/clock: complete (unchanged)" in drasi.out


def test_apply_of_standard_input(drasi: Drasi) -> None:
    assert drasi("apply", stdin=ALL) == 0
    assert "Apply: Reaction/printer: complete (created)" in drasi.out


def test_warnings_stand_below_with_their_place(drasi: Drasi, tmp_path: Path) -> None:
    file = tmp_path / "query.yaml"
    file.write_text(QUERY.lstrip())
    assert drasi("apply", "-f", str(file)) == 0
    assert drasi.err == (
        "  warning: MissingSource: spec.sources.subscriptions[0].id: source 'clock' does not exist yet; the query waits for it "
        f"({file}:5:34)\n"
    )


def test_a_refusal_shows_every_error_with_excerpt_caret_and_hint(drasi: Drasi, tmp_path: Path) -> None:
    file = tmp_path / "query.yaml"
    file.write_text(
        """kind: ContinuousQuery
apiVersion: v1
name: berth-load
spec:
  sources:
    subscription: [{id: harbour}]
  query: |
    MATCH (ship:Ship)
    WHERE ship.draught > 8
    RETURN shp.name AS name
"""
    )
    assert drasi("apply", "-f", str(file)) == 1
    lines = drasi.err.splitlines()
    assert lines[0] == "Error: Apply: ContinuousQuery/berth-load: 400 Bad Request : UnknownField"
    assert f"  spec.sources.subscription: unknown field; did you mean 'subscriptions'? ({file}:6:5)" in lines
    place = next(index for index, line in enumerate(lines) if line.startswith("  spec.query: SyntaxError: UndefinedVariable: "))
    assert lines[place].endswith("at line 3, column 8")
    assert lines[place + 1] == "    3 | RETURN shp.name AS name"
    assert lines[place + 2].startswith("      |        ^^^ did you mean ")
    assert drasi.out == ""


def test_places_of_problems_in_later_documents_of_a_file(drasi: Drasi, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(SOURCE.lstrip() + "---\n" + REACTION.lstrip().replace("kind: Log", "kind: Lgo"))
    assert drasi("apply", "-f", str(file)) == 1
    assert f"spec.kind: Schema not initialized for kind: Lgo; did you mean 'Log'? ({file}:9:14)" in drasi.err


def test_what_cannot_be_read_is_not_sent(drasi: Drasi, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("a: 1\na: 2\n")
    assert drasi("apply", "-f", str(file)) == 1
    assert drasi.err.startswith(f"Error: {file}: cannot read document 1: key 'a' is there twice\n    2 | a: 2\n      | ^")


UNKNOWN_KIND = (
    "Error: unknown resource kind 'ships'. Supported kinds are: "
    "continuousquery, query, querycontainer, reaction, reactionprovider, source, sourceprovider\n"
)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["apply"], 1, "Error: no manifests found. Did you forget to specify the '-f' flag\n"),
        (["apply", "a"], 2, "Error: invalid argument count: expected 0 or 2 arguments, got 1\n"),
        (["apply", "-f", "nowhere.yaml"], 1, "Error: nowhere.yaml: no such file or directory\n"),
        (
            ["list", "ships"],
            2,
            UNKNOWN_KIND,
        ),
        (["describe", "source", "nobody"], 1, "Error: there is no Source 'nobody'; see 'drasi list source'\n"),
        (["rows", "nothing"], 1, "Error: there is no query 'nothing'; see 'drasi list query'\n"),
        (["events", "nothing"], 1, "Error: there is no query 'nothing'; see 'drasi list query'\n"),
        (["watch", "nothing"], 1, "Error: there is no query 'nothing'; see 'drasi list query'\n"),
        (["stop", "querycontainer", "default"], 1, "Error: Not Found\n"),
    ],
)
def test_what_goes_wrong(drasi: Drasi, arguments: list[str], code: int, message: str) -> None:
    assert drasi(*arguments) == code
    assert drasi.err == message


def test_dry_run(drasi: Drasi) -> None:
    assert drasi("apply", "--dry-run", stdin=SOURCE) == 0
    assert drasi.out == "Apply: Source/clock: complete (created)\n"
    drasi("list", "source")
    assert drasi.out.splitlines() == ["ID  AVAILABLE  INGRESS_URL  MESSAGES"]


def test_a_failed_document_fails_the_command(drasi: Drasi) -> None:
    drasi.managed.runtime.broken.add("clock")
    assert drasi("apply", stdin=ALL) == 1
    assert "Error: Apply: Source/clock: OutOfOrder : clock cannot start" in drasi.err
    assert "Error: Apply: Reaction/printer: NotApplied : not applied: ContinuousQuery/ticks failed" in drasi.err


def test_apply_and_wait(drasi: Drasi) -> None:
    assert drasi("apply", "--wait", "-t", "1", stdin=ALL) == 0
    assert drasi.out.splitlines()[3:6] == [
        "Waiting for Reaction/printer to come online",
        "Waiting for ContinuousQuery/ticks to come online",
        "Waiting for Source/clock to come online",
    ]
    assert "Wait ContinuousQuery/ticks online" in drasi.out


def test_wait_that_times_out(drasi: Drasi) -> None:
    drasi("apply", stdin=ALL)
    drasi.managed.runtime.statuses["ContinuousQuery", "ticks"]["status"] = "Bootstrapping"
    assert drasi("wait", "query", "ticks", "-t", "1") == 3
    assert drasi.err.startswith("Error: Wait ContinuousQuery/ticks: 503 Service Unavailable : not ready after 1 s (last status: {")
    assert '"status":"Bootstrapping"' in drasi.err


def test_wait_that_never_ends_well(drasi: Drasi) -> None:
    drasi("apply", stdin=ALL)
    drasi.managed.runtime.statuses["ContinuousQuery", "ticks"] |= {"status": "TerminalError", "errorMessage": "PathLimit"}
    assert drasi("wait", "query", "ticks") == 1
    assert "503 Service Unavailable : PathLimit" in drasi.err
    assert drasi("wait", "source", "nobody") == 1
    assert "404 Not Found" in drasi.err


def test_list(drasi: Drasi) -> None:
    drasi("apply", stdin=ALL)
    drasi.managed.runtime.statuses["Source", "clock"] = {"available": False, "messages": {"Origin": "gone"}, "lagMs": 12}
    assert drasi("list", "SOURCE") == 0
    assert drasi.out.splitlines() == [
        "ID     AVAILABLE  INGRESS_URL  MESSAGES",
        "clock  false                   Origin: gone",
    ]
    assert drasi("list", "query") == 0
    assert drasi.out.splitlines() == [
        "ID     CONTAINER  ERRORMESSAGE  HOSTNAME  STATUS",
        "ticks  default                            Running",
    ]
    drasi("list", "source", "-w")
    assert drasi.out.splitlines()[0].split()[4:] == [
        "POSITION",
        "LAGMS",
        "PUBLISHEDTOTAL",
        "LASTCHANGE",
        "DEADLETTERS",
        "STARTEDBY",
    ]
    drasi("list", "source", "--output", "json")
    assert json.loads(drasi.out)[0]["status"]["lagMs"] == 12


def test_list_says_how_far_a_reaction_is(drasi: Drasi) -> None:
    drasi("apply", stdin=ALL)
    standing = {"sequence": 7, "behind": 0, "failing": False, "lastError": None}
    late = {"sequence": 3, "behind": 4, "failing": True, "lastError": "503"}
    drasi.managed.runtime.statuses["Reaction", "printer"] = {"available": True, "queries": {"ticks": standing, "tocks": late}}
    drasi("list", "reaction", "-w")
    assert "ticks 7, tocks 3 (4 behind) failing" in drasi.out


def test_describe(drasi: Drasi) -> None:
    drasi("apply", stdin=QUERY.replace("query: MATCH", "query: |\n    // counts\n    MATCH"))
    assert drasi("describe", "query", "ticks") == 0
    lines = drasi.out.splitlines()
    assert lines[:3] == ["id: ticks", "kind: ContinuousQuery", "spec:"]
    assert "  query: |" in lines, "a text of several lines stays one"
    assert "status:" in lines
    drasi("describe", "query", "ticks", "--output", "json")
    assert json.loads(drasi.out)["spec"]["sources"] == {"subscriptions": [{"id": "clock"}]}


def test_delete_in_reverse_order(drasi: Drasi, manifests: Path) -> None:
    drasi("apply", "-f", str(manifests))
    assert drasi("delete", "-f", str(manifests)) == 0
    assert drasi.out.splitlines() == [
        "Delete: Reaction/printer: complete",
        "Delete: ContinuousQuery/ticks: complete",
        "Delete: Source/clock: complete",
    ]
    assert drasi("delete", "source", "clock") == 1
    assert drasi.err.startswith("Error: Delete: Source/clock: 404 Not Found : Resource not found")


def test_delete_of_what_is_in_use(drasi: Drasi) -> None:
    drasi("apply", stdin=ALL)
    assert drasi("delete", "querycontainer", "default") == 1
    assert "409 Conflict : QueryContainer/default is used by ContinuousQuery/ticks" in drasi.err
    assert drasi("delete", "querycontainer", "default", "--force") == 0


def test_on_a_terminal_delete_asks(drasi: Drasi) -> None:
    drasi("apply", stdin=ALL)
    drasi.monkeypatch.setattr("builtins.input", lambda question: "no")
    drasi.on_terminal = True
    assert drasi("delete", "source", "clock") == 1
    assert drasi.out == "Delete cancelled\n"
    assert drasi("delete", "source", "clock", "-y") == 0


def test_stop_and_start(drasi: Drasi) -> None:
    drasi("apply", stdin=ALL)
    assert drasi("stop", "source", "clock") == 0
    assert drasi.out == "Stop: Source/clock: complete\n"
    assert asyncio.run(drasi.managed.installation.get("Source", "clock")).stopped
    assert drasi("start", "source", "clock", "--quiet") == 0
    assert drasi.out == ""
    assert not asyncio.run(drasi.managed.installation.get("Source", "clock")).stopped


def test_errors(drasi: Drasi) -> None:
    drasi("apply", stdin=ALL)
    assert drasi("errors", "query", "ticks") == 0
    assert drasi.out == "no errors\n"
    drasi.managed.runtime.found_errors["ticks"] = [
        {
            "what": "rowError",
            "type": "ArithmeticError",
            "detail": "DivisionByZero",
            "message": "by zero",
            "elements": ["a"],
            "since": "2026",
        }
    ]
    drasi("errors", "query", "ticks")
    heading, line = drasi.out.splitlines()
    assert heading.split() == ["WHAT", "ID", "SINCE", "POSITION", "TYPE", "MESSAGE"]
    assert line.split() == ["rowError", "2026", '["a"]', "ArithmeticError:", "DivisionByZero", "by", "zero"]


def test_version(drasi: Drasi) -> None:
    assert drasi("version") == 0
    first, second = drasi.out.splitlines()
    assert first.startswith("Drasi CLI version: ")
    assert second == first.replace("CLI", "server")


def test_url_and_token_of_options_and_environment(drasi: Drasi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRASI_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("DRASI_TOKEN", "abc")
    assert drasi("list", "source", "-n", "elsewhere") == 0
