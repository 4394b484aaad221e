"""``drasi explain``: the plan of a query text, or of a running query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drasi.cli.manifests import SUFFIXES, read
from drasi.cli.options import OK, CommandFailed, Session
from drasi.resources.resource import CONTINUOUS_QUERY, kind_named


async def explain(session: Session, word: str, *, code: bool) -> int:
    """Files are compiled here; a name is asked of the installation."""
    plans = _local(word)
    if plans is None:
        plans = [(word, await _running(session, word))]
    shown = [(name, plan if code else _without_code(plan)) for name, plan in plans]
    if session.output != "text":
        session.show([{"id": name, "plan": plan} for name, plan in shown], "")
        return OK
    for index, (name, plan) in enumerate(shown):
        if len(shown) > 1:
            print(("\n" if index else "") + f"{name}:")
        print(plan.rstrip())
    return OK


def _local(word: str) -> list[tuple[str, str]] | None:
    """The plans of manifests, of a file with a query text, of a query text; None: it is a name."""
    path = Path(word)
    if path.is_dir() or path.suffix in SUFFIXES:
        return [(name, _compiled(spec)) for name, spec in _queries(path)]
    if any(character.isspace() for character in word.strip()):
        return [("query", _compiled({"query": word, "columnNames": "text"}))]
    if path.is_file():
        return [(path.stem, _compiled({"query": path.read_text(encoding="utf-8"), "columnNames": "text"}))]
    return None


def _queries(path: Path) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for document in read([path]):
        data = document.data
        if (
            isinstance(data, dict)
            and kind_named(str(data.get("kind", ""))) == CONTINUOUS_QUERY
            and isinstance(data.get("spec"), dict)
        ):
            found.append((str(data.get("name", "query")), data["spec"]))
    if not found:
        raise CommandFailed(f"{path}: no ContinuousQuery found")
    return found


def _compiled(spec: dict[str, Any]) -> str:
    from drasi import ContinuousQuery
    from drasi.errors import QueryError

    sources = spec.get("sources") or {}
    parameters = spec.get("parameters") or {}
    options: dict[str, Any] = {}
    if sources.get("joins"):
        from drasi import Join

        options["joins"] = [
            Join(join["id"], keys=[(key["label"], key["property"]) for key in join["keys"]]) for join in sources["joins"]
        ]
    try:
        query = ContinuousQuery(
            str(spec.get("query", "")),
            language=str(spec.get("queryLanguage", "cypher")).lower(),
            parameters=parameters,
            column_names=spec.get("columnNames", "short"),
            **options,
        )
    except QueryError as error:
        raise CommandFailed(str(error)) from error
    return query.explain()


async def _running(session: Session, name: str) -> str:
    from drasi.cli.api import Api, Refused, path_of
    from drasi.cli.queries import not_found

    async with Api(session) as api:
        try:
            answer = await api.get(f"{path_of(CONTINUOUS_QUERY, name)}/explain")
        except Refused as error:
            raise not_found(error, name) from error
    return str(answer["plan"])


def _without_code(plan: str) -> str:
    # The plan has no blank line; one stands between it and the code.
    return plan.partition("\n\n")[0]
