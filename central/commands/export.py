"""``fiesta-central export``: windows or raw points of names as a Parquet file."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

import click

from central.commands.asking import anywhere, ask, fail
from central.commands.names import complete_names, split_names
from central.commands.query import names_and_pattern
from central.query.parameters import RAW
from central.store.plan import WINDOWS
from runtime.redact import one_line

_SECONDS: Final = 600.0


@click.command()
@click.argument("names", shell_complete=complete_names)
@click.option("--start", required=True, help="ISO 8601 time, or before now: -1h, -7d.")
@click.option(
    "--end", default="now", show_default=True, help="The end of the range, in the form of --start. It is not included."
)
@click.option(
    "--window",
    type=click.Choice([*WINDOWS, RAW]),
    default="1m",
    show_default=True,
    help="Width of a window; raw for the points themselves.",
)
@click.option(
    "-o", "--output", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The new file."
)
@anywhere
def export(names: str, start: str, end: str, window: str, file: Path) -> None:
    """Write count, sum, min and max of NAMES by window into a Parquet file, exact to the last digit.

    With --window raw, a row is a point as it was stored, with its tags. NAMES is one name or pattern (shop.*), or
    several separated by commas. The file must not exist. It is written whole or not at all. The progress is on stderr.

    \b
    Examples:
      fiesta-central export 'shop.*' --start -7d -o shop.parquet
      fiesta-central export api.requests --start 2026-02-01 --end 2026-03-01 --window 1h -o february.parquet
      fiesta-central export 'shop.*' --start -1h --window raw -o points.parquet
    """
    from urllib.parse import urlencode

    from central.commands.progress import copying, working

    waiting = ExitStack()

    def watch(size: int | None) -> AbstractContextManager[Callable[[int], object]]:
        waiting.close()
        return copying(size)

    query = urlencode({**names_and_pattern(names), "start": start, "end": end, "window": window})
    try:
        with waiting:
            waiting.enter_context(working("the service makes the file"))
            done = ask(
                lambda client: client.download(f"/api/metrics/export?{query}", file, watch),
                timeout=_SECONDS,
            )
    except FileExistsError:
        fail(f"{file} exists already: name a new file, or move it away")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
    click.echo(f"{done.size:,} bytes written to {file}", err=True)
    if not done.complete:
        click.echo("note: acknowledged points still wait in the spill; those are missing from the file", err=True)
    for name in split_names(done.unknown) if done.unknown else ():
        click.echo(f"there is no metric {one_line(name)}", err=True)
