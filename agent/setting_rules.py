"""The rules of settings that only the agent has. They raise ValueError, as in runtime.setting_rules."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from agent.receive.gauge_signs import KINDS, parse_gauge_signs
from protocol.limits import MAX_NAME_LENGTH
from protocol.names import is_name
from protocol.statsd_tags import Pair
from protocol.tags import check_tags
from runtime.addresses import is_host, split_address
from runtime.setting_rules import path, quoted, whole_number

MAX_SOCKET_PATH: Final = 107
"""Bytes. The kernel has room for 108, and the last one is a NUL."""
_SEPARATORS: Final = (".", "_", "-")


def url(given: Any) -> str:
    """The URL of central: scheme, host, and optionally a port and a path. The result has no trailing slash."""
    problem = f"is {quoted(given)}; it must be a URL such as https://metrics.internal or http://127.0.0.1:8080"
    if not isinstance(given, str):
        raise ValueError(problem)
    try:
        parsed = urlsplit(given)
        usable = parsed.scheme in {"http", "https"} and is_host(parsed.hostname or "") and parsed.port != 0
    except ValueError:
        usable = False
    if not usable or not given.isascii() or not given.isprintable() or " " in given:
        raise ValueError(problem)
    if parsed.username or parsed.password or parsed.query or parsed.fragment:
        raise ValueError("must not have a user, a query or a fragment; the key goes into API_KEY or API_KEY_FILE")
    return given.rstrip("/")


def mirror(given: Any) -> tuple[str, int]:
    """Host and port of ``udp://host:port``."""
    try:
        if not isinstance(given, str) or not given.startswith("udp://"):
            raise ValueError(given)
        host, port = split_address(given.removeprefix("udp://").removesuffix("/"))
        if not port:
            raise ValueError(given)
    except ValueError:
        raise ValueError(f"is {quoted(given)}; it must be udp://host:port such as udp://127.0.0.1:8126") from None
    return host, port


def divides_minute(given: Any) -> int:
    """The length of a window in seconds. Whole windows must fill a minute."""
    number = whole_number(given)
    if number is None or number < 1 or 60 % number:
        fits = ", ".join(str(seconds) for seconds in range(1, 61) if 60 % seconds == 0)
        raise ValueError(f"is {quoted(given)}; it must be a number of seconds that divides 60: {fits}")
    return number


def socket_path(given: Any) -> Path:
    """The path of a unix socket, at most MAX_SOCKET_PATH bytes."""
    checked = path(given)
    if "://" in str(given) or len(str(checked).encode("utf-8", "surrogateescape")) > MAX_SOCKET_PATH:
        raise ValueError(
            f"is {quoted(given)}; it must be a path of at most {MAX_SOCKET_PATH} bytes such as /run/fiesta/agent.sock"
        )
    return checked


def gauge_signs(given: Any) -> str:
    """What the sign of a gauge means: ``delta`` or ``absolute``. After commas: what it means on single sockets."""
    try:
        parse_gauge_signs(given)
    except (ValueError, KeyError, AttributeError):
        sockets = ", ".join(kind.lower() for kind in KINDS)
        raise ValueError(
            f"is {quoted(given)}; it must be delta or absolute, and behind a comma what single sockets have, such as "
            f"delta,unix=absolute; sockets are {sockets}"
        ) from None
    return str(given)


def host_tags(given: Any) -> tuple[Pair, ...]:
    """Tags that the agent adds to everything: ``key:value`` with commas between."""
    if given == "":
        return ()
    pairs = [tag.partition(":") for tag in given.split(",")] if isinstance(given, str) else []
    tags = {key: value for key, colon, value in pairs if colon}
    if not pairs or len(tags) < len(pairs):
        raise ValueError(f"is {quoted(given)}; it must be tags with different keys, such as env:prod,host:web-1")
    try:
        check_tags(tags)
    except ValueError as error:
        raise ValueError(str(error)) from None
    return tuple(tags.items())


def prefix(given: Any) -> str:
    """The prefix of every name. A dot is added unless it ends in ``.``, ``_`` or ``-``."""
    if given == "":
        return ""
    # A prefix must leave room for names.
    if not isinstance(given, str) or not is_name(given) or len(given) > MAX_NAME_LENGTH // 2:
        raise ValueError(f"is {quoted(given)}; it must be at most 127 of A-Z, a-z, 0-9, '.', '_' and '-'")
    return given if given.endswith(_SEPARATORS) else f"{given}."
