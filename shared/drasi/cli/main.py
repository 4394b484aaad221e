"""The program ``drasi``: verbs and their arguments. What a verb needs is imported when it runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from drasi.cli.options import FAILED, OK, USAGE, CommandFailed, Session, before_verbs, command, warn
from drasi.errors import DrasiError

app = typer.Typer(
    name="drasi",
    help="Continuous queries over changing data.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

before_verbs(app)

tokens = typer.Typer(help="Tokens of the installation.", no_args_is_help=True, rich_markup_mode=None)
signing_keys = typer.Typer(help="Keys that sign tokens.", no_args_is_help=True, rich_markup_mode=None)
secrets = typer.Typer(help="Secrets that manifests refer to.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tokens, name="token")
app.add_typer(signing_keys, name="keys")
app.add_typer(secrets, name="secret")

Kind = Annotated[
    str, typer.Argument(metavar="KIND", help="source, query, reaction, querycontainer, sourceprovider, reactionprovider")
]
Name = Annotated[str, typer.Argument(metavar="NAME")]
Query = Annotated[str, typer.Argument(metavar="QUERY")]
Files = Annotated[bool, typer.Option("-f", "--file", help="The arguments are files, directories or URLs.")]
Arguments = Annotated[list[str] | None, typer.Argument(metavar="[KIND NAME | FILE...]", show_default=False)]
Timeout = Annotated[int, typer.Option("--timeout", "-t", min=1, max=300, help="Seconds.")]


@command(app, "run")
def run(
    session: Session,
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", exists=True, file_okay=True, help="Directories of manifests.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8080,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    state: Annotated[Path, typer.Option(envvar="DRASI_STATE", help="Directory of the state.")] = Path(".drasi"),
    reset: Annotated[bool, typer.Option("--reset", help="Forget the state first.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Apply files when they change.")] = False,
    insecure_no_auth: Annotated[
        bool, typer.Option("--insecure-no-auth", help="Ask for no token; only on a loopback address.")
    ] = False,
) -> int:
    """Run the whole system in this process, with the manifests of DIR."""
    from drasi.embedded import serve
    from drasi.web.access import AUTH

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(
            serve(
                directories,
                port=port,
                host=host,
                auth=AUTH and not insecure_no_auth,
                state=state,
                reset=reset,
                watch=watch,
                echo=_echo(session),
            )
        )


@command(app, "apply")
async def apply(
    session: Session,
    arguments: Arguments = None,
    files: Files = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until everything is ready.")] = False,
    timeout_s: Timeout = 60,
) -> int:
    """Create or update resources."""
    from drasi.cli import resources

    return await resources.apply(session, arguments or [], files, dry_run=dry_run, wait=wait, timeout_s=timeout_s)


@command(app, "delete")
async def delete(
    session: Session,
    arguments: Arguments = None,
    files: Files = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what is in use, with what depends on it.")] = False,
) -> int:
    """Delete resources with their state."""
    from drasi.cli import resources

    return await resources.delete(session, arguments or [], files, yes=yes, force=force)


@command(app, "list")
async def list_(
    session: Session,
    kind: Kind,
    wide: Annotated[bool, typer.Option("-w", "--wide", help="All fields of the status; on a terminal, live.")] = False,
) -> int:
    """List resources of a kind."""
    from drasi.cli import resources

    return await resources.list_kind(session, kind, wide=wide)


@command(app, "describe")
async def describe(session: Session, kind: Kind, name: Name) -> int:
    """Show one resource."""
    from drasi.cli import resources

    return await resources.describe(session, kind, name)


@command(app, "wait")
async def wait_(session: Session, arguments: Arguments = None, files: Files = False, timeout_s: Timeout = 60) -> int:
    """Wait until resources are ready."""
    from drasi.cli import resources

    return await resources.wait(session, arguments or [], files, timeout_s=timeout_s)


@command(app, "start")
async def start(session: Session, kind: Kind, name: Name) -> int:
    """Resume a source, query or reaction."""
    from drasi.cli import resources

    return await resources.set_running(session, kind, name, "start")


@command(app, "stop")
async def stop(session: Session, kind: Kind, name: Name) -> int:
    """Pause a source, query or reaction."""
    from drasi.cli import resources

    return await resources.set_running(session, kind, name, "stop")


@command(app, "errors")
async def errors(session: Session, kind: Kind, name: Name) -> int:
    """Show row errors and dead letters."""
    from drasi.cli import resources

    return await resources.errors(session, kind, name)


@command(app, "watch")
async def watch_(
    session: Session,
    query: Query,
    after: Annotated[int | None, typer.Option("--after", min=0, help="Only what comes after this sequence.")] = None,
) -> int:
    """Show a query's result as it changes."""
    from drasi.cli import live

    return await live.watch(session, query, after)


@command(app, "rows")
async def rows(
    session: Session,
    query: Query,
    format_: Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="Form of the rows.")] = "table",
    at: Annotated[str | None, typer.Option("--at", help="As of this time.")] = None,
    sequence: Annotated[int | None, typer.Option("--sequence", min=0, help="Right after this event.")] = None,
) -> int:
    """Print a query's result."""
    from drasi.cli import queries

    return await queries.rows(session, query, format_, at, sequence)


