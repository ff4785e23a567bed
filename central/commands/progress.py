"""Signs of life for long work on stderr: on a terminal a bar that goes; elsewhere a plain line per step, or nothing."""

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
"""Called with the number of bytes that were done just now."""


@contextmanager
def working(text: str, console: Console | None = None) -> Iterator[None]:
    """``text`` and the seconds so far, on stderr, until the block ends; then it is gone."""
    console = console or Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        shown.add_task(text, total=None)
        yield


@contextmanager
def stepping(text: str, console: Console | None = None) -> Iterator[Callable[[str, int, int], object]]:
    """``text``, which step is being done and of how many; tell what ``Told`` of central.store.migrations does."""
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
    """A bar of bytes on stderr; ``total`` None is not known."""
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("copying", total=total)
        yield lambda done: shown.advance(task, done)
