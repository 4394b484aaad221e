"""The OpenAPI document of management, made from the tables of routes."""

from __future__ import annotations

from typing import Any, Final

from drasi.resources.resource import CONTINUOUS_QUERY, QUERY_CONTAINER, REACTION, ROUTES, SOURCE

_ID: Final = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "description": "the name, or name:tag"}
_PROBLEM: Final = {
    "description": "what is wrong, and where",
    "content": {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        "text/plain": {"schema": {"type": "string"}},
    },
}


def document(version: str) -> dict[str, Any]:
    """The document, for ``/api-doc/openapi.json``."""
    paths: dict[str, Any] = {
        "/v1/apply": {"post": _manifests("apply", "Validates documents together and applies them in order", dry_run=True)},
        "/v1/validate": {"post": _manifests("validate", "Validates documents together", dry_run=False)},
        "/v1/status": {
            "get": _reading("status", "Versions, counts, lag and errors of everything", "installation", {"type": "object"})
        },
    }
    for route, kind in ROUTES.items():
        paths |= _resource_paths(route, kind)
    paths |= _query_paths()
    paths |= _access_paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Drasi management",
            "version": version,
            "description": "Sources, continuous queries and reactions as resources.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"token": []}],
    }


def _resource_paths(route: str, kind: str) -> dict[str, Any]:
    resource = {"$ref": "#/components/schemas/Resource"}
    one = f"/v1/{route}/{{id}}"
    paths: dict[str, Any] = {
        f"/v1/{route}": {
            "get": _reading(
                f"list{kind}",
                f"All of kind {kind}",
                kind,
                {"type": "array", "items": resource},
                parameters=[
                    _query_parameter("limit", "integer", "at most so many (500)"),
                    _query_parameter("cursor", "string", "go on after this name; see the Link header"),
                    _query_parameter("labels", "string", "only those with these labels: a=b,c=d"),
                ],
            )
        },
        one: {
            "parameters": [_ID],
            "get": _reading(f"get{kind}", f"One {kind}", kind, resource, missing=True),
            "put": {
                "operationId": f"put{kind}",
                "tags": [kind],
                "summary": f"Creates or updates a {kind}",
                "parameters": [
                    _query_parameter("dryRun", "boolean", "validate only"),
                    _header("If-Match", 'the version to change, as "3"'),
                    _header("If-None-Match", "*: create only"),
                    _header("Prefer", "return=created: 201 when it is new"),
                ],
                "requestBody": _body("the spec, or a whole manifest"),
                "responses": {
                    "200": _answer("the resource", resource),
                    "201": _answer("created", resource),
                    "400": _PROBLEM,
                    "409": _PROBLEM,
                },
            },
            "delete": {
                "operationId": f"delete{kind}",
                "tags": [kind],
                "summary": f"Deletes a {kind} with its state",
                "parameters": [
                    _query_parameter("force", "boolean", "also if it is in use"),
                    _header("If-Match", "only this version"),
                ],
                "responses": {"204": {"description": "deleted"}, "404": _PROBLEM, "409": _PROBLEM},
            },
        },
        f"{one}/status": {
            "parameters": [_ID],
            "get": _reading(f"status{kind}", "Its status", kind, {"type": "object"}, missing=True),
        },
        f"{one}/versions": {
            "parameters": [_ID],
            "get": _reading(f"versions{kind}", "The last 20 specs", kind, _objects(), missing=True),
        },
        f"{one}/errors": {
            "parameters": [_ID],
            "get": _reading(f"errors{kind}", "Row errors and dead letters", kind, _objects(), missing=True),
        },
    }
    if kind in (SOURCE, REACTION, QUERY_CONTAINER, CONTINUOUS_QUERY):
        paths[f"{one}/ready-wait"] = {
            "parameters": [_ID],
            "get": {
                "operationId": f"wait{kind}",
                "tags": [kind],
                "summary": "Answers when it is ready",
                "parameters": [_query_parameter("timeout", "integer", "seconds, 60 if not given, at most 300")],
                "responses": {"200": {"description": "ready"}, "400": _PROBLEM, "404": _PROBLEM, "503": _PROBLEM},
            },
        }
    if kind in (SOURCE, REACTION, CONTINUOUS_QUERY):
        for verb, text in (("start", "Resumes it"), ("stop", "Pauses it")):
            paths[f"{one}/{verb}"] = {
                "parameters": [_ID],
                "post": {
                    "operationId": f"{verb}{kind}",
                    "tags": [kind],
                    "summary": text,
                    "responses": {"202": {"description": "accepted"}, "404": _PROBLEM},
                },
            }
    return paths


