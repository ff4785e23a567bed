"""``completion``: the script that lets a shell complete a program's commands, options and names."""

import click
from click.shell_completion import get_completion_class

from central.commands.asking import settings_of_environment


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes your SHELL complete commands, options and names.

    \b
    Put this into ~/.bashrc, or the line of your shell:
      eval "$(fiesta-central completion bash)"
      eval "$(fiesta-central completion zsh)"
      fiesta-central completion fish | source
    """
    settings_of_environment()  # no command would work with a wrong one
    root = context.find_root()
    name = root.info_name or ""
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"there is no completion for {shell}")
    variable = f"_{name}_COMPLETE".replace("-", "_").upper()
    click.echo(made(root.command, {}, name, variable).source())
