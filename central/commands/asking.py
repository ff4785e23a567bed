"""What all commands share: reading the settings, asking the running service, and one clear line for a failure."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from central.settings import Settings, load_settings
from runtime.redact import one_line
from runtime.settings import SettingsError

if TYPE_CHECKING:
    from central.client import Client

T = TypeVar("T")


def settings_of_environment() -> Settings:
    """The settings. If some are wrong, print a line for each fault and exit with code 2."""
    try:
        return load_settings(os.environ)
    except SettingsError as error:
        for fault in str(error).splitlines():
            click.echo(f"Error: {fault}", err=True)
        raise SystemExit(2) from None


def ask(question: Callable[["Client"], T], timeout: float | None = None) -> T:
    """The service's answer to ``question``. If it fails, print one clear line and exit with code 1."""
    from central.client import ClientError

    try:
        return ask_or_raise(question, timeout)
    except ClientError as error:
        fail(str(error))


def ask_or_raise(question: Callable[["Client"], T], timeout: float | None = None) -> T:
    """The service's answer to ``question``. Raises ClientError, for callers that handle it."""
    from central.client import TIMEOUT_SECONDS, Client, target_of

    return question(Client(target_of(settings_of_environment()), timeout=timeout or TIMEOUT_SECONDS))


def fail(message: str) -> NoReturn:
    """Print one line on stderr and exit with code 1."""
    click.echo(f"Error: {one_line(message)}", err=True)
    raise SystemExit(1)
