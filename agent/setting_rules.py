"""The rules of single settings: text from the environment, or a value from TOML, in; a checked value out.

Each rule raises ValueError with the fault and what would be right, to be read after the setting's name.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from protocol.limits import MAX_NAME_LENGTH
from protocol.names import is_name
from runtime.addresses import is_host, split_address

MAX_SOCKET_PATH: Final = 107

_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_FLAGS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_SEPARATORS: Final = (".", "_", "-")


def url(given: Any) -> str:
    """Where central is: scheme, host, perhaps a port and a path; no trailing slash."""
    problem = f"is {_quote(given)}; it must be a URL such as https://metrics.internal or http://127.0.0.1:8080"
    if not isinstance(given, str):
        raise ValueError(problem)
    try:
        parts = urlsplit(given)
        usable = parts.scheme in {"http", "https"} and is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not given.isascii() or not given.isprintable() or " " in given:
        raise ValueError(problem)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not have a user, a query or a fragment; the key goes into API_KEY or API_KEY_FILE")
    return given.rstrip("/")


def address(given: Any) -> tuple[str, int]:
    """Host and port, see split_address."""
    try:
        return split_address(given if isinstance(given, str) else "")
    except ValueError:
        raise ValueError(f"is {_quote(given)}; it must be host:port such as 127.0.0.1:8125 or [::1]:8125") from None


def whole(low: int, high: int) -> Callable[[Any], int]:
    """A whole number from ``low`` to ``high``."""

    def rule(given: Any) -> int:
        number = _int(given)
        if number is None or not low <= number <= high:
            raise ValueError(f"is {_quote(given)}; it must be a whole number from {low} to {high}")
        return number

    return rule


def divides_a_minute(given: Any) -> int:
    """Seconds of a window: windows must fill a minute exactly."""
    number = _int(given)
    if not number or 60 % number:
        fits = ", ".join(str(seconds) for seconds in range(1, 61) if 60 % seconds == 0)
        raise ValueError(f"is {_quote(given)}; it must be a number of seconds that divides 60: {fits}")
    return number


def one_of(*words: str) -> Callable[[Any], str]:
    """One of a few words."""

    def rule(given: Any) -> str:
        if given not in words:
            raise ValueError(f"is {_quote(given)}; it must be {' or '.join(words)}")
        return str(given)

    return rule


def yes_or_no(given: Any) -> bool:
    """A yes or a no, in any case."""
    flag = given if isinstance(given, bool) else _FLAGS.get(str(given).lower())
    if flag is None:
        raise ValueError(f"is {_quote(given)}; it must be one of {', '.join(_FLAGS)}")
    return flag


def text(given: Any) -> str:
    """Any text."""
    if not isinstance(given, str):
        raise ValueError("must be text")
    return given


def path(given: Any) -> Path:
    """A file or folder, ``~`` expanded; whether it can be used is seen when it is."""
    if not isinstance(given, str) or not given or "\0" in given:
        raise ValueError(f"is {_quote(given)}; it must be a path")
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise ValueError(f"is {_quote(given)}, which cannot be used: {error}") from None


def socket_path(given: Any) -> Path:
    """Where a unix socket is to be: a path that fits into the kernel's 108 bytes."""
    found = path(given)
    if "://" in str(given) or len(str(found).encode("utf-8", "surrogateescape")) > MAX_SOCKET_PATH:
        raise ValueError(
            f"is {_quote(given)}; it must be a path of at most {MAX_SOCKET_PATH} bytes such as /run/fiesta/agent.sock"
        )
    return found


def prefix(given: Any) -> str:
    """What goes before every name, with a dot after it unless it ends in ``.``, ``_`` or ``-``."""
    if given == "":
        return ""
    # A prefix must leave room for names.
    if not isinstance(given, str) or not is_name(given) or len(given) > MAX_NAME_LENGTH // 2:
        raise ValueError(f"is {_quote(given)}; it must be at most 127 of A-Z, a-z, 0-9, '.', '_' and '-'")
    return given if given.endswith(_SEPARATORS) else f"{given}."


def _int(given: Any) -> int | None:
    if isinstance(given, str) and _WHOLE.fullmatch(given):
        return int(given)
    return given if type(given) is int else None


def _quote(given: Any) -> str:
    shown = repr(given)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
