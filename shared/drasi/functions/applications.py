"""What ``functions/*/main.py`` expose: an application for each function, made with its first request.

So a process that imports its function listens at once, and what is wrong with its configuration is an answer and a log line instead
of a process that does not start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from drasi.environment import Environment
from drasi.errors import DrasiError

Variables = Mapping[str, str] | None
"""See ``drasi.environment``; None: the process's own."""


def query(variables: Variables = None) -> ASGIApp:
    """The query function of one container."""

    def make(environment: Environment) -> ASGIApp:
        from drasi.functions.query import query_function

        return query_function(environment)

    return OnDemand(make, variables)


def source(variables: Variables = None) -> ASGIApp:
    """The source function of one source."""

    def make(environment: Environment) -> ASGIApp:
        from drasi.functions.source import source_function

        return source_function(environment)

    return OnDemand(make, variables)


def reaction(variables: Variables = None) -> ASGIApp:
    """The reaction function of one reaction."""

    def make(environment: Environment) -> ASGIApp:
        from drasi.functions.reaction import reaction_function

        return reaction_function(environment)

    return OnDemand(make, variables)


def management(variables: Variables = None) -> ASGIApp:
    """The management function; in profile ``embedded`` with everything that it manages."""

    def make(environment: Environment) -> ASGIApp:
        from drasi.functions.management import management_function

        return management_function(environment)

    return OnDemand(make, variables)


class OnDemand:
    """An application that is made, as an environment says, when it is first asked."""

    def __init__(self, make: Callable[[Environment], ASGIApp], variables: Variables) -> None:
        self._make = make
        self._variables = variables
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            from drasi.web.logs import configure_logs_of_a_function

            configure_logs_of_a_function()
            try:
                self._app = self._make(Environment(self._variables))
            except DrasiError as error:
                await _unable(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _unable(error: DrasiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Says to the log what is wrong, and to whoever asks that something is: nobody's token can be checked yet."""
    import structlog

    from drasi.web.refusal import refuse

    log = structlog.get_logger("drasi.startup")
    log.error("the function is not configured", code=error.code, error=error.message, hint=error.hint)
    await refuse(scope, receive, send, error)
