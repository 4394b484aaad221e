"""Bodies of management requests: manifests as JSON or YAML."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from drasi.errors import DrasiError
from drasi.resources.load import Document, load
from drasi.resources.problems import Problem

LARGEST: Final = 8_000_000
_YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


class BodyTooLarge(DrasiError):
    code = "TooLarge"


class UnsupportedMediaType(DrasiError):
    code = "UnsupportedMediaType"


async def read_documents(request: Request) -> list[Document]:
    """The documents of the body, YAML or JSON; what cannot be read carries its error.

    Raises:
        BodyTooLarge, UnsupportedMediaType: As they say.
    """
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media not in _YAML and not media.endswith("json") and media not in ("", "text/plain", "application/octet-stream"):
        raise UnsupportedMediaType(f"'{media}' is not understood", hint="send application/json or application/yaml")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise BodyTooLarge(f"the body is larger than {LARGEST} bytes", hint="apply fewer documents at once")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        problem = Problem(path="", code="InvalidYaml", message=f"cannot read document 1: not UTF-8 at byte {error.start}")
        return [Document(1, None, error=problem)]
    return load(text)


def as_manifest(document: Document, kind: str, name: str, tag: str | None) -> Document:
    """The body of a ``PUT`` as a whole manifest: it is one already, or the spec alone."""
    data = document.data
    whole = isinstance(data, dict) and "spec" in data and ("apiVersion" in data or "name" in data)
    if whole or document.error is not None:
        if isinstance(data, dict) and tag is not None:
            data.setdefault("tag", tag)
        return document
    manifest: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "name": name, "spec": data}
    if tag is not None:
        manifest["tag"] = tag
    wrapped = Document(document.number, manifest, document.text, document.file)
    wrapped.places = {("spec", *path): place for path, place in document.places.items()}
    wrapped.keys = {("spec", *path): place for path, place in document.keys.items()}
    return wrapped
