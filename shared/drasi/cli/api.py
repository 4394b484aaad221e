"""The management function over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import msgspec

from drasi.cli.credentials import token_for
from drasi.cli.options import FAILED, NOT_AUTHORISED, CommandFailed, Session, transport
from drasi.resources.problems import Problem
from drasi.resources.resource import KINDS, ROUTE_OF, kind_named

# One answer; streams and waits have their own.
_PATIENCE_S = 35.0
_TOKEN_HINT = "give it with --token or DRASI_TOKEN, use 'drasi login', or name the state directory of 'drasi run' with --state"  # noqa: S105


class Refused(CommandFailed):
    """An answer that is no success.

    Attributes:
        status: The HTTP status.
        reason: ``400 Bad Request``.
        body: The problem's members, or ``{"detail": text}``.
    """

    code = "Refused"

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.reason = f"{status} {httpx.codes.get_reason_phrase(status)}"
        self.body = body
        exit_code = NOT_AUTHORISED if status in (401, 403) else FAILED
        hint = _TOKEN_HINT if status == 401 else str(body.get("hint") or "")
        super().__init__(str(body.get("detail") or self.reason), exit_code=exit_code, hint=hint)

    @property
    def problems(self) -> list[Problem]:
        """What is wrong in a manifest."""
        return msgspec.convert(self.body.get("errors") or [], list[Problem])


class Api:
    """Requests to one installation. Use as an async context manager."""

    def __init__(self, session: Session) -> None:
        headers = {"Accept": "application/json"}
        token = token_for(session)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if not _is_address(session.url):
            raise CommandFailed(
                f"'{session.url}' is no address of an installation", hint="write it like http://127.0.0.1:8080", exit_code=2
            )
        self._session = session
        self._client = httpx.AsyncClient(
            base_url=session.url, headers=headers, timeout=_PATIENCE_S, transport=transport.get(), trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout_s: float = _PATIENCE_S,
    ) -> httpx.Response:
        """One request.

        Raises:
            Refused: The answer is no success.
            CommandFailed: There was no answer.
        """
        content = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} if content is not None else None
        try:
            response = await self._client.request(method, path, params=params, content=content, headers=headers, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_success:
            return response
        raise Refused(response.status_code, _problem_of(response))

    async def get(self, path: str, **params: Any) -> Any:
        """The decoded answer to a GET."""
        return self.decoded(await self.send("GET", path, params=params))

    def decoded(self, response: httpx.Response) -> Any:
        """What the answer says.

        Raises:
            CommandFailed: It is no JSON: something else listens there.
        """
        try:
            return msgspec.json.decode(response.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            url = self._session.url
            raise CommandFailed(f"what listens at {url} is no Drasi", hint="say where it is with --url or DRASI_URL") from error

    @asynccontextmanager
    async def stream(self, path: str, **params: Any) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a long answer."""
        timeout = httpx.Timeout(_PATIENCE_S, read=None)
        try:
            async with self._client.stream("GET", path, params=params, timeout=timeout) as response:
                if not response.is_success:
                    await response.aread()
                    raise Refused(response.status_code, _problem_of(response))
                yield response.aiter_lines()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.HTTPError) -> CommandFailed:
        url = self._session.url
        if isinstance(error, httpx.ConnectError):
            return CommandFailed(
                f"nothing listens at {url}", hint="start it with 'drasi run DIR', or say where it is with --url or DRASI_URL"
            )
        if isinstance(error, httpx.TimeoutException):
            return CommandFailed(f"{url} did not answer in time", hint="see its log")
        return CommandFailed(f"the connection to {url} broke: {str(error) or type(error).__name__}", hint="try again")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _problem_of(response: httpx.Response) -> Mapping[str, Any]:
    if "json" in response.headers.get("content-type", ""):
        try:
            body = msgspec.json.decode(response.content)
        except msgspec.DecodeError:
            body = None
        if isinstance(body, dict):
            return body
    return {"detail": response.text.strip()}


def parse_kind(word: str) -> str:
    """The kind that a person wrote.

    Raises:
        CommandFailed: Usage: there is no such kind.
    """
    kind = kind_named(word)
    if kind is None:
        supported = ", ".join(sorted(name.lower() for name in (*KINDS, "Query")))
        raise CommandFailed(f"unknown resource kind '{word}'. Supported kinds are: {supported}", exit_code=2)
    return kind


def path_of(kind: str, name: str = "") -> str:
    """``/v1/sources`` or ``/v1/sources/name``."""
    return f"/v1/{ROUTE_OF[kind]}" + (f"/{name}" if name else "")
