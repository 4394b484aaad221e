"""The management function: resources over REST (cli-and-api.md section 4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from drasi.auth.issue import TokenIssuer
from drasi.auth.keys import MemoryKeyStore
from drasi.errors import DrasiError
from drasi.resources.apply import Outcome, Result
from drasi.resources.problems import Problem
from drasi.resources.resource import CONTINUOUS_QUERY, KINDS, QUERY_CONTAINER, REACTION, ROUTE_OF, ROUTES, SOURCE, Resource
from drasi.resources.store import Conflict
from drasi.resources.validate import Report
from drasi.web.authentication import SUBJECT
from drasi.web.installation import Installation
from drasi.web.openapi import document
from drasi.web.problems import on_defect, on_drasi_error, on_http_error, problem, refused
from drasi.web.query_proxy import query_routes
from drasi.web.request_body import as_manifest, read_documents
from drasi.web.secrets import secret_routes
from drasi.web.tokens import token_routes

WAITABLE: Final = (SOURCE, REACTION, QUERY_CONTAINER, CONTINUOUS_QUERY)
PAUSABLE: Final = (SOURCE, REACTION, CONTINUOUS_QUERY)
LONGEST_WAIT_S: Final = 300
_PAGE: Final = 500
_MOST_DIGITS: Final = 100  # int() refuses thousands of them
_PAGES: Final = Path(__file__).parent / "pages"

Handler = Callable[[Request], Awaitable[Response]]


class BadRequest(DrasiError):
    code = "BadRequest"


def server_version() -> str:
    """The version of the library."""
    try:
        return version("drasi")
    except PackageNotFoundError:
        return "0.0.0"


def management_routes(
    installation: Installation, issuer: TokenIssuer | None = None, rotated: Callable[[], None] = lambda: None
) -> list[BaseRoute]:
    """Every route of management, for an application that serves other functions as well.

    Args:
        issuer: Signs the installation's tokens; None: with a key of this process alone.
        rotated: Told when the signing keys have changed.
    """
    api = _Api(installation)
    routes: list[BaseRoute] = [
        Route("/v1/apply", api.apply, methods=["POST"]),
        Route("/v1/validate", api.validate, methods=["POST"]),
        Route("/v1/status", api.overview),
    ]
    for route, kind in ROUTES.items():
        base = f"/v1/{route}"
        routes.append(Route(base, api.of(kind, api.list)))
        one = base + "/{id}"
        if kind in WAITABLE:
            routes.append(Route(one + "/ready-wait", api.of(kind, api.ready_wait)))
        if kind in PAUSABLE:
            routes.append(Route(one + "/start", api.of(kind, api.start), methods=["POST"]))
            routes.append(Route(one + "/stop", api.of(kind, api.stop), methods=["POST"]))
        routes += [
            Route(one + "/status", api.of(kind, api.status)),
            Route(one + "/versions", api.of(kind, api.versions)),
            Route(one + "/errors", api.of(kind, api.errors)),
        ]
    routes += query_routes(installation)
    routes += secret_routes(installation)
    routes += token_routes(issuer or TokenIssuer(MemoryKeyStore()), rotated=rotated)
    # After the longer paths, which these would not match but which read better first.
    for route, kind in ROUTES.items():
        routes.append(Route(f"/v1/{route}/{{id}}", api.by_verb(kind), methods=["GET", "PUT", "DELETE"]))
    return [*routes, Route("/api-doc/openapi.json", api.openapi), Route("/swagger-ui/", _page)]


def management_app(
    installation: Installation, issuer: TokenIssuer | None = None, rotated: Callable[[], None] = lambda: None
) -> Starlette:
    """Management alone, as the management function serves it."""
    return Starlette(
        routes=[*management_routes(installation, issuer, rotated), *_health(installation)],
        exception_handlers={DrasiError: on_drasi_error, HTTPException: on_http_error, Exception: on_defect},
    )


def resource_json(resource: Resource, status: Mapping[str, Any]) -> dict[str, Any]:
    """A resource in the form of the API."""
    body: dict[str, Any] = {"id": resource.name, "spec": resource.spec, "status": status, "version": resource.version}
    if resource.tag is not None:
        body["tag"] = resource.tag
    if resource.labels:
        body["labels"] = resource.labels
    if resource.annotations:
        body["annotations"] = resource.annotations
    if resource.warnings:
        body["warnings"] = resource.warnings
    return body


class _Api:
    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def of(self, kind: str, handler: Callable[[Request, str], Awaitable[Response]]) -> Handler:
        """A handler of one kind's path."""

        async def handle(request: Request) -> Response:
            _check_api_version(request)
            return await handler(request, kind)

        return handle

    def by_verb(self, kind: str) -> Handler:
        async def handle(request: Request) -> Response:
            _check_api_version(request)
            if request.method == "PUT":
                return await self.put(request, kind)
            if request.method == "DELETE":
                return await self.delete(request, kind)
            return await self.get(request, kind)

        return handle

    async def list(self, request: Request, kind: str) -> Response:
        limit = _whole(request, "limit", _PAGE, least=1, most=_PAGE)
        cursor = request.query_params.get("cursor", "")
        wanted = [part.partition("=")[::2] for part in request.query_params.get("labels", "").split(",") if part]
        found = [
            resource
            for resource in await self._installation.store.of_kind(kind)
            if resource.name > cursor and all(resource.labels.get(name) == value for name, value in wanted)
        ]
        page = await self._installation.current(found[:limit])
        body = [resource_json(resource, await self._installation.status(resource)) for resource in page]
        headers = {}
        if len(found) > limit:
            query = urlencode({**request.query_params, "limit": limit, "cursor": page[-1].name})
            headers["Link"] = f'</v1/{ROUTE_OF[kind]}?{query}>; rel="next"'
        return _json(body, headers=headers)

    async def get(self, request: Request, kind: str) -> Response:
        resource = await self._installation.get(kind, _name(request)[0])
        return await self._resource(resource)

    async def put(self, request: Request, kind: str) -> Response:
        name, tag = _name(request)
        documents = await read_documents(request)
        if len(documents) != 1:
            raise BadRequest(f"a PUT takes one document, not {len(documents)}", hint="several go to POST /v1/apply")
        manifest = as_manifest(documents[0], kind, name, tag)
        mismatch = _mismatch(manifest.data, kind, name)
        if mismatch is not None:
            return refused(request, [mismatch])
        dry_run = _flag(request, "dryRun")
        report, outcome = await self._installation.put(
            manifest, expected=_expected(request), dry_run=dry_run, author=_author(request)
        )
        if outcome is None:
            return refused(request, report.errors, more={"warnings": report.warnings})
        if dry_run:
            return _json({"result": outcome.result, "version": outcome.version, "warnings": outcome.warnings})
        if outcome.result == "failed":
            return problem(request, 503, outcome.errors[0].code, outcome.errors[0].message, errors=outcome.errors)
        created = outcome.result == "created" and "return=created" in request.headers.get("prefer", "")
        return await self._resource(await self._installation.get(kind, name), 201 if created else 200)

    async def delete(self, request: Request, kind: str) -> Response:
        name, _ = _name(request)
        await self._installation.delete(kind, name, force=_flag(request, "force"), expected=_expected(request))
        return Response(status_code=204)

    async def ready_wait(self, request: Request, kind: str) -> Response:
        name, _ = _name(request)
        timeout = _whole(request, "timeout", 60, least=0, most=10**9)
        if timeout > LONGEST_WAIT_S:
            raise BadRequest(f"timeout must be less than {LONGEST_WAIT_S} seconds")
        ready, never = await self._installation.wait_ready(kind, name, timeout)
        if ready:
            return Response(status_code=200)
        detail = never or f"not ready after {timeout} s"
        status = await self._installation.status(await self._installation.get(kind, name))
        return problem(request, 503, "NotReady", detail, more={"resourceStatus": status})

    async def start(self, request: Request, kind: str) -> Response:
        return await self._set_stopped(request, kind, stopped=False)

    async def stop(self, request: Request, kind: str) -> Response:
        return await self._set_stopped(request, kind, stopped=True)

    async def _set_stopped(self, request: Request, kind: str, *, stopped: bool) -> Response:
        await self._installation.set_stopped(kind, _name(request)[0], stopped)
        return Response(status_code=202)

    async def status(self, request: Request, kind: str) -> Response:
        resource = await self._installation.get(kind, _name(request)[0])
        return _json(await self._installation.status(resource))

    async def versions(self, request: Request, kind: str) -> Response:
        name, _ = _name(request)
        await self._installation.get(kind, name)
        kept = await self._installation.store.versions(kind, name)
        return _json([{"version": one.version, "time": one.changed_ms, "author": one.author, "spec": one.spec} for one in kept])

    async def errors(self, request: Request, kind: str) -> Response:
        name, _ = _name(request)
        await self._installation.get(kind, name)
        return _json(list(await self._installation.runtime.errors(kind, name)))

    async def apply(self, request: Request) -> Response:
        _check_api_version(request)
        documents = await read_documents(request)
        dry_run = _flag(request, "dryRun")
        outcomes, valid = await self._installation.apply(documents, dry_run=dry_run, author=_author(request))
        if not valid:
            errors = [error for outcome in outcomes for error in outcome.errors]
            return refused(request, errors, more={"documents": outcomes})
        return _json(outcomes)

    async def validate(self, request: Request) -> Response:
        _check_api_version(request)
        reports = await self._installation.validate(await read_documents(request))
        outcomes = [_judged(report) for report in reports]
        errors = [error for report in reports for error in report.errors]
        if errors:
            return refused(request, errors, more={"documents": outcomes})
        return _json(outcomes)

    async def overview(self, request: Request) -> Response:
        installation = self._installation
        counts: dict[str, int] = {}
        unwell: list[dict[str, Any]] = []
        lag: dict[str, Any] = {}
        for kind in KINDS:
            resources = await installation.store.of_kind(kind)
            counts[ROUTE_OF[kind]] = len(resources)
            for resource in resources:
                status = await installation.status(resource)
                if status.get("lagMs") is not None:
                    lag[resource.path] = status["lagMs"]
                failed = status.get("available") is False or status.get("status") in ("TransientError", "TerminalError")
                row_errors = status.get("rowErrors") or {}
                letters = status.get("deadLetters") or 0
                if failed or (isinstance(row_errors, Mapping) and row_errors.get("count")) or letters:
                    unwell.append({"kind": kind, "name": resource.name, "status": status})
        versions = {"drasi": server_version()}
        return _json({"versions": versions, "profile": installation.profile, "counts": counts, "lagMs": lag, "errors": unwell})

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(document(server_version()))

    async def _resource(self, resource: Resource, status_code: int = 200) -> Response:
        await self._installation.current([resource])
        body = resource_json(resource, await self._installation.status(resource))
        return _json(body, status_code, headers={"ETag": f'"{resource.version}"'})


