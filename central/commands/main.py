"""The command line of the central service: reads arguments, calls what does the work, says plainly what went wrong."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from central.commands.relative_time import resolve_time
from central.doctor.command import doctor
from central.query.parameters import FILLS, OPERATIONS, zone_of
from central.settings import Settings, load_settings
from central.store.plan import WINDOWS
from runtime.addresses import join_address
from runtime.redact import one_line
from runtime.settings import SettingsError
from runtime.systemd import Notifier

if TYPE_CHECKING:
    from central.client import Client

T = TypeVar("T")
SCOPES: Final = ("ingest", "query", "admin")
BACKUP_TIMEOUT_SECONDS: Final = 600.0
_OURS: Final = ("central", "protocol", "runtime")
"""Packages that are always installed: that one of them is missing is a fault of ours."""
_PRIVATE: Final = 0o077
"""The umask of what holds data: the embedded database makes its own files."""


class _KeyId(click.IntRange):
    """The id of a key; its name is what click says was wanted."""

    name = "number from the first column of 'fiesta-central keys list'"


class _NeedsExtra(click.Group):
    """``fiesta-central``: installed with the agent, working with the extra ``central``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a missing package is one line and not a traceback."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            package = (error.name or "a package").partition(".")[0]
            if package in _OURS:
                raise
            raise click.ClickException(
                f"{package} is not installed, which the service needs and the agent does not; "
                "install the extra: pip install 'glowing-fiesta[central]'"
            ) from None


@click.group(cls=_NeedsExtra, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="glowing-fiesta")
def main() -> None:
    """The central service of Glowing Fiesta: start it, manage its keys, ask it questions.

    Settings are environment variables (METRICS_LISTEN, METRICS_DATA_DIR and others; docs/settings.md has
    them all). All commands but serve, migrate and doctor talk to the running service at METRICS_LISTEN with its
    admin key: METRICS_ADMIN_KEY, or the file admin.key in METRICS_DATA_DIR. docs/README.md is the way on.

    \b
    First steps:
      fiesta-central serve                             start it
      fiesta-central keys create checkout              a key for those who send and ask
      fiesta-central query api.requests --start -1h    a table and a plot
      fiesta-central doctor                            is everything as it must be?
    """


main.add_command(doctor)


@main.command()
def serve() -> None:
    """Run the service until SIGTERM or Ctrl-C.

    Makes its data folder, brings the database up to date and writes the first admin key by itself.

    \b
    Examples:
      fiesta-central serve
      METRICS_LISTEN=127.0.0.1:9000 METRICS_DATA_DIR=/var/lib/fiesta fiesta-central serve
    """
    settings = _settings()
    os.umask(_PRIVATE)
    import uvloop

    from central import app
    from runtime.systemd import send_datagram

    with _logging(settings):
        notify = Notifier(os.environ, os.getpid(), send_datagram)
        uvloop.run(app.serve(settings, outside=app.Outside(notify=notify)))


@main.command()
def migrate() -> None:
    """Bring the database up to date.

    The service must be stopped; serve does this by itself. Prints the migrations applied, one a line, and makes the
    first admin key where there is none.
    """
    settings = _settings()
    os.umask(_PRIVATE)
    from central import app
    from central.commands.progress import stepping

    with stepping("migrating") as told, _logging(settings):
        applied = app.migrate(settings, told)
    for name in applied:
        click.echo(name)
    click.echo(f"{len(applied)} applied" if applied else "nothing to apply: the database is up to date", err=True)


@main.group()
def keys() -> None:
    """Make, list, revoke and rotate API keys."""


@keys.command("create")
@click.argument("name")
@click.option("--rate-limit", type=click.IntRange(min=1), help="Requests a minute [default: the service's setting].")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What the key may do; can be given several times [default: ingest and query].",
)
def create_key(name: str, rate_limit: int | None, scopes: tuple[str, ...]) -> None:
    """Make a key called NAME and print it, alone, on stdout. It is shown this once.

    \b
    Examples:
      fiesta-central keys create checkout > checkout.key
      fiesta-central keys create dashboards --scope query --rate-limit 120
    """
    body: dict[str, Any] = {"name": name}
    if rate_limit is not None:
        body["rate_limit"] = rate_limit
    if scopes:
        body["scopes"] = list(scopes)
    _print_key(_ask(lambda client: client.post("/api/admin/keys", body))["data"])


