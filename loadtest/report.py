"""Tables of what was measured beside its goal."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

Line = tuple[str, str, str, bool | None]
"""What, goal, measured, whether the goal holds; None where there is none."""

_WIDTH: Final = 140
"""Where nobody watches: no line is broken."""
_MARKS: Final = {None: "", True: "[green]pass[/]", False: "[red]FAIL[/]"}


def show(title: str, lines: Sequence[Line]) -> None:
    """Print a table with a row for each line."""
    drawn = Table(title=title, title_justify="left")
    for column in ("What", "Goal", "Measured", ""):
        drawn.add_column(column, justify="left" if column == "What" else "right")
    for what, goal, measured, holds in lines:
        drawn.add_row(what, goal, measured, _MARKS[holds])
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(drawn)
