"""``drasi login``: a token from an OIDC issuer by the device flow (RFC 8628), in which the browser may be on another machine."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from drasi.cli.api import Api, Refused
from drasi.cli.credentials import LOOPBACK, forget_login, keep_login
from drasi.cli.options import FAILED, NOT_AUTHORISED, OK, USAGE, CommandFailed, Session, transport

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER_S = 5.0


async def login(session: Session, issuer: str | None, client_id: str, scope: str) -> int:
    """Shows where to go with which code, waits until a person has been there, and keeps the token."""
    if not issuer:
        raise CommandFailed("who is the issuer?", exit_code=USAGE, hint="name it with --issuer or DRASI_OIDC_ISSUER")
    async with httpx.AsyncClient(timeout=30, transport=transport.get(), headers={"Accept": "application/json"}) as client:
        configuration = await _get(client, f"{_safe(issuer).rstrip('/')}/.well-known/openid-configuration")
        if configuration.get("issuer") != issuer:
            raise CommandFailed(f"{issuer} says that it is another issuer", hint="write it as it writes itself, to the last slash")
        begin, end = configuration.get("device_authorization_endpoint"), configuration.get("token_endpoint")
        if not isinstance(begin, str) or not isinstance(end, str):
            raise CommandFailed(f"{issuer} has no device flow", hint="make a token with 'drasi token create', and use --token")
        status, device = await _post(client, _safe(begin), {"client_id": client_id, "scope": scope})
        if status != 200 or not isinstance(device.get("device_code"), str):
            raise CommandFailed(f"{issuer} refused: {_error(device, status)}", hint="is the client known to it? see --client-id")
        where = device.get("verification_uri_complete") or device.get("verification_uri")
        session.say(f"Open {where} and enter the code {device.get('user_code')}")
        granted = await _granted(client, _safe(end), client_id, device)
    token = next((word for word in (granted.get("access_token"), granted.get("id_token")) if _is_jwt(word)), None)
    if token is None:
        raise CommandFailed(f"{issuer} gave no token that says what it is", hint="it must issue JWT access tokens or ID tokens")
    claims = _claims(token)
    await _try(session, token)
    keep_login(session.url, token, claims.get("exp"))
    session.say(f"Logged in to {session.url} as {claims.get('sub')}")
    return OK


async def logout(session: Session) -> int:
    """Forgets the token."""
    if forget_login(session.url):
        session.say(f"Logged out of {session.url}")
    else:
        session.say(f"Not logged in to {session.url}")
    return OK


async def _granted(client: httpx.AsyncClient, url: str, client_id: str, device: Mapping[str, Any]) -> dict[str, Any]:
    """Asks until a person has decided."""
    interval = float(device.get("interval", 5))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + float(device.get("expires_in", 900))
    form = {"grant_type": _GRANT, "device_code": str(device["device_code"]), "client_id": client_id}
    while loop.time() < deadline:
        await asyncio.sleep(interval)
        status, answer = await _post(client, url, form)
        if status == 200:
            return answer
        error = answer.get("error")
        if error == "slow_down":
            interval += _SLOWER_S
        elif error == "access_denied":
            raise CommandFailed("the login was refused", exit_code=NOT_AUTHORISED)
        elif error != "authorization_pending":
            raise CommandFailed(f"the login failed: {_error(answer, status)}", exit_code=NOT_AUTHORISED, hint="log in again")
    raise CommandFailed("nobody entered the code in time", exit_code=NOT_AUTHORISED, hint="log in again")


async def _try(session: Session, token: str) -> None:
    """Shows the token to the installation: one that it does not accept is not kept."""
    shown = Session(session.url, token, session.namespace, session.output, session.quiet, session.color, session.state)
    try:
        async with Api(shown) as api:
            await api.send("GET", "/v1/status")
    except Refused as error:
        if error.status == 401:
            raise CommandFailed(
                f"{session.url} does not accept tokens of this issuer",
                exit_code=NOT_AUTHORISED,
                hint="it must be set up for it: DRASI_OIDC_ISSUER, DRASI_OIDC_AUDIENCE, DRASI_OIDC_ROLES",
            ) from error


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    try:
        answer = await client.get(url)
        content = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError) as error:
        raise CommandFailed(f"{url} cannot be read: {type(error).__name__}", hint="is this the issuer's URL?") from error
    if not isinstance(content, dict):
        raise CommandFailed(f"{url} answered {answer.status_code}", exit_code=FAILED, hint="is this the issuer's URL?")
    return content


async def _post(client: httpx.AsyncClient, url: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    try:
        answer = await client.post(url, data=dict(form))
        content = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise CommandFailed(f"{url} cannot be used: {type(error).__name__}", hint="try again") from error
    return answer.status_code, content if isinstance(content, dict) else {}


def _safe(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise CommandFailed(f"'{url}' is no https URL", exit_code=USAGE)
    return url


def _error(answer: Mapping[str, Any], status: int) -> str:
    return str(answer.get("error_description") or answer.get("error") or status)


def _is_jwt(word: object) -> bool:
    return isinstance(word, str) and bool(_claims(word))


def _claims(token: str) -> dict[str, Any]:
    """What a token says of itself, for showing it; the installation is the one to verify it."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, msgspec.MsgspecError):
        return {}
    return claims if isinstance(claims, dict) else {}