def _query_paths() -> dict[str, Any]:
    base = "/v1/continuousQueries/{id}"
    after = _query_parameter("after", "integer", "only what comes after this sequence")
    event = {"$ref": "#/components/schemas/ResultEvent"}
    tag = CONTINUOUS_QUERY
    return {
        f"{base}/rows": {
            "parameters": [_ID],
            "get": _reading("rows", "The result: a header, then the rows", tag, _objects(), missing=True),
        },
        f"{base}/events": {
            "parameters": [_ID],
            "get": {
                "operationId": "events",
                "tags": [tag],
                "summary": "Result events, one a line; open until the limit is reached",
                "parameters": [after, _query_parameter("limit", "integer", "end after so many")],
                "responses": {
                    "200": {
                        "description": "events",
                        "content": {"application/x-ndjson": {"schema": event}, "text/event-stream": {"schema": event}},
                    },
                    "404": _PROBLEM,
                    "410": {"description": "trimmed: requested, earliest, latest"},
                },
            },
        },
        f"{base}/watch": {
            "parameters": [_ID],
            "get": _reading(
                "watch",
                "The result as events, then every event",
                tag,
                {"type": "array", "items": event},
                missing=True,
                parameters=[after],
            ),
        },
        f"{base}/explain": {"parameters": [_ID], "get": _reading("explain", "The plan", tag, {"type": "object"}, missing=True)},
    }


def _access_paths() -> dict[str, Any]:
    tag = "access"
    text, number = {"type": "string"}, {"type": "integer"}
    key = {"$ref": "#/components/schemas/SigningKey"}
    secret = [{**_ID, "name": name, "description": f"{name} of the secret"} for name in ("name", "key")]
    wanted = {
        "type": "object",
        "required": ["subject", "scope"],
        "properties": {
            "subject": text,
            "scope": {"oneOf": [text, {"type": "array", "items": text}]},
            "ttlSeconds": {**number, "default": 3600, "minimum": 1, "maximum": 86400},
        },
    }
    token = {"type": "object", "required": ["token", "expires"], "properties": {"token": text, "expires": text}}
    overlap = {"type": "object", "properties": {"overlapSeconds": {**number, "default": 86400, "minimum": 0}}}
    return {
        "/v1/tokens": {"post": _sending("createToken", "A token of the installation", tag, wanted, {"201": _answer("it", token)})},
        "/v1/keys": {"get": _reading("listKeys", "The signing keys' public parts", tag, {"type": "array", "items": key})},
        "/v1/keys/rotate": {
            "post": _sending(
                "rotateKeys", "A new signing key; the old ones verify a while longer", tag, overlap, {"201": _answer("it", key)}
            )
        },
        "/v1/secrets/{name}/{key}": {
            "parameters": secret,
            "put": _sending(
                "putSecret",
                "Keeps a secret; it is never readable",
                tag,
                {"type": "object", "required": ["value"], "properties": {"value": text}},
                {"204": {"description": "kept"}},
            ),
            "delete": {
                "operationId": "deleteSecret",
                "tags": [tag],
                "summary": "Forgets a key of a secret",
                "responses": {"204": {"description": "gone"}, "404": _PROBLEM},
            },
        },
    }


