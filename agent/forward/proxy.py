"""The variables that name a proxy. The agent uses no proxy, and refuses to start where one is asked for.

An agent talks to a service inside the same network, so it should nearly always go round the proxy. NO_PROXY says so for
all programs of the host.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from runtime.addresses import is_loopback
from runtime.start_error import StartError

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
    if not names or is_loopback(host) or _is_in(host, never):
        return
    raise StartError(
        f"{names[0]} asks for a proxy on the way to {host}, and the agent uses none: "
        f"add {host} to NO_PROXY if it can be reached without one, or unset {names[0]}"
    )


def _is_in(host: str, never: str) -> bool:
    """Whether NO_PROXY has the host: hosts and domains, with or without a leading dot or a port, or a star for all."""
    for entry in never.split(","):
        domain = entry.strip().lower().lstrip(".").partition(":")[0]
        if domain == "*" or (domain and f".{host.lower()}".endswith(f".{domain}")):
            return True
    return False
