"""The variables that name a proxy. The agent uses no proxy, and refuses to start where one is asked for.

An agent talks to a service inside the same network, so it should nearly always go round the proxy. NO_PROXY says so for
all programs of the host.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from runtime.addresses import is_loopback
from runtime.start_error import StartError

_PORTS: Final = {"https": 443, "http": 80}
_ENTRY: Final = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{1,5}))?")
_BY_SCHEME: Final = {"https": ("HTTPS_PROXY", "ALL_PROXY"), "http": ("HTTP_PROXY", "ALL_PROXY")}


def refuse_proxy(url: str, environ: Mapping[str, str]) -> None:
    """Raise StartError when a variable asks for a proxy on the way to ``url``.

    The variable may be in lower case, as for curl. No proxy is asked for on the way to this host, nor when NO_PROXY has
    the host or a domain above it.
    """
    parsed = urlsplit(url)
    host = parsed.hostname or ""
    names = [name for upper in _BY_SCHEME[parsed.scheme] for name in (upper, upper.lower()) if environ.get(name)]
    never = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not names or is_loopback(host) or _is_in(host, parsed.port or _PORTS[parsed.scheme], never):
        return
    raise StartError(
        f"{names[0]} asks for a proxy on the way to {host}, and the agent uses none: "
        f"add {host} to NO_PROXY if it can be reached without one, or unset {names[0]}"
    )


def _is_in(host: str, port: int, never: str) -> bool:
    """Whether NO_PROXY covers a host, by any of the ways in which curl and Go read it.

    An entry is ``*``, an IP address, a network (``10.0.0.0/8``), or a domain, which covers what is below it too. A
    domain may begin with ``.`` or ``*.``. An IPv6 address may be in brackets. With a port the entry covers that port
    alone.
    """
    return any(_covers(entry, host.lower().rstrip("."), port) for entry in never.lower().replace(",", " ").split())


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    with suppress(ValueError):
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    found = _ENTRY.fullmatch(entry)
    if found is None or (found["port"] and int(found["port"]) != port):
        return False
    name = found["name"].strip("[]").removeprefix("*").strip(".")
    if is_ip(host):
        return is_ip(name) and ip_address(host) == ip_address(name)
    return bool(name) and f".{host}".endswith(f".{name}")


def is_ip(text: str) -> bool:
    """Whether it is an IP address."""
    with suppress(ValueError):
        ip_address(text)
        return True
    return False
