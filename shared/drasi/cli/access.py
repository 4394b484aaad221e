"""Tokens, signing keys and secrets of an installation."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from drasi.cli.api import Api
from drasi.cli.options import OK, USAGE, CommandFailed, Session
from drasi.cli.tables import table
from drasi.resources.schedule import seconds


async def create_token(session: Session, scope: Sequence[str], ttl: str, subject: str | None) -> int:
    """Prints a new token, and nothing else."""
    words = [word for part in scope for word in part.replace(",", " ").split()]
    body = {"subject": subject or getpass.getuser(), "scope": words, "ttlSeconds": duration(ttl, "--ttl")}
    async with Api(session) as api:
        answer = await api.send("POST", "/v1/tokens", body=body)
    token = msgspec.json.decode(answer.content)
    session.show(token, token["token"])
    return OK


async def list_keys(session: Session) -> int:
    """The signing keys, the current one last."""
    async with Api(session) as api:
        keys = await api.get("/v1/keys")
    rows = [(key["kid"], key["alg"], key["state"], key["created"], key["retires"]) for key in keys]
    session.show(keys, table(("KID", "ALG", "STATE", "CREATED", "RETIRES"), rows))
    return OK


async def rotate_keys(session: Session, overlap: str) -> int:
    """Makes a new signing key."""
    body = {"overlapSeconds": duration(overlap, "--overlap")}
    async with Api(session) as api:
        answer = await api.send("POST", "/v1/keys/rotate", body=body)
    key = msgspec.json.decode(answer.content)
    session.show(key, f"{key['kid']} signs from now on; the keys before it verify for {overlap} more")
    return OK


async def set_secret(session: Session, name: str, key: str, value: str | None) -> int:
    """Keeps a secret; without ``value`` it is read from standard input, where no list of processes shows it."""
    if value is None:
        value = getpass.getpass(f"{name} {key}: ") if sys.stdin.isatty() else sys.stdin.read().removesuffix("\n")
    if not value:
        raise CommandFailed("no value provided", exit_code=USAGE)
    async with Api(session) as api:
        await api.send("PUT", _path(name, key), body={"value": value})
    return OK


async def delete_secret(session: Session, name: str, key: str) -> int:
    """Forgets a key of a secret."""
    async with Api(session) as api:
        await api.send("DELETE", _path(name, key))
    return OK


def duration(text: str, option: str) -> int:
    """``24h``, ``90s``, ``1h30m`` or seconds, as whole seconds.

    Raises:
        CommandFailed: Usage.
    """
    found = float(text) if text.isascii() and text.isdigit() else seconds(text)
    if found is None or found != int(found):
        raise CommandFailed(f"{option} must be a duration such as 30m, 24h or 0s, not '{text}'", exit_code=USAGE)
    return int(found)


def _path(name: str, key: str) -> str:
    return f"/v1/secrets/{quote(name, safe='')}/{quote(key, safe='')}"
