"""Shows the progress of long work on stderr: a bar on a terminal; elsewhere a plain line per step, or nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

OnProgress = Callable[[int], object]
"""Called with the number of bytes since the last call."""


@contextmanager
def working(text: str, console: Console | None = None) -> Iterator[None]:
    """Show ``text`` and the seconds so far until the block ends. Then the line disappears."""
    console = console or Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        shown.add_task(text, total=None)
        yield


@contextmanager
def stepping(text: str, console: Console | None = None) -> Iterator[Callable[[str, int, int], object]]:
    """Show ``text``, the current step and the number of steps. Yields a central.store.migrations.OnMigration."""
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(text, total=None)

        def step_begins(step: str, place: int, of: int) -> None:
            shown.update(task, description=f"{text} {step}", completed=place - 1, total=of)
            if not console.is_terminal:
                console.print(f"{text} {place} of {of}: {step}", highlight=False, soft_wrap=True)

        yield step_begins


@contextmanager
def copying(total: int | None, console: Console | None = None) -> Iterator[OnProgress]:
    """Show a bar of bytes. ``total`` is None if it is not known."""
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("copying", total=total)
        yield lambda done: shown.advance(task, done)
