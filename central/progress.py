"""Signs of life for long work, on a terminal; anywhere else nothing, where it would be noise in a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Told = Callable[[int], object]
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
def copying(total: int | None, console: Console | None = None) -> Iterator[Told]:
    """A bar of bytes on stderr; ``total`` None is not known."""
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("copying", total=total)
        yield lambda done: shown.advance(task, done)
