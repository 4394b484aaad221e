"""Who may come in to a function, and what it shows to others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

from starlette.types import ASGIApp

from drasi.auth.issue import LONGEST_S
from drasi.bus.endpoint import Endpoint
from drasi.environment import Environment
from drasi.web.access import ASK_AN_ADMINISTRATOR, KEYS_FILE, Access, AccessNotConfigured, auth_wanted, protected
from drasi.web.authentication import Needs, Permitted
from drasi.web.bearer import PARAMETER
from drasi.web.guard import Guard
from drasi.web.remote import Credentials
from drasi.web.startup import Lazy


class Admission:
    """The guard of one function, and its tokens.

    Args:
        environment: See ``drasi.web.access`` for its variables.
        pushed_as: The scope of the service account that Pub/Sub pushes as; empty: nobody pushes here.

    Raises:
        AccessNotConfigured
    """

    def __init__(self, environment: Environment, *, pushed_as: str = "") -> None:
        self._variables = environment.variables
        self._emulated = environment.profile == "emulator"
        self.access: Access | None = None
        if auth_wanted(self._variables):
            granted = [pushed_as] if pushed_as else []
            self.access = Access(self._variables, default_keys=environment.state / KEYS_FILE, pushed_as=granted)
        elif environment.profile == "cluster":
            # A sidecar hands on to loopback what came from anywhere.
            raise AccessNotConfigured("in a cluster tokens are always checked", hint="unset DRASI_INSECURE_NO_AUTH")

    def served(self, build: Callable[[], Awaitable[ASGIApp]], *, pushed: Sequence[str] = (), signed: bool = False) -> ASGIApp:
        """The application, begun by whoever needs it first, behind the guard.

        Args:
            pushed: Paths to which Pub/Sub pushes.
            signed: Whether it may have routes that look at signatures instead of tokens.
        """
        app = Lazy(build)
        if self.access is None:
            return Guard(app)
        return protected(app, self.access.verifier, pushed=pushed if self._emulated else (), signed=signed)

    def permitted(self, app: ASGIApp, needs: Needs) -> ASGIApp:
        """The application behind the scopes that its paths need."""
        return Permitted(app, needs, hint=ASK_AN_ADMINISTRATOR) if self.access is not None else app

    def shown_as(self, subject: str) -> Credentials:
        """What this function shows to others: a short-lived token for exactly what it asks."""

        def headers(scope: str) -> dict[str, str]:
            if self.access is None or self.access.issuer is None:
                return {}
            return {"Authorization": f"Bearer {self.access.issuer.between_functions(subject, [scope])}"}

        return headers

    def endpoint(self, url: str, scope: str) -> Endpoint:
        """A push endpoint: Google's own token comes along in a cluster, one of ours as a parameter from the emulator."""
        account = self._variables.get("DRASI_PUSH_ACCOUNT", "")
        if account and not self._emulated:
            return Endpoint(url, account, self._variables.get("DRASI_PUSH_AUDIENCE", ""))
        if self._emulated and self.access is not None and self.access.issuer is not None:
            # Whoever asks again in good time has always one that lives.
            token = self.access.issuer.kept("pubsub", [scope], ttl_s=LONGEST_S, renewed_before_s=LONGEST_S * 3 // 4)
            return Endpoint(f"{url}?{PARAMETER}={quote(token)}")
        return Endpoint(url)
