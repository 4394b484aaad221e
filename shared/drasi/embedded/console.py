"""The console as it is now: one page that lists what runs, with links. Its own issue brings the rest."""

from __future__ import annotations

from html import escape
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from drasi.resources.resource import CONTINUOUS_QUERY, REACTION, SOURCE, Resource
from drasi.web.installation import Installation

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th, td { padding: 0.35rem 0.8rem 0.35rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
"""


def console_app(installation: Installation) -> Starlette:
    """Serves ``/`` and ``/console``."""

    async def page(request: Request) -> Response:
        return HTMLResponse(await _page(installation))

    async def style(request: Request) -> Response:
        return Response(_STYLE, media_type="text/css")

    return Starlette(routes=[Route("/", page), Route("/console", page), Route("/console/style.css", style)])


async def _page(installation: Installation) -> str:
    queries = await _rows(installation, CONTINUOUS_QUERY, _query)
    sources = await _rows(installation, SOURCE, _source)
    reactions = await _rows(installation, REACTION, _reaction)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Drasi</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/console/style.css"></head><body>
<h1>Drasi</h1>
<p><a href="/swagger-ui/">API</a> · <a href="/v1/status">Status</a> · <a href="/metrics">Metrics</a></p>
<h2>Queries</h2>{_table(("query", "status", "rows", "sequence", ""), queries)}
<h2>Sources</h2>{_table(("source", "kind", "available", "messages"), sources)}
<h2>Reactions</h2>{_table(("reaction", "kind", "available", "messages"), reactions)}
</body></html>"""


async def _rows(installation: Installation, kind: str, cells: Any) -> list[tuple[str, ...]]:
    return [cells(resource, await installation.status(resource)) for resource in await installation.store.of_kind(kind)]


def _query(query: Resource, status: dict[str, Any]) -> tuple[str, ...]:
    path = f"/queries/{query.name}"
    return (
        f'<a href="{path}">{query.name}</a>',
        escape(str(status.get("status", ""))),
        escape(str(status.get("rows", ""))),
        escape(str(status.get("sequence", ""))),
        f'<a href="{path}/events">events</a> · <a href="/v1/continuousQueries/{query.name}/explain">plan</a>',
    )


def _source(source: Resource, status: dict[str, Any]) -> tuple[str, ...]:
    return (source.name, escape(str(source.spec.get("kind", ""))), *_health(status))


def _reaction(reaction: Resource, status: dict[str, Any]) -> tuple[str, ...]:
    kind = str(reaction.spec.get("kind", ""))
    name = f'<a href="/reactions/{reaction.name}/">{reaction.name}</a>' if kind == "Debug" else reaction.name
    return (name, escape(kind), *_health(status))


def _health(status: dict[str, Any]) -> tuple[str, str]:
    messages = status.get("messages") or {}
    return "yes" if status.get("available") else "no", "<br>".join(escape(f"{name}: {text}") for name, text in messages.items())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return "<p>none yet: <code>drasi apply -f FILE</code></p>"
    heading = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"
