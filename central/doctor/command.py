"""``fiesta-central doctor``: checks each dependency as the service uses it, and prints a line and advice for each."""

import asyncio
import json
import os
from typing import Any, Final

import click

CODES: Final = {"ok": 0, "warning": 1, "fails": 2}
_COLOURS: Final = {"ok": "green", "warning": "yellow", "fails": "bold red"}


@click.command()
@click.option("--json", "raw", is_flag=True, help="Print the findings as JSON.")
def doctor(raw: bool) -> None:
    """Check everything the service depends on, and say what to do.

    It checks settings, data folder, certificate, the running service, the store and its durability, partitions, keys,
    retention, Redis, the spill and clocks. It changes nothing, and works whether or not the service runs. Run it with
    the environment of the service.

    Exit code: 0 all ok, 1 something needs attention, 2 something fails.

    \b
    Examples:
      fiesta-central doctor
      fiesta-central doctor --json | jq '.checks[] | select(.status != "ok")'
    """
    from central.doctor.judge import fails, worst
    from central.settings import load_settings
    from runtime.settings import SettingsError

    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        findings = [fails("settings", fault, "see docs/settings.md") for fault in str(error).splitlines()]
        if not raw:
            _show(findings)
    else:
        findings = asyncio.run(_examine(settings, raw=raw))
    status = worst(findings)
    if raw:
        click.echo(json.dumps({"status": status, "checks": [finding._asdict() for finding in findings]}, indent=2))
    else:
        bad = sum(finding.status != "ok" for finding in findings)
        click.echo(f"{len(findings)} checks, {bad} to look at" if bad else f"{len(findings)} checks, all ok")
    raise SystemExit(CODES[status])


async def _examine(settings: Any, *, raw: bool) -> list[Any]:
    """All findings. Unless ``raw``, each is shown as soon as it is known."""
    import structlog

    from central.doctor.probe import examine

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # log nothing: the findings say it
    findings = []
    async for finding in examine(settings):
        findings.append(finding)
        if not raw:
            _show([finding])
    return findings


def _show(findings: list[Any]) -> None:
    """Print a line per finding, with its advice below. On a terminal it is coloured."""
    from rich.console import Console
    from rich.text import Text

    from runtime.redact import one_line

    console = Console(highlight=False, soft_wrap=True)
    for check, status, message, advice in findings:
        mark = Text(f"{status:<8}", style=_COLOURS[status])
        console.print(mark, Text(one_line(f"{check}: {message}")), sep="", end="\n")
        if advice:
            console.print(Text(f"        -> {one_line(advice)}", style="cyan"))
