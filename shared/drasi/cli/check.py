"""``drasi validate``: all checks of manifests, without a server."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from drasi.cli.manifests import placed, read
from drasi.cli.options import FAILED, OK, CommandFailed, Session
from drasi.resources.known import Known
from drasi.resources.problems import Problem, caret
from drasi.resources.validate import Report, validate


def validate_files(session: Session, places: Sequence[str], *, strict: bool) -> int:
    """Prints what is wrong, each with its place; exit code 1 if something is."""
    documents = read(places)
    if not documents:
        raise CommandFailed(f"no manifests found in {', '.join(places)}")
    reports = validate(documents, Known.of([]))
    errors = sum(len(report.errors) for report in reports)
    warnings = sum(len(report.warnings) for report in reports)
    if session.output != "text":
        session.show([_data(report) for report in reports], "")
    else:
        for report in reports:
            for problem in report.errors:
                print(_described("error", report, problem))
            for problem in report.warnings:
                print(_described("warning", report, problem))
        session.say(f"{_count(len(reports), 'document')}, {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return FAILED if errors or (strict and warnings) else OK


def _described(word: str, report: Report, problem: Problem) -> str:
    document = report.document
    inside_text = problem.excerpt is not None and document.error is None
    excerpt = problem.excerpt
    place = document.file
    if inside_text:
        # The place is inside a text of the manifest; the manifest's own line leads there.
        outer = placed(document, msgspec.structs.replace(problem, excerpt=None))
        place += f":{outer.line}:{outer.column}" if outer.line else ""
    elif problem.line:
        place += f":{problem.line}:{problem.column}"
        excerpt = caret(document.text, problem.line, problem.column or 1) or None
    text = msgspec.structs.replace(problem, excerpt=excerpt).text()
    return f"{place}: {word}: {report.path}: {problem.code}: {text}"


def _data(report: Report) -> dict[str, object]:
    return {
        "file": report.document.file,
        "document": report.document.number,
        "kind": report.kind,
        "name": report.name,
        "errors": msgspec.to_builtins(report.errors),
        "warnings": msgspec.to_builtins(report.warnings),
    }


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