@keys.command("list")
def list_keys() -> None:
    """List all keys, revoked ones too. Secrets are not kept, so they cannot be listed."""
    from rich.console import Console

    from central.commands.show import show_table

    header = ["id", "name", "prefix", "scopes", "rate_limit", "created_at", "revoked_at"]
    rows = [
        [",".join(key[column]) if column == "scopes" else str(key[column] or "-") for column in header]
        for key in _ask(lambda client: client.get("/api/admin/keys"))["data"]
    ]
    show_table(header, rows, Console())


@keys.command("revoke")
@click.argument("key_id", metavar="ID", type=_KeyId(min=1))
def revoke_key(key_id: int) -> None:
    """Revoke the key with this ID (see keys list). It stops working within 30 seconds, for good."""
    _ask(lambda client: client.delete(f"/api/admin/keys/{key_id}"))
    click.echo(f"key {key_id} revoked; it stops working within 30 s", err=True)


@keys.command("rotate")
@click.argument("key_id", metavar="ID", type=_KeyId(min=1))
def rotate_key(key_id: int) -> None:
    """Give the key with this ID a new secret and print it.

    The new key comes alone, on stdout. The old one stops working within 30 seconds. Name, scopes, rate limit and
    remembered requests stay.
    """
    _print_key(_ask(lambda client: client.post(f"/api/admin/keys/{key_id}/rotate"))["data"])


