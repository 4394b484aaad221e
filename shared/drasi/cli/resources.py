"""Verbs about resources: apply, delete, list, describe, wait, start, stop, errors, version."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from drasi.cli.api import Api, Refused, parse_kind, path_of
from drasi.cli.manifests import chosen, placed, plain
from drasi.cli.options import FAILED, OK, TIMEOUT, CommandFailed, Session, warn
from drasi.cli.tables import cell, table
from drasi.resources.apply import Outcome
from drasi.resources.load import Document
from drasi.resources.problems import Problem
from drasi.resources.resource import (
    CONTINUOUS_QUERY,
    KINDS,
    QUERY_CONTAINER,
    REACTION,
    REACTION_PROVIDER,
    SOURCE,
    SOURCE_PROVIDER,
    kind_named,
)

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    SOURCE: ("available", "ingress_url", "messages"),
    REACTION: ("available", "ingress_url", "messages"),
    QUERY_CONTAINER: ("available", "messages"),
    CONTINUOUS_QUERY: ("container", "errorMessage", "hostName", "status"),
    SOURCE_PROVIDER: (),
    REACTION_PROVIDER: (),
}
_MORE: Final[Mapping[str, tuple[str, ...]]] = {
    SOURCE: ("position", "lagMs", "publishedTotal", "lastChange", "deadLetters", "startedBy"),
    REACTION: ("queries", "deadLetters"),
    QUERY_CONTAINER: ("instances", "entry", "snapshotEntry", "elements", "bytes", "store"),
    CONTINUOUS_QUERY: ("version", "sequence", "rows", "clockMs", "nextTimerMs", "bootstrap", "rowErrors", "deadLetters"),
    SOURCE_PROVIDER: (),
    REACTION_PROVIDER: (),
}
_WAITABLE: Final = (QUERY_CONTAINER, SOURCE, CONTINUOUS_QUERY, REACTION)
_REFRESH_S: Final = 1.0


async def apply(session: Session, arguments: Sequence[str], files: bool, *, dry_run: bool, wait: bool, timeout_s: int) -> int:
    """Sends all documents together; what is wrong with any of them is shown, and nothing is applied then."""
    documents = chosen(arguments, files)
    content = [plain(document) for document in documents]
    async with Api(session) as api:
        try:
            response = await api.send("POST", "/v1/apply", params={"dryRun": "true"} if dry_run else None, body=content)
        except Refused as error:
            if "documents" not in error.body:
                raise
            _report_refusal(documents, error)
            return error.exit_code
        outcomes = msgspec.convert(api.decoded(response), list[Outcome])
        if session.output != "text":
            session.show(msgspec.to_builtins(outcomes), "")
        for document, outcome in zip(documents, outcomes, strict=True):
            _report_outcome(session, document, outcome)
        failed = any(outcome.result == "failed" for outcome in outcomes)
        if failed or not wait or dry_run:
            return FAILED if failed else OK
        waiting = [(outcome.kind, outcome.name) for outcome in outcomes if outcome.kind in _WAITABLE]
        return await _wait_for(session, api, waiting, timeout_s)


def _report_outcome(session: Session, document: Document, outcome: Outcome) -> None:
    if outcome.result == "failed":
        error = outcome.errors[0] if outcome.errors else Problem(path="", code="Failed", message="failed")
        warn(f"Error: Apply: {outcome.kind}/{outcome.name}: {error.code} : {error.text()}")
    elif session.output == "text":
        result = f"{outcome.result} (replaced)" if outcome.replaced else outcome.result
        print(f"Apply: {outcome.kind}/{outcome.name}: complete ({result})", flush=True)
    for warning in outcome.warnings:
        warn(f"  warning: {warning.code}: {_first_line(placed(document, warning), document)}")


def _report_refusal(documents: Sequence[Document], error: Refused) -> None:
    outcomes = msgspec.convert(error.body["documents"], list[Outcome])
    for document, outcome in zip(documents, outcomes, strict=True):
        if not outcome.errors:
            continue
        warn(f"Error: Apply: {outcome.kind or '?'}/{outcome.name or '?'}: {error.reason} : {outcome.errors[0].code}")
        for problem in outcome.errors:
            warn("  " + _first_line(placed(document, problem), document))
            if problem.excerpt:
                warn(problem.excerpt + (f" {problem.hint}" if problem.hint else ""))


def _first_line(problem: Problem, document: Document) -> str:
    """The problem without its excerpt, and where it stands in the file."""
    line = msgspec.structs.replace(problem, excerpt=None, hint=None if problem.excerpt else problem.hint).text()
    # Inside a query text or a template the place is said by the message and the excerpt.
    if document.file and problem.line is not None and problem.excerpt is None:
        line += f" ({document.file}:{problem.line}:{problem.column})"
    return line


async def delete(session: Session, arguments: Sequence[str], files: bool, *, yes: bool, force: bool) -> int:
    """Deletes in reverse dependency order; one failure does not stop the others."""
    targets = _targets(chosen(arguments, files))
    targets.sort(key=lambda target: KINDS.index(target[0]), reverse=True)
    if not (yes or files) and sys.stdin.isatty():
        names = ", ".join(f"{kind}/{name}" for kind, name in targets)
        answer = await asyncio.to_thread(input, f"Delete {names}? (yes/no): ")
        if answer.strip().lower() not in ("y", "yes"):
            session.say("Delete cancelled")
            return FAILED
    code = OK
    async with Api(session) as api:
        for kind, name in targets:
            try:
                await api.send("DELETE", path_of(kind, name), params={"force": "true"} if force else None)
            except Refused as error:
                warn(f"Error: Delete: {kind}/{name}: {error.reason}" + _why(error))
                code = error.exit_code
            else:
                session.say(f"Delete: {kind}/{name}: complete")
    return code


async def list_kind(session: Session, word: str, *, wide: bool) -> int:
    """The table of a kind; wide and on a terminal it is drawn anew every second."""
    kind = parse_kind(word)
    async with Api(session) as api:
        if not (wide and session.on_terminal and session.output == "text"):
            resources = await _all(api, kind)
            session.show(resources, _listing(kind, resources, wide))
            return OK
        from rich.live import Live
        from rich.text import Text

        from drasi.cli.keys import pressed, waited

        async with pressed("q") as quit_:
            with Live(auto_refresh=False) as shown:
                while True:
                    listing = Text(_listing(kind, await _all(api, kind), wide), no_wrap=True, overflow="ellipsis")
                    shown.update(listing, refresh=True)
                    if await waited(quit_, _REFRESH_S):
                        return OK


async def _all(api: Api, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        params = {"cursor": found[-1]["id"]} if found else None
        response = await api.send("GET", path_of(kind), params=params)
        found += api.decoded(response)
        if "link" not in response.headers:
            return found


def _listing(kind: str, resources: Iterable[Mapping[str, Any]], wide: bool) -> str:
    columns = sorted(_COLUMNS[kind], key=str.upper) + (list(_MORE[kind]) if wide else [])
    rows = [[resource["id"], *(_cell(resource.get("status") or {}, name) for name in columns)] for resource in resources]
    return table(["ID", *(name.upper() for name in columns)], rows)


def _cell(status: Mapping[str, Any], name: str) -> Any:
    value = status.get(name)
    if name == "rowErrors" and isinstance(value, dict):
        return value.get("count")
    if name == "queries" and isinstance(value, dict):
        return ", ".join(_followed(query, standing) for query, standing in value.items())
    return value


def _followed(query: str, standing: Any) -> str:
    """How far a reaction is with one of its queries."""
    if not isinstance(standing, dict):
        return f"{query} {cell(standing)}"
    text = f"{query} {standing.get('sequence')}"
    return (
        text
        + (f" ({standing['behind']} behind)" if standing.get("behind") else "")
        + (" failing" if standing.get("failing") else "")
    )


async def describe(session: Session, word: str, name: str) -> int:
    """One resource as YAML, or as JSON with ``--output json``."""
    from drasi.cli.options import as_yaml

    kind = parse_kind(word)
    async with Api(session) as api:
        found = await _one(api, kind, name)
    shown = {"id": found["id"], "kind": kind, "spec": found["spec"], "status": found["status"]}
    for extra in ("version", "tag", "labels", "annotations", "warnings"):
        if found.get(extra):
            shown[extra] = found[extra]
    session.show(shown, as_yaml(shown).rstrip("\n") if session.output == "text" else "")
    return OK


async def _one(api: Api, kind: str, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = await api.get(path_of(kind, name))
    except Refused as error:
        if error.status == 404:
            raise CommandFailed(f"there is no {kind} '{name}'", hint=f"see 'drasi list {kind.lower()}'") from error
        raise
    return found


async def wait(session: Session, arguments: Sequence[str], files: bool, *, timeout_s: int) -> int:
    """Waits for all documents side by side."""
    targets = [target for target in _targets(chosen(arguments, files)) if target[0] in _WAITABLE]
    async with Api(session) as api:
        return await _wait_for(session, api, targets, timeout_s)


async def _wait_for(session: Session, api: Api, targets: Sequence[tuple[str, str]], timeout_s: int) -> int:
    for kind, name in targets:
        session.say(f"Waiting for {kind}/{name} to come online")
    if session.on_terminal and not session.quiet and targets:
        from rich.console import Console

        names = ", ".join(name for _, name in targets)
        with Console().status(f"waiting for {names}"):
            codes = await asyncio.gather(*(_wait_one(session, api, kind, name, timeout_s) for kind, name in targets))
    else:
        codes = await asyncio.gather(*(_wait_one(session, api, kind, name, timeout_s) for kind, name in targets))
    return max(codes, default=OK)


async def _wait_one(session: Session, api: Api, kind: str, name: str, timeout_s: int) -> int:
    begun = time.monotonic()
    try:
        await api.send("GET", path_of(kind, name) + "/ready-wait", params={"timeout": timeout_s}, timeout_s=timeout_s + 30)
    except Refused as error:
        status = error.body.get("resourceStatus")
        last = f" (last status: {msgspec.json.encode(status).decode()})" if status else ""
        warn(f"Error: Wait {kind}/{name}: {error.reason}{_why(error)}{last}")
        timed_out = error.status == 503 and time.monotonic() - begun >= timeout_s
        return TIMEOUT if timed_out else error.exit_code
    session.say(f"Wait {kind}/{name} online")
    return OK


async def set_running(session: Session, word: str, name: str, verb: str) -> int:
    """``start`` or ``stop``."""
    kind = parse_kind(word)
    async with Api(session) as api:
        await _one(api, kind, name)
        await api.send("POST", f"{path_of(kind, name)}/{verb}")
    session.say(f"{verb.capitalize()}: {kind}/{name}: complete")
    return OK


async def errors(session: Session, word: str, name: str) -> int:
    """Row errors and dead letters of one resource, newest last."""
    kind = parse_kind(word)
    async with Api(session) as api:
        await _one(api, kind, name)
        found = await api.get(f"{path_of(kind, name)}/errors")
    rows = []
    for one in found:
        kind_of_error = ": ".join(str(one[part]) for part in ("type", "detail") if one.get(part))
        text = one.get("message") or one.get("error") or ""
        place = one.get("position") or one.get("elements") or one.get("rowId") or ""
        rows.append([one.get("what", ""), one.get("id", ""), one.get("at") or one.get("since") or "", place, kind_of_error, text])
    listing = table(["WHAT", "ID", "SINCE", "POSITION", "TYPE", "MESSAGE"], rows) if rows else "no errors"
    session.show(found, listing)
    return OK


async def version(session: Session) -> int:
    """That of the command line, and that of the server if one answers."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        own = installed("drasi")
    except PackageNotFoundError:
        own = "0.0.0"
    print(f"Drasi CLI version: {own}")
    try:
        async with Api(session) as api:
            response = await api.send("GET", "/v1/status", timeout_s=3)
            print(f"Drasi server version: {msgspec.json.decode(response.content)['versions']['drasi']}")
    except (CommandFailed, msgspec.DecodeError, KeyError, TypeError):
        pass
    return OK


def _targets(documents: Sequence[Document]) -> list[tuple[str, str]]:
    targets = []
    for document in documents:
        data = plain(document)
        kind = kind_named(str(data.get("kind", ""))) if isinstance(data, dict) else None
        name = data.get("name") if isinstance(data, dict) else None
        if kind is None or not isinstance(name, str):
            where = f"{document.file}, document {document.number}" if document.file else f"document {document.number}"
            raise CommandFailed(f"{where}: a manifest needs kind and name")
        targets.append((kind, name))
    return targets


def _why(error: Refused) -> str:
    detail = error.body.get("detail")
    text = f" : {detail}" if detail else ""
    return text + (f"; {error.hint}" if error.hint else "")
