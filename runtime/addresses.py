"""Hosts and ports as people write them: ``127.0.0.1:8125``, ``[::1]:8125``, ``web1.internal:8125``."""

import ipaddress
import re
from typing import Final

MAX_HOST_LENGTH: Final = 253
"""The longest name of a host in the DNS, in characters."""
MAX_PORT: Final = 65_535

_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_WITH_PORT: Final = re.compile(r"(?:\]|^[^:]*):[0-9]*$")
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def split_address(text: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[IPv6]:port`` into a host without brackets and a port. Raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    usable = match is not None and (is_ip(match["six"]) if match["six"] else is_host(match["host"]))
    if match is None or not usable or int(match["port"]) > MAX_PORT:
        raise ValueError(f"{text[:80]!r} is not host:port")
    return match["six"] or match["host"], int(match["port"])


def join_address(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def from_this_host(host: str) -> str:
    """The host where a program on this host reaches a server that listens on ``host``. For 0.0.0.0 it is loopback."""
    return _EVERY_ADDRESS.get(host, host)


def is_same_socket(target: tuple[str, int], bound: tuple[str, int]) -> bool:
    """Whether what is sent to ``target`` surely comes to the socket that is ``bound`` there, as far as texts say."""
    host, own = (from_this_host(address[0].lower()) for address in (target, bound))
    everywhere = bound[0] in _EVERY_ADDRESS and is_loopback(host)
    return target[1] == bound[1] != 0 and (host == own or everywhere)


def is_host(text: str) -> bool:
    """Whether ``text`` is an IP address without brackets, or a host name."""
    if is_ip(text):
        return True
    labels = text.removesuffix(".").split(".")
    return len(text) <= MAX_HOST_LENGTH and not text.startswith("-") and all(map(_LABEL.fullmatch, labels))


def is_ip(text: str) -> bool:
    """Whether ``text`` is an IPv4 or an IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def may_mean_loopback(header: str, own: str) -> bool:
    """Whether a server on the loopback host ``own`` should answer a request with this Host header.

    In a DNS rebinding attack a browser sends the attacker's name. So the header must be localhost, an IP address or
    ``own`` itself.
    """
    host = header.rpartition(":")[0] if _WITH_PORT.search(header) else header
    host = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    return is_ip(host) or host in ("localhost", own.lower()) or host.endswith(".localhost")


def is_loopback(host: str) -> bool:
    """Whether data sent to ``host`` stays on this host. Of all names, only localhost is certain."""
    return host.lower() == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)