@main.command()
@click.argument("names")
@click.option("--operation", type=click.Choice(OPERATIONS), default="sum", show_default=True)
@click.option("--window", type=click.Choice(list(WINDOWS)), default="1m", show_default=True, help="Width of a window.")
@click.option("--start", default="-1h", show_default=True, help="ISO 8601 time, now, or back from now: -90s, -1h, -7d.")
@click.option("--end", default="now", show_default=True, help="The same; windows up to it, without it.")
@click.option("--fill", type=click.Choice(list(FILLS)), help="Show windows without data too, as 0 or as a gap.")
@click.option("--tz", help="Time zone whose hours and days are meant, such as Europe/Berlin [default: UTC].")
@click.option("--json", "raw", is_flag=True, help="Print the service's answer as it is.")
def query(**options: Any) -> None:
    """Show metrics by time window.

    NAMES is one name, or several with commas between. On a terminal: a table and a plot. Anywhere else:
    tab-separated lines. Times are UTC, and a window is named by its start. A window that is cut by --start or --end,
    or has not ended yet, is marked.

    \b
    Examples:
      fiesta-central query api.requests
      fiesta-central query api.requests,api.errors --window 1h --start -1d
      fiesta-central query db.time --operation avg --start 2026-02-14 --end 2026-02-15T12:00:00Z
      fiesta-central query api.requests --json | jq .data
    """
    from central.query.windows import start_of_window

    try:
        zone = zone_of(options["tz"] or "UTC")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--tz") from None
    now, seconds = time.time(), WINDOWS[options["window"]]
    parameters = {"name": options["names"], "operation": options["operation"], "window": options["window"]}
    for bound in ("start", "end"):
        try:
            align = (lambda moment: start_of_window(moment, seconds, zone)) if bound == "start" else int
            parameters[bound] = resolve_time(options[bound], now, align)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=f"--{bound}") from None
    parameters |= {name: options[name] for name in ("fill", "tz") if options[name]}
    if options["raw"]:
        click.echo(_ask(lambda client: client.get_text("/api/metrics/aggregate", parameters)))
        return
    from rich.console import Console

    from central.commands.show import show_answer, unknown_names

    answer = _ask(lambda client: client.get("/api/metrics/aggregate", parameters))
    show_answer(answer, Console())
    for line in unknown_names(answer):
        click.echo(line, err=True)


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copy the embedded store to FILE.

    FILE must not exist. The copy is consistent, and the service goes on meanwhile.

    \b
    Example:
      fiesta-central backup metrics-2026-02-15.duckdb
    """
    from central.commands.progress import copying

    try:
        size = _ask(lambda client: client.download("/api/admin/backup", file, copying), timeout=BACKUP_TIMEOUT_SECONDS)
    except FileExistsError:
        _fail(f"{file} is there already: name a new file, or move it away")
    except OSError as error:
        _fail(f"{file} cannot be written: {error.strerror}")
    click.echo(f"{size} bytes written to {file}", err=True)


@main.group()
def retention() -> None:
    """Show, run or take back the hiding and removing of old points.

    The service does it by itself once a day: points over METRICS_RETENTION_DAYS old are hidden from queries, and
    removed METRICS_RETENTION_GRACE_DAYS later. See docs/retention.md.
    """


@retention.command("show")
@click.option("--json", "raw", is_flag=True, help="Print the service's answer as it is.")
def show_retention(raw: bool) -> None:
    """Show what is hidden, what is removed, and the log of both."""
    if raw:
        click.echo(_ask(lambda client: client.get_text("/api/admin/retention", {})))
        return
    _print_retention(_ask(lambda client: client.get("/api/admin/retention")))


@retention.command("run")
def run_retention() -> None:
    """Hide and remove what is due now; ends the hold of a restore."""
    from central.commands.progress import working

    with working("hiding and removing"):
        answer = _ask(lambda client: client.post("/api/admin/retention/run"))
    _print_retention(answer)


@retention.command("restore")
@click.option("--days", type=click.IntRange(min=1), help="Show the last DAYS days [default: all that is not removed].")
def restore(days: int | None) -> None:
    """Show hidden days again.

    They stay in sight for the grace time (METRICS_RETENTION_GRACE_DAYS), or until retention run.

    \b
    Example:
      fiesta-central retention restore --days 95
    """
    body = {} if days is None else {"days": days}
    _print_retention(_ask(lambda client: client.post("/api/admin/retention/restore", body)))


def _print_retention(answer: dict[str, Any]) -> None:
    """A line a fact, then the log as a table; what was done goes to stderr."""
    from rich.console import Console

    from central.commands.show import show_table

    if "message" in answer:
        click.echo(answer["message"], err=True)
    data = answer["data"]
    facts = [[name, "-" if value is None else str(value)] for name, value in data.items() if name != "log"]
    show_table(["setting", "value"], facts, Console())
    header = ["at", "action", "line", "actor", "rows", "parts"]
    show_table(header, [[str(entry[column]) for column in header] for entry in data["log"]], Console())


@contextmanager
def _logging(settings: Settings) -> Iterator[None]:
    """Logs to stderr inside the block; what ends it too early is one clear line and exit code 1."""
    import structlog

    from central.log import log_to
    from runtime.log_lines import standard_error
    from runtime.start_error import StartError

    log_to(standard_error(), settings.secrets)
    try:
        yield
    except StartError as error:
        _fail(str(error))
    except OSError as error:
        _fail(_os_fault(error, settings))
    except Exception:
        structlog.get_logger(__name__).exception("crashed")
        raise SystemExit(1) from None


def _settings() -> Settings:
    try:
        return load_settings(os.environ)
    except SettingsError as error:
        for fault in str(error).splitlines():
            click.echo(f"Error: {fault}", err=True)
        raise SystemExit(2) from None


def _ask(question: Callable[["Client"], T], timeout: float | None = None) -> T:
    """The service's answer to ``question``, or one clear line and exit code 1."""
    from central.client import TIMEOUT_SECONDS, Client, ClientError, target_of

    settings = _settings()
    try:
        return question(Client(target_of(settings), timeout=timeout or TIMEOUT_SECONDS))
    except ClientError as error:
        _fail(str(error))


def _print_key(key: dict[str, Any]) -> None:
    click.echo(key["key"])
    click.echo(
        f"key {key['id']} ({one_line(key['name'])}): {', '.join(key['scopes'])}; {key['rate_limit']} "
        "requests per minute. It is shown this once.",
        err=True,
    )


def _os_fault(error: OSError, settings: Settings) -> str:
    address = join_address(*settings.listen)
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use by another program: stop it, or choose another address with METRICS_LISTEN"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address} is no address of this host: choose another with METRICS_LISTEN"
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}: check METRICS_DATA_DIR and who owns it"
    return f"cannot start on {address}: {error.strerror or error}"


def _fail(message: str) -> NoReturn:
    click.echo(f"Error: {one_line(message)}", err=True)
    raise SystemExit(1)
