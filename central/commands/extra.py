"""A group of commands that says what to install where their packages are missing: the agent alone is the base."""

from typing import Any

import click

OURS = ("central", "protocol", "runtime")


class NeedsExtra(click.Group):
    """``fiesta-central``: installed with the agent, working with the extra ``central``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a missing package is one line and not a traceback."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            package = (error.name or "a package").partition(".")[0]
            if package in OURS:
                raise
            raise click.ClickException(
                f"{package} is not installed, which the service needs and the agent does not; "
                "install the extra: pip install 'glowing-fiesta[central]'"
            ) from None
