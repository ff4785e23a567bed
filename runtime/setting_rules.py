"""The rules of settings. A rule takes text from the environment or a value from TOML and returns a checked value.

Each rule raises ValueError. The message continues the setting's name: it says the fault and what would be right.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from runtime.addresses import split_address

Rule = Callable[[Any], Any]

_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_FLAGS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def text(given: Any) -> str:
    """Any text."""
    if not isinstance(given, str):
        raise ValueError("must be text")
    return given


def whole(low: int, high: int, *, why: str = "") -> Callable[[Any], int]:
    """A whole number from ``low`` to ``high``. ``why`` gives the reason of the lower bound."""

    def rule(given: Any) -> int:
        number = whole_number(given)
        if number is None or not low <= number <= high:
            reason = f" ({why})" if why else ""
            raise ValueError(f"is {quoted(given)}; it must be a whole number from {low} to {high}{reason}")
        return number

    return rule


def one_of(*words: str, right: str = "") -> Callable[[Any], str]:
    """One of a few words. ``right`` describes them when the words do not explain themselves."""

    def rule(given: Any) -> str:
        if given not in words:
            raise ValueError(f"is {quoted(given)}; it must be {right or ' or '.join(words)}")
        return str(given)

    return rule


def yes_or_no(given: Any) -> bool:
    """A yes or a no, in upper or lower case."""
    flag = given if isinstance(given, bool) else _FLAGS.get(str(given).lower())
    if flag is None:
        raise ValueError(f"is {quoted(given)}; it must be one of {', '.join(_FLAGS)}")
    return flag


def address(example: str) -> Callable[[Any], tuple[str, int]]:
    """Host and port: see split_address. ``example`` is a good value."""
    port = split_address(example)[1]

    def rule(given: Any) -> tuple[str, int]:
        try:
            return split_address(text(given))
        except ValueError:
            right = f"host:port such as {example}, an IPv6 address in brackets ([::1]:{port})"
            raise ValueError(f"is {quoted(given)}; it must be {right}") from None

    return rule


def path(given: Any) -> Path:
    """A file or folder, with ``~`` expanded. The rule does not check whether it exists."""
    if not isinstance(given, str) or not given or "\0" in given:
        raise ValueError(f"is {quoted(given)}; it must be a path")
    try:
        return Path(given).expanduser()
    except RuntimeError as error:  # ~name, and no such user
        raise ValueError(f"is {quoted(given)}, which cannot be used: {error}") from None


def secret_in(given: Any) -> str | None:
    """The secret in a file, without its newline. None for an empty file. No message repeats it."""
    try:
        secret = path(given).read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"is {quoted(given)}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"is {quoted(given)}, which holds no text; it must hold the secret in one line") from None
    if "\n" in secret or "\0" in secret:
        raise ValueError(f"is {quoted(given)}, which holds more than a line; it must hold the secret alone")
    return secret or None


def whole_number(given: Any) -> int | None:
    """Text of at most 18 digits, or a whole number of TOML, as a number. None for anything else."""
    if isinstance(given, str) and _WHOLE.fullmatch(given):
        return int(given)
    return given if type(given) is int else None


def quoted(given: Any) -> str:
    """The given value as a message shows it."""
    shown = repr(given)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