def _sending(operation: str, summary: str, tag: str, schema: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation,
        "tags": [tag],
        "summary": summary,
        "requestBody": {"description": "JSON", "content": {"application/json": {"schema": schema}}},
        "responses": {**answers, "400": _PROBLEM},
    }


def _reading(
    operation: str,
    summary: str,
    tag: str,
    schema: dict[str, Any],
    *,
    missing: bool = False,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": _answer(summary, schema)}
    if missing:
        responses["404"] = _PROBLEM
    return {"operationId": operation, "tags": [tag], "summary": summary, "parameters": parameters or [], "responses": responses}


def _manifests(operation: str, summary: str, *, dry_run: bool) -> dict[str, Any]:
    outcomes = {"type": "array", "items": {"$ref": "#/components/schemas/Outcome"}}
    parameters = [_query_parameter("dryRun", "boolean", "only say what would happen")] if dry_run else []
    return {
        "operationId": operation,
        "tags": ["manifests"],
        "summary": summary,
        "parameters": parameters,
        "requestBody": _body("documents separated by ---, or a JSON list of them"),
        "responses": {"200": _answer("what became of each", outcomes), "400": _PROBLEM},
    }


def _body(description: str) -> dict[str, Any]:
    content = {media: {"schema": {"type": ["object", "array"]}} for media in ("application/json", "application/yaml")}
    return {"required": True, "description": description, "content": content}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _objects() -> dict[str, Any]:
    return {"type": "array", "items": {"type": "object"}}


def _query_parameter(name: str, type_name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": {"type": type_name}}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


def _schemas() -> dict[str, Any]:
    text = {"type": "string"}
    number = {"type": "integer"}
    problem_item = {
        "type": "object",
        "required": ["path", "code", "message"],
        "properties": dict.fromkeys(("path", "code", "message", "hint", "excerpt"), text) | {"line": number, "column": number},
    }
    problems = {"type": "array", "items": {"$ref": "#/components/schemas/ManifestProblem"}}
    return {
        "ManifestProblem": problem_item,
        "Problem": {
            "type": "object",
            "required": ["title", "status", "code", "detail"],
            "properties": dict.fromkeys(("type", "title", "code", "detail", "hint", "traceId"), text)
            | {"status": number, "errors": problems},
        },
        "Outcome": {
            "type": "object",
            "required": ["kind", "name", "result"],
            "properties": {
                "kind": text,
                "name": text,
                "result": {"enum": ["created", "updated", "unchanged", "failed"]},
                "version": number,
                "replaced": {"type": "boolean"},
                "warnings": problems,
                "errors": problems,
            },
        },
        "Resource": {
            "type": "object",
            "required": ["id", "spec", "status", "version"],
            "properties": {
                "id": text,
                "spec": {"type": "object"},
                "status": {"type": "object"},
                "version": number,
                "tag": text,
                "labels": {"type": "object", "additionalProperties": text},
                "annotations": {"type": "object", "additionalProperties": text},
                "warnings": problems,
            },
        },
        "SigningKey": {
            "type": "object",
            "required": ["kid", "alg", "state", "created", "retires", "jwk"],
            "properties": dict.fromkeys(("kid", "alg", "created"), text)
            | {"state": {"enum": ["current", "retiring"]}, "retires": {"type": ["string", "null"]}, "jwk": {"type": "object"}},
        },
        "ResultEvent": {
            "type": "object",
            "required": ["kind", "queryId", "sequence", "sourceTimeMs"],
            "properties": {
                "kind": {"enum": ["change", "control"]},
                "queryId": text,
                "sequence": number,
                "sourceTimeMs": number,
                "addedResults": _objects(),
                "updatedResults": _objects(),
                "deletedResults": _objects(),
                "addedRowIds": {"type": "array", "items": text},
                "deletedRowIds": {"type": "array", "items": text},
                "controlSignal": {"type": "object"},
                "metadata": {"type": "object"},
            },
        },
    }
