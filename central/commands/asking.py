"""What all commands share: reading the settings, asking the running service, and one clear line for a failure.

The service is the one that the settings start, with its admin key; or any other, with METRICS_URL and METRICS_KEY or
the options --url and --key-file.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from central.settings import Settings, load_settings
from runtime.redact import one_line
from runtime.settings import SettingsError

if TYPE_CHECKING:
    from central.client import Client, Target

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])
_URL: Final = "central.url"
_KEY_FILE: Final = "central.key_file"


def anywhere(command: Command) -> Command:
    """Give a command the options --url and --key-file. They need no arguments of its function."""

    def keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
        def callback(context: click.Context, _: click.Parameter, given: Any) -> None:
            if given is not None:
                context.meta[name] = given

        return callback

    key_file = click.option(
        "--key-file", type=click.Path(path_type=Path), expose_value=False, callback=keep(_KEY_FILE),
        help="A file with the API key to send [default: METRICS_KEY].",
    )  # fmt: skip
    url = click.option(
        "--url", expose_value=False, callback=keep(_URL), help="The service to ask [default: METRICS_URL]."
    )
    return url(key_file(command))


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
    from central.client import TIMEOUT_SECONDS, Client

    return question(Client(target(), timeout=timeout or TIMEOUT_SECONDS))


def target() -> "Target":
    """The service to ask, and the key to send. Raises ClientError if there is no key."""
    from central.client import ClientError, Target, remote_target, target_of

    context = click.get_current_context(silent=True)
    meta = {} if context is None else context.meta
    url, url_source = meta.get(_URL) or os.environ.get("METRICS_URL", ""), "--url" if _URL in meta else "METRICS_URL"
    key, key_source = _given_key(meta.get(_KEY_FILE))
    if not (key.isascii() and key.isprintable()):
        raise ClientError(f"{key_source} holds no API key: a key is one line of ASCII characters")
    if url:
        if not key:
            raise ClientError(f"there is no key for {url_source}: set METRICS_KEY, or give --key-file")
        return remote_target(url, url_source, key, key_source)
    settings = settings_of_environment()
    if key and (key_source != "METRICS_KEY" or not _has_admin_key(settings)):
        return Target(settings.url, key, key_source, settings.tls_cert)
    return target_of(settings)


def _given_key(file: Path | None) -> tuple[str, str]:
    """The key that was given and where; empty for none. Raises ClientError if its file cannot be read."""
    from central.access.key_file import read_key
    from central.client import ClientError

    if file is None:
        return os.environ.get("METRICS_KEY", "").strip(), "METRICS_KEY"
    try:
        return read_key(file), str(file)
    except (OSError, ValueError) as error:
        raise ClientError(f"the key file {file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _has_admin_key(settings: Settings) -> bool:
    return settings.admin_key is not None or (settings.data_dir / "admin.key").exists()


def fail(message: str) -> NoReturn:
    """Print one line on stderr and exit with code 1."""
    click.echo(f"Error: {one_line(message)}", err=True)
    raise SystemExit(1)