def _health(installation: Installation) -> list[BaseRoute]:
    async def healthz(request: Request) -> Response:
        return Response()

    async def readyz(request: Request) -> Response:
        await installation.store.note("readyz")
        return Response()

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


async def _page(request: Request) -> Response:
    return FileResponse(_PAGES / "api.html")


def _json(body: Any, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json", headers=dict(headers or {}))


def _judged(report: Report) -> Outcome:
    result: Result = "failed" if report.errors else "unchanged"
    return Outcome(kind=report.kind, name=report.name, result=result, errors=report.errors, warnings=report.warnings)


def _name(request: Request) -> tuple[str, str | None]:
    name, _, tag = request.path_params["id"].partition(":")
    return name, tag or None


def _mismatch(data: Any, kind: str, name: str) -> Problem | None:
    from drasi.resources.resource import kind_named

    if not isinstance(data, dict):
        return None
    for path, said, wanted in (("name", data.get("name"), name), ("kind", data.get("kind"), kind)):
        if isinstance(said, str) and (said != wanted if path == "name" else kind_named(said.strip()) not in (kind, None)):
            return Problem(path=path, code="NameMismatch", message=f"the path says '{wanted}', the manifest '{said}'")
    return None


def _check_api_version(request: Request) -> None:
    asked = request.headers.get("api-version", "v1")
    if asked != "v1":
        raise BadRequest(f"api-version '{asked}' is not supported; use 'v1'")


def _expected(request: Request) -> int | None:
    """The version that ``If-Match`` or ``If-None-Match`` demands; None: any."""
    if request.headers.get("if-none-match", "").strip() == "*":
        return 0
    match = request.headers.get("if-match", "").strip()
    if match in ("", "*"):
        return None
    number = match.removeprefix("W/").strip('"')
    if not number.isascii() or not number.isdigit() or len(number) > _MOST_DIGITS:
        raise Conflict
    return int(number)


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false", "1", "0", ""):
        raise BadRequest(f"{name} must be true or false, not '{text}'")
    return text in ("true", "1", "")


def _whole(request: Request, name: str, default: int, *, least: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS or not least <= int(text) <= most:
        raise BadRequest(f"{name} must be a whole number between {least} and {most}, not '{text[:50]}'")
    return int(text)


def _author(request: Request) -> str:
    return str(request.scope.get(SUBJECT, "local"))


__all__ = ["management_app", "management_routes", "resource_json", "server_version"]
