"""Keys that may use only names with certain prefixes: what covers a name, and which endpoints check names. Pure.

The gate refuses such a key at every endpoint that is not in CHECKED. So a new endpoint is closed to these keys until
somebody adds it here, and tests/central/web/test_key_names.py tries to reach a foreign name through each one that is
open.
"""

from collections.abc import Iterable
from typing import Final

from central.errors import ApiError
from protocol.item import Fault

MOST_PREFIXES: Final = 20
"""How many prefixes a key may have. A list of names asks the store once per prefix."""
NOT_ALLOWED: Final = "NAME_NOT_ALLOWED"
"""The code of a name that a key does not cover."""
Prefixes = tuple[str, ...]
"""In order, and none begins with another one. Empty for a key that may use all names."""

CHECKED: Final = frozenset(
    {
        *(("POST", f"/api/metrics/{kind}") for kind in ("counter", "value", "batch")),
        ("GET", "/api/metrics"),
        ("GET", "/api/metrics/aggregate"),
        ("GET", "/api/metrics/{name}/tags"),
        ("GET", "/api/metrics/{name}/tags/{key}"),
        ("GET", "/api/metrics/{name}/series"),
        *((method, f"/graphite/metrics/{verb}") for method in ("GET", "POST") for verb in ("find", "expand")),
        ("GET", "/graphite/metrics/index.json"),
        ("GET", "/graphite/tags"),
        ("GET", "/graphite/tags/{tag}"),
        ("GET", "/graphite/tags/autoComplete/tags"),
        ("GET", "/graphite/tags/autoComplete/values"),
        ("GET", "/graphite/tags/findSeries"),
        ("GET", "/graphite/render"),
        ("POST", "/graphite/render"),
        ("GET", "/graphite/functions"),
        ("GET", "/graphite/version"),
        ("GET", "/graphite/events/get_data"),
    }
)
"""The endpoints that read and write only names that the key covers: method and path. The last three know no names."""


def minimal(prefixes: Iterable[str]) -> Prefixes:
    """The prefixes in order, without those that another one covers."""
    found: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return tuple(found)


def covers(prefixes: Prefixes, name: str) -> bool:
    """Whether a key with these prefixes may use the name."""
    return not prefixes or name.startswith(prefixes)


def foreign_name(prefixes: Prefixes, name: str) -> Fault:
    """The fault of a name that the key does not cover. It is the same whether the name exists or not."""
    return Fault(NOT_ALLOWED, "name", f"this key may not use the name {name!r}; {_allowed(prefixes)}")


def check_names(prefixes: Prefixes, names: Iterable[str]) -> None:
    """Raise ApiError 403 that names the first name which the key does not cover."""
    for name in names:
        if not covers(prefixes, name):
            fault = foreign_name(prefixes, name)
            raise ApiError(403, fault.code, fault.message, details={"field": fault.field})


def check_endpoint(prefixes: Prefixes, method: str, path: str) -> None:
    """Raise ApiError 403 for a limited key at an endpoint that does not check names."""
    if prefixes and ("GET" if method == "HEAD" else method, path) not in CHECKED:
        raise ApiError(403, "FORBIDDEN", f"this endpoint is for keys that may use all names; {_allowed(prefixes)}")


def _allowed(prefixes: Prefixes) -> str:
    return f"it may use names that begin with {' or '.join(prefixes)}"
