"""Tables of what was measured beside its goal."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

Line = tuple[str, str, str, bool | None]
"""What, goal, measured, whether the goal holds; None where there is none."""

_WIDTH: Final = 200
"""Columns if the output is no terminal, so that no line is broken."""
MARKS: Final = {None: "", True: "[green]pass[/]", False: "[red]FAIL[/]"}


def show(title: str, lines: Sequence[Line]) -> None:
    """Print a table with a row for each line."""
    rows = [[what, goal, measured, MARKS[holds]] for what, goal, measured, holds in lines]
    show_table(title, ["What", "Goal", "Measured", ""], rows)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column says what each row is."""
    drawn = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="right" if index else "left")
    for row in rows:
        drawn.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(drawn)
