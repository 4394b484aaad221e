"""What every command takes, and how a command becomes a function of a session."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from drasi.errors import DrasiError

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://127.0.0.1:8080"

OK, FAILED, USAGE, TIMEOUT, NOT_AUTHORISED = 0, 1, 2, 3, 4

transport: ContextVar[httpx.AsyncBaseTransport | None] = ContextVar("transport", default=None)
"""What requests go through instead of the network (an application in this process)."""


class CommandFailed(DrasiError):
    """A command that ends with a message and an exit code."""

    code = "CommandFailed"

    def __init__(self, message: str, *, exit_code: int = FAILED, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Session:
    """The options that are the same everywhere."""

    url: str
    token: str | None
    namespace: str
    output: Literal["text", "json", "yaml"]
    quiet: bool
    color: bool
    state: Path = Path(".drasi")

    @property
    def on_terminal(self) -> bool:
        return sys.stdout.isatty()

    def say(self, text: str) -> None:
        """A line for a person; none with ``--quiet``."""
        if not self.quiet:
            print(text, flush=True)

    def show(self, value: Any, text: str) -> None:
        """A result: as data if data is asked for, else as text."""
        if self.output == "json":
            import msgspec

            print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
        elif self.output == "yaml":
            print(as_yaml(value), end="")
        else:
            print(text)


def warn(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)


def as_yaml(value: Any) -> str:
    """Block YAML with members in their own order."""
    import io

    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    def blocks(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: blocks(member) for name, member in item.items()}
        if isinstance(item, list):
            return [blocks(member) for member in item]
        if isinstance(item, str) and "\n" in item:
            # A query text is read as it was written, not as one line with \n in it.
            return LiteralScalarString(item)
        return item

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 200
    buffer = io.StringIO()
    yaml.dump(blocks(value), buffer)
    return buffer.getvalue()


_COMMON: dict[str, tuple[Any, Any]] = {
    "namespace": (
        Annotated[
            str, typer.Option("--namespace", "-n", envvar="DRASI_NAMESPACE", help="Installation to talk to.", show_default=False)
        ],
        "drasi-system",
    ),
    "output": (Annotated[Literal["text", "json", "yaml"], typer.Option("--output", help="Form of the output.")], "text"),
    "quiet": (Annotated[bool, typer.Option("--quiet", help="Print results and errors only.")], False),
    "no_color": (Annotated[bool, typer.Option("--no-color", help="No colours.")], False),
    "url": (Annotated[str, typer.Option("--url", envvar="DRASI_URL", help="Management function.")], DEFAULT_URL),
    "token": (
        Annotated[str | None, typer.Option("--token", envvar="DRASI_TOKEN", help="Token of the installation.", show_default=False)],
        None,
    ),
    "state": (
        Annotated[Path, typer.Option("--state", envvar="DRASI_STATE", help="State directory of 'drasi run', for its token.")],
        Path(".drasi"),
    ),
}

Command = Callable[..., Awaitable[int] | int]


def before_verbs(app: typer.Typer) -> None:
    """Takes the common options before the verb as well; one behind the verb wins."""
    parameters = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for key, (annotation, default) in _COMMON.items()
    ]

    def common(context: typer.Context, **given: Any) -> None:
        context.obj = {name: value for name, value in given.items() if _was_given(context, name)}

    _describe(common, parameters)
    app.callback()(common)


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _describe(function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> None:
    """Gives a function of a context and of anything the parameters that it really has."""
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *parameters]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


def command(app: typer.Typer, name: str, **settings: Any) -> Callable[[Command], Command]:
    """Registers a function of (session, its own arguments), async or not, as a command; its docstring is the help."""

    def register(function: Command) -> Command:
        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "session"
        ]
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for key, (annotation, default) in _COMMON.items()
            if key not in hints
        ]

        @functools.wraps(function)
        def run(context: typer.Context, **given: Any) -> None:
            earlier: dict[str, Any] = context.find_root().obj or {}
            given |= {name: value for name, value in earlier.items() if not _was_given(context, name)}
            session = Session(
                url=given.pop("url").rstrip("/"),
                token=given.pop("token"),
                namespace=given.pop("namespace"),
                output=given.pop("output"),
                quiet=given.pop("quiet"),
                color=not given.pop("no_color") and "NO_COLOR" not in os.environ,
                state=given["state"] if "state" in hints else given.pop("state"),
            )
            result = function(session, **given)
            raise typer.Exit(result if isinstance(result, int) else asyncio.run(_awaited(result)))

        del run.__wrapped__
        _describe(run, [*own, *common])
        app.command(name, **settings)(run)
        return function

    return register


async def _awaited(result: Awaitable[int]) -> int:
    return await result