@command(app, "events")
async def events(
    session: Session,
    query: Query,
    after: Annotated[int | None, typer.Option("--after", min=0, help="Only what comes after this sequence.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on for ever.")] = False,
) -> int:
    """Print a query's result events, one a line."""
    from drasi.cli import queries

    return await queries.events(session, query, after, follow=follow)


@command(app, "explain")
async def explain(
    session: Session,
    query: Annotated[str, typer.Argument(metavar="FILE|QUERY", help="A manifest, a file with a query text, or a query's name.")],
    code: Annotated[bool, typer.Option("--code", help="The generated code as well.")] = False,
) -> int:
    """Show the plan of a query."""
    from drasi.cli import plans

    return await plans.explain(session, query, code=code)


@command(app, "validate")
def validate(
    session: Session,
    places: Annotated[list[str], typer.Argument(metavar="DIR|FILE...")],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail.")] = False,
) -> int:
    """Check manifests without a server."""
    from drasi.cli import check

    return check.validate_files(session, places, strict=strict)


@command(app, "login")
async def login_(
    session: Session,
    issuer: Annotated[str | None, typer.Option(envvar="DRASI_OIDC_ISSUER", help="The OIDC issuer.", show_default=False)] = None,
    client_id: Annotated[str, typer.Option(envvar="DRASI_OIDC_CLIENT_ID", help="What the issuer knows us as.")] = "drasi",
    scope: Annotated[str, typer.Option(help="What the issuer is asked for.")] = "openid profile groups",
) -> int:
    """Log in with a browser, here or on another machine."""
    from drasi.cli import login

    return await login.login(session, issuer, client_id, scope)


@command(app, "logout")
async def logout_(session: Session) -> int:
    """Forget the token of a login."""
    from drasi.cli import login

    return await login.logout(session)


@command(tokens, "create")
async def create_token(
    session: Session,
    scope: Annotated[list[str], typer.Option(metavar="SCOPE", help="What it allows; may be repeated.")],
    ttl: Annotated[str, typer.Option(help="How long it lives, at most 24h.")] = "1h",
    subject: Annotated[str | None, typer.Option(help="Who will use it.", show_default="the user's name")] = None,
) -> int:
    """Print a new token of the installation."""
    from drasi.cli import access

    return await access.create_token(session, scope, ttl, subject)


@command(signing_keys, "list")
async def list_keys(session: Session) -> int:
    """List the signing keys."""
    from drasi.cli import access

    return await access.list_keys(session)


@command(signing_keys, "rotate")
async def rotate_keys(
    session: Session, overlap: Annotated[str, typer.Option(help="How long the keys before it still verify.")] = "24h"
) -> int:
    """Make a new signing key."""
    from drasi.cli import access

    return await access.rotate_keys(session, overlap)


SecretName = Annotated[str, typer.Argument(metavar="NAME", help="The secret.")]
SecretKey = Annotated[str, typer.Argument(metavar="KEY", help="The key in it.")]


@command(secrets, "set")
async def set_secret(
    session: Session,
    name: SecretName,
    key: SecretKey,
    value: Annotated[str | None, typer.Argument(metavar="[VALUE]", help="Standard input if left out.", show_default=False)] = None,
) -> int:
    """Keep a secret; its other keys stay."""
    from drasi.cli import access

    return await access.set_secret(session, name, key, value)


@command(secrets, "delete")
async def delete_secret(session: Session, name: SecretName, key: SecretKey) -> int:
    """Forget a key of a secret."""
    from drasi.cli import access

    return await access.delete_secret(session, name, key)


@command(app, "version")
async def version(session: Session) -> int:
    """Print the versions of the command line and of the server."""
    from drasi.cli import resources

    return await resources.version(session)


@app.command("completion")
def completion(
    context: typer.Context, shell: Annotated[Literal["bash", "zsh", "fish", "powershell"], typer.Argument(metavar="SHELL")]
) -> None:
    """Print the completion script of a shell."""
    root = context.find_root()
    os.environ["_DRASI_COMPLETE"] = f"source_{shell}"
    try:
        root.command.main([], prog_name="drasi")
    finally:
        del os.environ["_DRASI_COMPLETE"]


@app.command("help")
def help_(
    context: typer.Context, verb: Annotated[str | None, typer.Argument(metavar="[COMMAND]", show_default=False)] = None
) -> None:
    """Show this page, or the one of a command."""
    root = context.find_root()
    root.command.main([verb, "--help"] if verb else ["--help"], prog_name="drasi")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        arguments: What stands behind ``drasi``; None: those of the process.
    """
    try:
        result = app(list(arguments) if arguments is not None else None, prog_name="drasi", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else OK if end.code is None else FAILED
    except CommandFailed as error:
        _report(error)
        return error.exit_code
    except DrasiError as error:
        _report(error)
        return FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (``drasi events q | head``).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return result if isinstance(result, int) else USAGE if result is not None else OK


def _echo(session: Session) -> Callable[[str], None]:
    """Lines of ``run``: errors are said whatever was asked for."""

    def echo(line: str) -> None:
        if line.startswith("Error"):
            warn(line)
        else:
            session.say(line)

    return echo


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def _report(error: DrasiError) -> None:
    warn(f"Error: {error.message}" + (f"; {error.hint}" if error.hint else ""))
