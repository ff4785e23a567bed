"""``fiesta-central keys``: make, list, change, revoke and rotate API keys."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from central.commands.asking import anywhere, ask, ask_or_raise, fail
from central.query.relative_time import ago, resolve_expiry
from protocol.times import parse_time
from runtime.redact import one_line

if TYPE_CHECKING:
    from rich.console import Console

SCOPES: Final = ("ingest", "query", "admin")
_PATH: Final = "/api/admin/keys"
COLUMNS: Final = (
    *("id", "name", "prefix", "scopes", "rate_limit"),
    *("created_at", "revoked_at", "expires_at", "last_used_at", "names"),
)
_EXPIRES: Final = "When the key expires: an ISO 8601 time, or a time from now such as 12h, 90d, 52w"
_NAMES: Final = "The key may use only names that begin with one of these, separated by commas, such as 'shop.,web.'"
_YES: Final = "Do not ask, even if no admin key would be left."


class _KeyId(click.IntRange):
    """The id of a key. click shows ``name`` if an argument is not an id."""

    name = "number from the first column of 'fiesta-central keys list'"


@click.group()
def keys() -> None:
    """Make, list, change, revoke and rotate API keys."""


@keys.command("create")
@click.argument("name")
@click.option("--rate-limit", type=click.IntRange(min=1), help="Requests per minute [default: the service's setting].")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What the key may do; can be given several times [default: ingest and query].",
)
@click.option("--names", help=f"{_NAMES} [default: all].")
@click.option("--expires", help=f"{_EXPIRES} [default: never].")
@anywhere
def create_key(
    name: str, rate_limit: int | None, scopes: tuple[str, ...], names: str | None, expires: str | None
) -> None:
    """Make a key called NAME and print it on stdout. It is shown only now.

    \b
    Examples:
      fiesta-central keys create checkout > checkout.key
      fiesta-central keys create dashboards --scope query --rate-limit 120 --expires 90d
      fiesta-central keys create shop --names shop.,web.
    """
    body = {"name": name, **_body_of(rate_limit, scopes, names, expires)}
    _print_key(ask(lambda client: client.post(_PATH, body))["data"])


@keys.command("list")
@anywhere
def list_keys() -> None:
    """List all keys, including revoked ones. The service does not keep secrets, so it cannot list them."""
    from rich.console import Console

    show(Console(), ask(lambda client: client.get(_PATH))["data"], time.time())


def show(console: "Console", listed: Sequence[Mapping[str, Any]], now: float) -> None:
    """Show a table that fits 80 columns on a terminal, and lines with tabs elsewhere."""
    from central.commands.show import show_table

    if not console.is_terminal:
        show_table(list(COLUMNS), [[_joined(key.get(column)) for column in COLUMNS] for key in listed], console)
        return
    header = ["id", "name", "prefix", "scopes", "limit", "used", "valid"]
    rows = [_row(key, now) for key in listed]
    if any(key.get("names") for key in listed):
        header.append("names")
        rows = [[*row, ", ".join(key.get("names") or ("-",))] for row, key in zip(rows, listed, strict=True)]
    show_table(header, rows, console)


def _joined(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value or "-")


def _row(key: Mapping[str, Any], now: float) -> list[str]:
    used, expires = key.get("last_used_at"), key.get("expires_at")
    valid = f"until {expires[:10]}" if expires else "yes"
    if expires and parse_time(expires) <= now:
        valid = "expired"
    if key.get("revoked_at"):
        valid = "revoked"
    last = ago(now - parse_time(used)) if used else "-"
    return [str(key["id"]), key["name"], key["prefix"], ", ".join(key["scopes"]), f"{key['rate_limit']:,}", last, valid]


@keys.command("change")
@click.argument("key_id", metavar="ID", type=_KeyId(min=1))
@click.option("--rate-limit", type=click.IntRange(min=1), help="Requests per minute.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What the key may do; replaces all its scopes."
)
@click.option("--names", help=f"{_NAMES}; '*' for all names.")
@click.option("--expires", help=f"{_EXPIRES}; or never.")
@click.option("--yes", is_flag=True, help=_YES)
@anywhere
def change_key(  # noqa: PLR0913, PLR0917 - the options of the command
    key_id: int,
    rate_limit: int | None,
    scopes: tuple[str, ...],
    names: str | None,
    expires: str | None,
    yes: bool,
) -> None:
    """Change the key with this ID. Options that you do not give stay as they are. Takes effect within 30 seconds.

    \b
    Examples:
      fiesta-central keys change 7 --rate-limit 5000
      fiesta-central keys change 7 --scope query --expires 90d
    """
    body = _body_of(rate_limit, scopes, names, expires)
    if not body:
        raise click.UsageError("name what to change: --rate-limit, --scope, --names or --expires")
    _unless_last(key_id, yes, lambda client, query: client.patch(f"{_PATH}/{key_id}{query}", body))
    click.echo(f"key {key_id} changed; it takes effect within 30 s", err=True)


@keys.command("revoke")
@click.argument("key_id", metavar="ID", type=_KeyId(min=1))
@click.option("--yes", is_flag=True, help=_YES)
@anywhere
def revoke_key(key_id: int, yes: bool) -> None:
    """Revoke the key with this ID (see keys list). It stops working within 30 seconds. This cannot be undone.

    If no admin key would stay valid, the command asks first.
    """
    _unless_last(key_id, yes, lambda client, query: client.delete(f"{_PATH}/{key_id}{query}"))
    click.echo(f"key {key_id} revoked; it stops working within 30 s", err=True)


@keys.command("rotate")
@click.argument("key_id", metavar="ID", type=_KeyId(min=1))
@anywhere
def rotate_key(key_id: int) -> None:
    """Give the key with this ID a new secret and print it.

    Only the new key is printed on stdout. The old key stops working within 30 seconds. The name, scopes, rate limit and
    remembered requests stay.
    """
    _print_key(ask(lambda client: client.post(f"{_PATH}/{key_id}/rotate"))["data"])


def _unless_last(key_id: int, yes: bool, change: Callable[[Any, str], Any]) -> None:
    """Make the change. If it would end the last admin key, ask the person first."""
    from central.client import ClientError

    try:
        ask_or_raise(lambda client: change(client, "?force=true" if yes else ""))
    except ClientError as error:
        if error.code != "LAST_ADMIN_KEY":
            fail(str(error))
    else:
        return
    warning = f"key {key_id} is the last admin key that stays valid; without it nobody can make or revoke keys"
    if not sys.stdin.isatty():
        fail(f"{warning}: make another admin key first (keys create NAME --scope admin), or give --yes")
    click.confirm(f"{warning} until the service is restarted. Go on?", abort=True, err=True)
    ask(lambda client: change(client, "?force=true"))


def _body_of(rate_limit: int | None, scopes: tuple[str, ...], names: str | None, expires: str | None) -> dict[str, Any]:
    """The request's body: the fields whose options were given."""
    body: dict[str, Any] = {}
    if rate_limit is not None:
        body["rate_limit"] = rate_limit
    if scopes:
        body["scopes"] = list(scopes)
    if names is not None:
        body["names"] = None if names == "*" else names.split(",")
    if expires is not None:
        try:
            body["expires_at"] = None if expires == "never" else resolve_expiry(expires, time.time())
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--expires") from None
    return body


def _print_key(key: dict[str, Any]) -> None:
    ends = f"; it ends at {key['expires_at']}" if key.get("expires_at") else ""
    names = f"; names that begin with {' or '.join(key['names'])}" if key.get("names") else ""
    click.echo(key["key"])
    click.echo(
        f"key {key['id']} ({one_line(key['name'])}): {', '.join(key['scopes'])}; {key['rate_limit']} "
        f"requests per minute{names}{ends}. It is shown only now.",
        err=True,
    )
