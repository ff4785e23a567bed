"""``fiesta-central agents``: the agents of the fleet, and what each has lost."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from central.commands.asking import anywhere, ask
from central.query.relative_time import ago
from protocol.times import parse_time
from runtime.redact import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from central.client import Client

_PATH: Final = "/api/agents"
_PAGE: Final = "1000"
_CLOCK_OFF: Final = 30.0
"""Seconds. The agent calls its clock wrong when it is off by more."""
_COLUMNS: Final = (
    *("id", "host", "version", "state", "seen_at", "names", "received", "acknowledged", "dropped", "in_spool"),
    *("clock_ahead", "missing_points"),
)


@click.command()
@click.option("--json", "raw", is_flag=True, help="Print all that the service knows, as JSON.")
@anywhere
def agents(raw: bool) -> None:
    """List the agents: when each sent its last batch, what it received, what it dropped.

    Counts are samples since the agent's start. An agent is silent if no batch came for 5 minutes and it did not say
    that it stops. Below the table is a line for each thing to look at.

    \b
    Examples:
      fiesta-central agents
      fiesta-central agents --json | jq -r '.data[] | select(.state == "silent") | .host'
    """
    answer = ask(_all)
    if raw:
        from central.client import exact_json

        click.echo(exact_json(answer))
        return
    from rich.console import Console

    listed = sorted(answer["data"], key=lambda agent: (agent["host"], agent["id"]))
    show(Console(), listed, time.time())
    for agent in listed:
        for note in _notes(agent):
            click.echo(one_line(f"{agent['host']}: {note}"), err=True)
    counts = answer["states"]
    click.echo(", ".join(f"{counts[state]:,} {state}" for state in ("live", "silent", "stopped")), err=True)


def show(console: "Console", listed: Sequence[Mapping[str, Any]], now: float) -> None:
    """Show a table that fits 80 columns on a terminal, and lines with tabs elsewhere."""
    from central.commands.show import show_table

    if console.is_terminal:
        header = ["host", "version", "last batch", "received", "dropped", "in spool"]
        rows = [_row(agent, now - parse_time(agent["seen_at"])) for agent in listed]
        show_table(header, rows, console, right_from=3)
    else:
        show_table(_COLUMNS, [[_cell(agent, column) for column in _COLUMNS] for agent in listed], console)


def _all(client: "Client") -> dict[str, Any]:
    """The answer with all pages."""
    answer = client.get(_PATH, {"limit": _PAGE})
    following = answer.pop("next")
    while following is not None:
        page = client.get(_PATH, {"limit": _PAGE, "after": following})
        answer["data"] += page["data"]
        following = page["next"]
    return dict(answer)


def _row(agent: Mapping[str, Any], age: float) -> list[str]:
    last = ago(age) if agent["state"] == "live" else f"{agent['state']} {ago(age)}"
    numbers = (agent["received"], sum(agent["dropped"].values()), agent["in_spool"])
    return [agent["host"], agent["version"], last, *(f"{number:,}" for number in numbers)]


def _cell(agent: Mapping[str, Any], column: str) -> str:
    value = agent[column]
    if column == "dropped":
        return str(sum(value.values()))
    return "-" if value is None else str(value)


def _notes(agent: Mapping[str, Any]) -> Iterator[str]:
    """What an operator should look at, a sentence each."""
    if agent["state"] == "silent":
        yield f"silent since {agent['seen_at']}"
    losses = {**agent["lost"], **agent["dropped"]}
    if losses:
        yield f"lost: {', '.join(f'{count:,} {what}' for what, count in sorted(losses.items(), key=_largest))}"
    ahead = agent["clock_ahead"]
    if ahead is not None and abs(ahead) > _CLOCK_OFF:
        yield f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the service's"
    if agent["missing_points"]:
        yield f"it counts {agent['missing_points']:,} points as acknowledged that the service did not acknowledge"
    if agent["shared_id"]:
        yield "two agents have its id: stop one, remove agent-id from its spool folder, and start it"


def _largest(entry: tuple[str, int]) -> int:
    return -entry[1]
