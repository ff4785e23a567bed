"""``fiesta-central names``: which names there are, and what was last seen of each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from central.commands.asking import anywhere, ask, ask_or_raise
from central.query.relative_time import ago
from runtime.redact import one_line

if TYPE_CHECKING:
    from central.client import Client

MOST: Final = 1_000
_PATH: Final = "/api/metrics"
_PAGE: Final = 1_000
_COMPLETE_SECONDS: Final = 2.0
_COMPLETED: Final = "50"
_FIELDS: Final = ("name", "type", "first_seen", "last_seen", "last_value", "tags")
_WILD: Final = frozenset("*?[{")


@click.command()
@click.argument("text", required=False, default="")
@click.option("-i", "--ignore-case", is_flag=True, help="Ignore upper and lower case.")
@click.option("--limit", type=click.IntRange(min=1), default=MOST, show_default=True, help="The most names to list.")
@click.option("--json", "raw", is_flag=True, help="Print all that the service knows, as JSON.")
@anywhere
def names(text: str, ignore_case: bool, limit: int, raw: bool) -> None:
    """List all names, those that contain TEXT, or those that match a pattern (shop.*).

    \b
    Examples:
      fiesta-central names
      fiesta-central names -i ORDERS
      fiesta-central names 'shop.{orders,refunds}.*'
      fiesta-central names checkout | cut -f1
    """
    parameters = {"details": "true"}
    if text:
        parameters["match" if is_pattern(text) else "search"] = text
    if ignore_case:
        parameters["ignore_case"] = "true"
    found, more = ask(lambda client: _listed(client, parameters, limit))
    if raw:
        from central.client import exact_json

        click.echo(exact_json({"success": True, "data": found}))
    else:
        _show(found)
    if more:
        click.echo(f"there are more names: the first {limit:,} are listed; give a longer TEXT, or --limit", err=True)


def is_pattern(text: str) -> bool:
    """Whether a text has wildcards."""
    return any(char in _WILD for char in text)


def split_names(text: str) -> list[str]:
    """The names and patterns between commas. A comma within braces is of the pattern."""
    names, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if char == "," and depth <= 0:
            names.append(text[start:at])
            start = at + 1
    return [*names, text[start:]]


def complete_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The names that begin as the last of several does. None if the service does not say at once."""
    before, comma, prefix = incomplete.rpartition(",")
    try:
        answer = ask_or_raise(
            lambda client: client.get(_PATH, {"prefix": prefix, "limit": _COMPLETED}), timeout=_COMPLETE_SECONDS
        )
        return [f"{before}{comma}{one['name']}" for one in answer["data"]]
    except (Exception, SystemExit):  # whatever is wrong, a shell must not show it in the middle of a line
        return []


def _listed(client: "Client", parameters: Mapping[str, str], limit: int) -> tuple[list[Any], bool]:
    """The names up to the limit, and whether there are more."""
    found: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = client.get(_PATH, {**parameters, **after, "limit": str(min(_PAGE, limit - len(found)))})
        found += page["data"]
        if page["next"] is None or len(found) >= limit:
            return found, page["next"] is not None
        after = {"after": page["next"]}


def _show(found: Sequence[Mapping[str, Any]]) -> None:
    """A table on a terminal, and lines with tabs elsewhere."""
    from rich.console import Console

    from central.commands.show import number, show_table

    where = Console()
    if where.is_terminal:
        if not found:
            click.echo("There is no such name.")
            return
        rows = [
            [one["name"], one["type"], _age(one), number(one["last_value"]), ", ".join(one["tags"])] for one in found
        ]
        show_table(["name", "type", "last seen", "last value", "tags"], rows, where)
    else:
        show_table(_FIELDS, [[_cell(one[field]) for field in _FIELDS] for one in found], where)


def _age(one: Mapping[str, Any]) -> str:
    return "-" if one["age_seconds"] is None else f"{ago(one['age_seconds'])} ago"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return "-" if value is None else one_line(str(value))
