"""The rules of settings that only central has. They raise ValueError as runtime.setting_rules does."""

import os
import re
from pathlib import Path
from typing import Final

from runtime.addresses import is_host, split_address
from runtime.setting_rules import path, quoted

_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII)
_KEY: Final = re.compile(r"[!-~]{32,72}")


def host(given: str) -> str:
    """A host's name or address, IPv6 without brackets. The message does not repeat it: a URL may hold a password."""
    if not is_host(given):
        raise ValueError(
            "is not a host; it must be only a name or an address, such as db.internal, 10.0.0.5 or ::1, without URL, "
            "user, password, port or path"
        )
    return given


def hosts(given: str) -> tuple[tuple[str, int | None], ...]:
    """Hosts separated by commas, each with a port or without. The message does not repeat them: see ``host``."""
    found: list[tuple[str, int | None]] = []
    for each in (text.strip() for text in given.split(",")):
        bare = each.removeprefix("[").removesuffix("]")
        try:
            host, port = (bare, None) if is_host(bare) else split_address(each)
            if port == 0:  # a server never listens there, and the default port would be used in silence
                raise ValueError(each)
            found.append((host, port))
        except ValueError:
            raise ValueError(
                "is not a list of hosts; each must be a name or an address, alone or with :port from 1 to 65535, "
                "separated by commas, such as db1.internal,db2.internal:3307,[fd00::5]:3306"
            ) from None
    if len({*found}) != len(found):
        raise ValueError("names one host twice; each must be there once")
    return tuple(found)


def folder(given: str) -> Path:
    """A folder that exists or can be made."""
    found = _reachable(given)
    if found.exists() and not found.is_dir():
        raise ValueError(f"is {quoted(given)}, which is a file; it must be a folder")
    return found


def readable_file(given: str) -> Path:
    """A file that this process may read."""
    found = _reachable(given)
    if not found.is_file():
        raise ValueError(f"is {quoted(given)}, where there is no file; it must be the path of a PEM file")
    if not os.access(found, os.R_OK):
        raise ValueError(f"is {quoted(given)}, which this user may not read; change its owner or mode")
    return found


def admin_key(given: str) -> str:
    """A key that is long enough and fits into bcrypt and an HTTP header. No message repeats it."""
    if not _KEY.fullmatch(given):
        raise ValueError(
            f"has {len(given)} characters or some that are not allowed; it must be 32 to 72 printable ASCII characters "
            "without spaces"
        )
    return given


def origins(given: str) -> tuple[str, ...]:
    """Exact web origins, separated by commas."""
    found = tuple(origin.strip() for origin in given.split(",") if origin.strip())
    for origin in found:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"has {quoted(origin)}; each origin must be exact, such as https://dash.example.com or "
                "http://localhost:3000: lower case, no path, no *"
            )
    return found


def _reachable(given: str) -> Path:
    found = path(given)
    try:
        found.exists()  # raises OSError for a path that cannot be read: a closed folder, or a name that is too long
    except OSError as error:
        raise ValueError(f"is {quoted(given)}, which cannot be used: {error.strerror}") from None
    return found
