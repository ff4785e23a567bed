"""The command line of the central service. It reads arguments, calls what does the work, and reports errors."""

import errno
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from central.commands.agents import agents
from central.commands.asking import anywhere, ask, fail, settings_of_environment
from central.commands.completion import completion
from central.commands.export import export
from central.commands.keys import keys
from central.commands.mcp import mcp
from central.commands.names import names
from central.commands.query import query
from central.doctor.command import doctor
from central.settings import Settings
from runtime.addresses import join_address
from runtime.output import careful_output
from runtime.systemd import Notifier

BACKUP_TIMEOUT_SECONDS: Final = 600.0
_OURS: Final = ("central", "protocol", "runtime")
"""Packages that are always installed. If one of them cannot be imported, that is a bug of ours."""
_PRIVATE: Final = 0o077
"""The umask for commands that write data. The embedded database makes its files with it."""


class _NeedsExtra(click.Group):
    """``fiesta-central``. It is installed with the agent, but some commands need the packages of an extra."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program. Output that cannot be written is one line on stderr, or nothing for a closed pipe."""
        with careful_output():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. If a package is missing, say so in one line and without a traceback."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            package = (error.name or "a package").partition(".")[0]
            if package in _OURS:
                raise
            raise click.ClickException(
                f"{package} is not installed; the service needs it, and the agent does not. "
                'Install the wheel with its extra: pip install "$(ls glowing_fiesta-*.whl)[central]"'
            ) from None


@click.group(cls=_NeedsExtra, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="glowing-fiesta")
def main() -> None:
    """The central service of Glowing Fiesta: start it, manage its keys, ask it questions.

    Settings are environment variables (METRICS_LISTEN, METRICS_DATA_DIR and others; docs/settings.md has
    them all). All commands but serve, migrate, doctor and completion talk to a running service: the one at
    METRICS_URL with the key METRICS_KEY, or else the one at METRICS_LISTEN with its admin key. docs/README.md
    lists all pages.

    \b
    First steps:
      fiesta-central serve                             start it
      fiesta-central keys create checkout              make a key to send and query metrics
      fiesta-central names requests                    find names
      fiesta-central query api.requests --start -1h    a table and a plot
      fiesta-central doctor                            is everything in order?
    """


for _command in (agents, completion, doctor, export, keys, mcp, names, query):
    main.add_command(_command)


@main.command()
def serve() -> None:
    """Run the service until SIGTERM or Ctrl-C.

    At its first start it makes its data folder and the first admin key. It applies new migrations by itself.

    \b
    Examples:
      fiesta-central serve
      METRICS_LISTEN=127.0.0.1:9000 METRICS_DATA_DIR=/var/lib/fiesta fiesta-central serve
    """
    settings = settings_of_environment()
    os.umask(_PRIVATE)
    with _imports_stay():
        import uvloop

        from central import app
        from runtime.systemd import send_datagram

    with _logging(settings):
        notify = Notifier(os.environ, os.getpid(), send_datagram)
        uvloop.run(app.serve(settings, outside=app.Outside(notify=notify)))


@main.command()
def migrate() -> None:
    """Bring the database up to date.

    You do not need this command before serve, which does the same. With the embedded store, stop the service first. The
    command prints the applied migrations, one per line, and makes the first admin key if there is none.
    """
    settings = settings_of_environment()
    os.umask(_PRIVATE)
    from central import app
    from central.commands.progress import stepping

    with stepping("migrating") as on_migration, _logging(settings):
        applied = app.migrate(settings, on_migration)
    for name in applied:
        click.echo(name)
    click.echo(f"{len(applied)} applied" if applied else "nothing to apply: the database is up to date", err=True)


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@anywhere
def backup(file: Path) -> None:
    """Copy the embedded store to FILE.

    FILE must not exist. The copy is consistent. The service works on meanwhile.

    \b
    Example:
      fiesta-central backup metrics-2026-02-15.duckdb
    """
    from central.commands.progress import copying

    try:
        size = ask(
            lambda client: client.download("/api/admin/backup", file, copying), timeout=BACKUP_TIMEOUT_SECONDS
        ).size
    except FileExistsError:
        fail(f"{file} exists already: name a new file, or move it away")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
    click.echo(f"{size} bytes written to {file}", err=True)


@main.group()
def retention() -> None:
    """Hide and remove old points, or show hidden points again.

    The service does this by itself once per day. It hides points from queries after METRICS_RETENTION_DAYS, and removes
    them METRICS_RETENTION_GRACE_DAYS later. See docs/retention.md.
    """


@retention.command("show")
@click.option("--json", "raw", is_flag=True, help="Print the service's answer as it is.")
@anywhere
def show_retention(raw: bool) -> None:
    """Show what is hidden, what is removed, and the log of both."""
    if raw:
        click.echo(ask(lambda client: client.get_text("/api/admin/retention", {})))
        return
    _print_retention(ask(lambda client: client.get("/api/admin/retention")))


@retention.command("run")
@anywhere
def run_retention() -> None:
    """Hide and remove what is due now. This ends the hold of a restore."""
    from central.commands.progress import working

    with working("hiding and removing"):
        answer = ask(lambda client: client.post("/api/admin/retention/run"))
    _print_retention(answer)


@retention.command("restore")
@click.option("--days", type=click.IntRange(min=1), help="Show the last DAYS days [default: all that is not removed].")
@anywhere
def restore(days: int | None) -> None:
    """Show hidden days again.

    They are shown for the grace time (METRICS_RETENTION_GRACE_DAYS), or until you use retention run.

    \b
    Example:
      fiesta-central retention restore --days 95
    """
    body = {} if days is None else {"days": days}
    _print_retention(ask(lambda client: client.post("/api/admin/retention/restore", body)))


def _print_retention(answer: dict[str, Any]) -> None:
    """Print the state, one value per line, then the log as a table. The message goes to stderr."""
    from rich.console import Console

    from central.commands.show import show_table

    if "message" in answer:
        click.echo(answer["message"], err=True)
    data = answer["data"]
    settings = [[name, "-" if value is None else str(value)] for name, value in data.items() if name != "log"]
    show_table(["setting", "value"], settings, Console())
    header = ["at", "action", "line", "actor", "rows", "parts"]
    show_table(header, [[str(entry[column]) for column in header] for entry in data["log"]], Console())


@contextmanager
def _imports_stay() -> Iterator[None]:
    """Look for no garbage among what is imported inside the block: that takes a tenth of a start, and finds little."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _logging(settings: Settings) -> Iterator[None]:
    """Log to stderr inside the block. If it fails, print one clear line and exit with code 1."""
    import structlog

    from central.log import log_to
    from runtime.log_lines import standard_error
    from runtime.start_error import StartError

    log_to(standard_error(), settings.secrets)
    try:
        yield
    except StartError as error:
        fail(str(error))
    except OSError as error:
        fail(_os_fault(error, settings))
    except Exception:
        structlog.get_logger(__name__).exception("crashed")
        raise SystemExit(1) from None


def _os_fault(error: OSError, settings: Settings) -> str:
    address = join_address(*settings.listen)
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use by another program: stop it, or choose another address with METRICS_LISTEN"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address} is not an address of this host: choose another with METRICS_LISTEN"
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}: check METRICS_DATA_DIR and who owns it"
    return f"cannot start on {address}: {error.strerror or error}"
