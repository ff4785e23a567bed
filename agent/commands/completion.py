"""The script that lets a shell complete the program's commands and options."""

from typing import Final

import click
from click.shell_completion import get_completion_class

SHELLS: Final = ("bash", "zsh", "fish")


def script(program: click.Command, name: str, shell: str) -> str:
    """What a shell reads; it then asks the program ``name`` for each completion. Raises ValueError for another one."""
    made = get_completion_class(shell)
    if made is None:
        raise ValueError(f"there is no completion for {shell}; there is one for {', '.join(SHELLS)}")
    variable = f"_{name}_COMPLETE".replace("-", "_").upper()
    return made(program, {}, name, variable).source()
