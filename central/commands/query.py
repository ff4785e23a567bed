"""``fiesta-central query``: metrics by time window, as a table and a plot, or as lines for other programs."""

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from central.commands.asking import anywhere, ask, ask_or_raise
from central.commands.names import complete_names, is_pattern, split_names
from central.query.operations import FRACTION_BELOW, parse_operations
from central.query.parameters import FILLS, zone_of
from central.query.relative_time import relative_time, resolve_time
from central.store.plan import WINDOWS
from runtime.redact import one_line

if TYPE_CHECKING:
    from central.client import Client

WATCH_SECONDS: Final = 5.0
_PATH: Final = "/api/metrics/aggregate"
_AS_GIVEN: Final = ("fill", "tz", "tags", "group_by", "top")
_CLEAR: Final = "\x1b[H\x1b[2J"


def _operations(given: str | None) -> str | None:
    """The list of operations as given. Raises BadParameter for one that is none."""
    try:
        return given if given is None else ",".join(parse_operations(given))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("names", shell_complete=complete_names)
@click.option(
    "--operation",
    metavar="LIST",
    callback=lambda _, __, given: _operations(given),
    help="sum, count, avg, min, max, rate, median or pN (p95, p99.9); several are separated by commas [default: sum].",
)
@click.option("--fraction-below", metavar="VALUE", help="Show the share of the samples that are below VALUE, 0 to 1.")
@click.option("--tags", metavar="LIST", help="Only series with all these tags: env:prod, host:web-*, !canary:*.")
@click.option("--group-by", metavar="KEYS", help="Show each combination of the values of these tags by itself.")
@click.option("--top", metavar="N", help="With --group-by: the N largest groups of each name, and the rest as one.")
@click.option("--window", type=click.Choice(list(WINDOWS)), default="1m", show_default=True, help="Width of a window.")
@click.option("--start", default="-1h", show_default=True, help="ISO 8601 time, now, or before now: -90s, -1h, -7d.")
@click.option(
    "--end", default="now", show_default=True, help="The end of the range, in the form of --start. It is not included."
)
@click.option("--fill", type=click.Choice(list(FILLS)), help="Show windows without data too, as 0 or as a gap.")
@click.option("--tz", help="Time zone for windows of hours and days, such as Europe/Berlin [default: UTC].")
@click.option("--watch", is_flag=True, help="Ask and draw again every 5 seconds, until Ctrl-C.")
@click.option("--json", "raw", is_flag=True, help="Print the service's answer as it is.")
@anywhere
def query(**options: Any) -> None:
    """Show metrics by time window.

    NAMES is one name or pattern (shop.*), or several separated by commas. On a terminal you see a table and a plot; in
    a file or pipe, tab-separated lines. Times are UTC; the time of a window is its start. A window is marked if --start
    or --end cuts it, or if it has not ended yet. Only value metrics have percentiles and --fraction-below.

    \b
    Examples:
      fiesta-central query api.requests
      fiesta-central query api.requests,api.errors --window 1h --start -1d
      fiesta-central query db.time --operation avg --start 2026-02-14 --end 2026-02-15T12:00:00Z
      fiesta-central query db.time --operation p50,p95,p99 --window 5m
      fiesta-central query db.time --fraction-below 300 --window 1d --start -7d
      fiesta-central query shop.orders --tags 'env:prod,!canary:*' --group-by endpoint --top 5
      fiesta-central query 'shop.*' --operation p95 --watch
      fiesta-central query api.requests --json | jq .data
    """
    try:
        zone_of(options["tz"] or "UTC")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--tz") from None
    if options["watch"]:
        if options["raw"] or not sys.stdout.isatty():
            raise click.UsageError("--watch draws on a terminal; elsewhere, leave it out")
        _watch(lambda: _parameters(options))
        return
    parameters = _parameters(options)
    if options["raw"]:
        click.echo(ask(lambda client: client.get_text(_PATH, parameters)))
    else:
        _show(ask(partial(_answer, parameters)))


def _parameters(options: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of the request. Raises BadParameter for a time that is none."""
    parameters = names_and_pattern(options["names"])
    asked = {name: options[name] for name in ("operation", FRACTION_BELOW) if options[name] is not None}
    parameters |= asked or {"operation": "sum"}
    parameters["window"] = options["window"]
    for bound in ("start", "end"):
        try:
            absolute = resolve_time(options[bound], time.time())
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=f"--{bound}") from None
        # A relative time goes as it is: the service begins at the start of a window.
        parameters[bound] = options[bound] if relative_time(options[bound], 0) is not None else absolute
    return parameters | {name: options[name] for name in _AS_GIVEN if options[name] is not None}


def names_and_pattern(text: str) -> dict[str, str]:
    """The parameters for names and patterns with commas between."""
    names = split_names(text)
    patterns, plain = [one for one in names if is_pattern(one)], [one for one in names if not is_pattern(one)]
    parameters = {"name": ",".join(plain)} if plain or not patterns else {}
    if patterns:
        parameters["match"] = patterns[0] if len(patterns) == 1 else f"{{{','.join(patterns)}}}"
    return parameters


def _answer(parameters: Mapping[str, str], client: "Client") -> Any:
    return client.get(_PATH, parameters)


def _show(answer: Mapping[str, Any]) -> None:
    from rich.console import Console

    from central.commands.show import show_answer, unknown_names

    show_answer(answer, Console())
    for line in unknown_names(answer):
        click.echo(line, err=True)


def _watch(parameters: Callable[[], dict[str, str]]) -> None:
    """Ask and draw until Ctrl-C, which is the ordinary end. A service that is away for a while does not end it."""
    from central.client import ClientError

    try:
        while True:
            asked = parameters()
            try:
                answer = ask_or_raise(partial(_answer, asked))
            except ClientError as error:
                click.echo(f"Error: {one_line(str(error))}", err=True)
            else:
                sys.stdout.write(_CLEAR)
                _show(answer)
            sys.stdout.flush()
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        click.echo()
