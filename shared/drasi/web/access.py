"""Who is let in to a process: the issuers that its environment names, and the layers around its application.

===========================  =============================================================================================
variable                     meaning
===========================  =============================================================================================
``DRASI_INSECURE_NO_AUTH``   ``true``: no token is checked, and only a loopback address is answered; not in a cluster
``DRASI_KEYS``               file with the installation's signing keys: this process signs and verifies
``DRASI_JWKS_URL``           where the installation's public keys are, for a process that verifies only
``DRASI_INSTALLATION``       the installation's id; needed with ``DRASI_JWKS_URL``
``DRASI_AUDIENCE``           this function's URL: tokens for it are accepted besides those for the installation
``DRASI_PUSH_ACCOUNT``       email of the service account that Pub/Sub pushes as
``DRASI_PUSH_AUDIENCE``      audience of its subscriptions
``DRASI_PUSH_KEYS_URL``      where Google's public keys are, for tests that sign with their own
``DRASI_OIDC_ISSUER``        the OIDC issuer of people
``DRASI_OIDC_AUDIENCE``      audiences of its tokens, separated by blanks (``drasi``)
``DRASI_OIDC_ALGORITHMS``    ``RS256``, ``ES256`` or both (both)
``DRASI_OIDC_ROLES``         JSON: a word of the claims ``groups`` or ``scope`` → list of scopes (``auth.oidc.roles``)
===========================  =============================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import ClassVar, Final

from starlette.types import ASGIApp

from drasi.auth import issuers
from drasi.auth.issue import TokenIssuer
from drasi.auth.issuers import TrustedIssuer
from drasi.auth.jwks import FetchedKeys, KeySource, RingKeys, over_http
from drasi.auth.key_file import KeyFile
from drasi.auth.keys import KeyStore
from drasi.auth.verify import Verifier
from drasi.errors import DrasiError
from drasi.web.authentication import Authentication
from drasi.web.guard import Guard
from drasi.web.scrubbing import scrub_logs
from drasi.web.sign_in import SignIn

KEYS_FILE: Final = "keys.json"
"""Of a state directory."""
ASK_AN_ADMINISTRATOR = "Paste a token of this installation, which an administrator makes with 'drasi token create'."


AUTH: Final = True
"""Whether tokens are checked if nobody says anything."""


def auth_wanted(variables: Mapping[str, str]) -> bool:
    """Whether tokens are checked."""
    said = variables.get("DRASI_INSECURE_NO_AUTH", "").strip().lower()
    return said not in ("true", "1") if said else AUTH


class AccessNotConfigured(DrasiError):
    """A variable about tokens is missing, or does not say what it must."""

    code: ClassVar[str] = "NotConfigured"


class Access:
    """Issues and verifies tokens as an environment says.

    Args:
        variables: See above.
        default_keys: The file of keys if the variables name none.
        pushed_as: What the service account of the subscriptions may do.

    Attributes:
        issuer: Signs tokens; None in a process that verifies only.
        verifier: Verifies them.

    Raises:
        AccessNotConfigured
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        *,
        default_keys: Path | None = None,
        pushed_as: Collection[str] = (),
    ) -> None:
        self.issuer: TokenIssuer | None = None
        file = variables.get("DRASI_KEYS") or (None if variables.get("DRASI_JWKS_URL") else default_keys)
        store = KeyFile(file) if file else None
        trusted = [self._installation(variables, store), *_google(variables, pushed_as), *_oidc(variables)]
        try:
            self.verifier = Verifier(trusted)
        except ValueError as error:
            raise AccessNotConfigured(
                f"DRASI_PUSH_AUDIENCE, DRASI_OIDC_AUDIENCE, DRASI_OIDC_ISSUER: {error}", hint="give each an audience of its own"
            ) from error

    def _installation(self, variables: Mapping[str, str], store: KeyStore | None) -> TrustedIssuer:
        id_ = variables.get("DRASI_INSTALLATION", "")
        keys: KeySource
        if store is not None:
            self.issuer = TokenIssuer(store, installation=id_)
            id_ = self.issuer.ring().installation
            keys = RingKeys(store)
        elif variables.get("DRASI_JWKS_URL") and id_:
            keys = FetchedKeys(over_http(variables["DRASI_JWKS_URL"]))
        else:
            raise AccessNotConfigured(
                "nobody said with what keys this installation signs",
                hint="set DRASI_KEYS to its file of keys, or DRASI_JWKS_URL and DRASI_INSTALLATION",
            )
        audience = variables.get("DRASI_AUDIENCE")
        return issuers.installation(id_, keys, audiences=[audience] if audience else [])


def protected(
    app: ASGIApp,
    verifier: Verifier,
    *,
    where: str = ASK_AN_ADMINISTRATOR,
    loopback_only: bool = False,
    pushed: Collection[str] = (),
    signed: bool = False,
) -> Guard:
    """The application behind guard, verification and sign-in; ``app`` itself looks at scopes (``Permitted``).

    Args:
        where: One sentence: where a person finds a token.
        pushed: Paths to which an emulator pushes with the token as a parameter.
        signed: Whether there are routes that look at signatures instead of tokens.
    """
    scrub_logs()
    signing_in = SignIn(app, where)
    authorize = Authentication(verifier, hint=where[:1].lower() + where[1:], pushed=pushed, signed=signed)
    return Guard(signing_in, loopback_only=loopback_only, authorize=authorize, page=signing_in.page)


def _google(variables: Mapping[str, str], scope: Collection[str]) -> list[TrustedIssuer]:
    account, audience = variables.get("DRASI_PUSH_ACCOUNT"), variables.get("DRASI_PUSH_AUDIENCE")
    if not account or not audience or not scope:
        return []
    keys_url = variables.get("DRASI_PUSH_KEYS_URL")
    keys = FetchedKeys(over_http(keys_url)) if keys_url else None
    return [issuers.google_push({account: scope}, audience.split(), keys)]


def _oidc(variables: Mapping[str, str]) -> list[TrustedIssuer]:
    issuer = variables.get("DRASI_OIDC_ISSUER")
    if not issuer:
        return []
    try:
        roles = json.loads(variables.get("DRASI_OIDC_ROLES", "{}"))
        if not isinstance(roles, dict) or not all(isinstance(words, list) for words in roles.values()):
            raise ValueError("roles")
        return [
            issuers.oidc(
                issuer,
                variables.get("DRASI_OIDC_AUDIENCE", "drasi").split(),
                roles,
                algorithms=variables.get("DRASI_OIDC_ALGORITHMS", " ".join(issuers.OIDC_ALGORITHMS)).split(),
            )
        ]
    except (ValueError, DrasiError) as error:
        what = error.message if isinstance(error, DrasiError) else "DRASI_OIDC_ROLES or DRASI_OIDC_ALGORITHMS cannot be read"
        raise AccessNotConfigured(
            what, hint='write roles like {"operators": ["resource:write"]}, algorithms like RS256 ES256'
        ) from error
