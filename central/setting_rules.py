"""The rules of single settings: text in, value out.

Each rule raises ValueError with the fault and what would be right, to be read after the variable's name.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.addresses import is_host, split_address

_WHOLE: Final = re.compile(r"\d{1,18}", re.ASCII)
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII)
_KEY: Final = re.compile(r"[!-~]{32,72}")
_FLAGS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def text(given: str) -> str:
    """Any text."""
    return given


def host(given: str) -> str:
    """A host's name or address, IPv6 without brackets. Never repeated in a fault: a URL would bring its password."""
    if not is_host(given):
        raise ValueError(
            "is no host; it must be a name or an address alone, such as db.internal, 10.0.0.5 or ::1: no URL, user, "
            "password, port or path"
        )
    return given


def whole(low: int, high: int, *, why: str = "") -> Callable[[str], int]:
    """A whole number from ``low`` to ``high``; ``why`` gives the reason of the lower bound."""

    def parse(given: str) -> int:
        if _WHOLE.fullmatch(given) and low <= int(given) <= high:
            return int(given)
        reason = f" ({why})" if why else ""
        raise ValueError(f"is {_quote(given)}; it must be a whole number from {low} to {high}{reason}")

    return parse


def yes_or_no(given: str) -> bool:
    """A yes or a no, in any case."""
    flag = _FLAGS.get(given.lower())
    if flag is None:
        raise ValueError(f"is {_quote(given)}; it must be one of {', '.join(_FLAGS)}")
    return flag


def store(given: str) -> str:
    """The name of a store."""
    if given not in {"duckdb", "mysql"}:
        raise ValueError(f"is {_quote(given)}; it must be duckdb, or mysql for MySQL 8 and MariaDB")
    return given


def queue(given: str) -> str:
    """Where writes wait while the database is down."""
    if given not in {"redis", "none"}:
        raise ValueError(f"is {_quote(given)}; it must be redis or none")
    return given


def listen(given: str) -> tuple[str, int]:
    """Host and port, see split_address."""
    try:
        return split_address(given)
    except ValueError:
        raise ValueError(
            f"is {_quote(given)}; it must be host:port such as 127.0.0.1:8080, an IPv6 address in brackets ([::1]:8080)"
        ) from None


def folder(given: str) -> Path:
    """A folder that is there or can be made."""
    path = _path(given)
    if path.exists() and not path.is_dir():
        raise ValueError(f"is {_quote(given)}, which is a file; it must be a folder")
    return path


def readable_file(given: str) -> Path:
    """A file that this process may read."""
    path = _path(given)
    if not path.is_file():
        raise ValueError(f"is {_quote(given)}, where no file is; it must be the path of a PEM file")
    if not os.access(path, os.R_OK):
        raise ValueError(f"is {_quote(given)}, which this user may not read; change its owner or mode")
    return path


def admin_key(given: str) -> str:
    """A key that is long enough to be one and that bcrypt and an HTTP header can carry. Never repeated in a fault."""
    if not _KEY.fullmatch(given):
        raise ValueError(
            f"has {len(given)} characters or some that are not allowed; it must be 32 to 72 printable ASCII characters "
            "without spaces"
        )
    return given


def secret_in(given: str) -> str | None:
    """The secret that a file holds, without the end of its line; None for an empty file. Never repeated in a fault."""
    try:
        text = _path(given).read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"is {_quote(given)}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"is {_quote(given)}, which holds no text; it must hold the secret in one line") from None
    if "\n" in text or "\0" in text:
        raise ValueError(f"is {_quote(given)}, which holds more than a line; it must hold the secret alone")
    return text or None


def origins(given: str) -> tuple[str, ...]:
    """Exact web origins, separated by commas."""
    found = tuple(part.strip() for part in given.split(",") if part.strip())
    for origin in found:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"has {_quote(origin)}; each origin must be exact, such as https://dash.example.com or "
                "http://localhost:3000: lower case, no path, no *"
            )
    return found


def _path(given: str) -> Path:
    try:
        path = Path(given).expanduser()
        path.exists()  # what cannot even be looked at (a closed folder, a name too long) is a fault of the setting
    except OSError as error:
        raise ValueError(f"is {_quote(given)}, which cannot be used: {error.strerror}") from None
    except RuntimeError as error:  # ~name, and no such user
        raise ValueError(f"is {_quote(given)}, which cannot be used: {error}") from None
    return path


def _quote(given: str) -> str:
    return repr(given if len(given) <= 80 else f"{given[:77]}...")
