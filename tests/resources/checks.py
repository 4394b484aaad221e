"""Manifests in, problems out: the shortest form for tests."""

from __future__ import annotations

from drasi.resources.known import Known
from drasi.resources.load import load
from drasi.resources.problems import Problem
from drasi.resources.validate import Report, validate


def reports(text: str, known: Known | None = None) -> list[Report]:
    return validate(load(text, "manifest.yaml"), known or Known.of([]))


def report(text: str, known: Known | None = None) -> Report:
    (found,) = reports(text, known)
    return found


def errors(text: str, known: Known | None = None) -> list[Problem]:
    return report(text, known).errors


def found(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in problems]


def query(text: str = "MATCH (s:Ship) RETURN s.name AS name", more: str = "", subscription: str = "{id: harbour-db}") -> str:
    lines = "\n".join(f"    {line}" for line in text.splitlines())
    return f"""
apiVersion: v1
kind: ContinuousQuery
name: ships
spec:
  sources:
    subscriptions: [{subscription}]
{more}
  query: |
{lines}
"""
